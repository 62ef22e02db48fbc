// Our kernels beside PyTorch's, joined by what is computed.
import { textTable } from "./text.mjs";

const shownRows = [1, 8, 512];
const percent = (value) => `${(value * 100).toFixed(0)}%`;
const micros = (result) => (result === undefined ? "" : result.micros.toFixed(1));
const ratio = (ours, other) => (other === undefined ? "" : `${(other.micros / ours.micros).toFixed(2)}x`);

function matmulTable(results, torch) {
  const of = (kind, { outputs, k, rows }) =>
    torch.find(
      (other) =>
        other.bench === "matmul" &&
        other.kind === kind &&
        other.outputs === outputs &&
        other.k === k &&
        other.rows === rows,
    );
  const head = ["matmul", "rows", "us", "of read", "of mma", "torch int4 us", "", "torch f16 us", ""];
  const rows = results
    .filter((result) => shownRows.includes(result.rows))
    .map((result) => {
      const [int4, half] = [of("int4", result), of("f16", result)];
      return [
        `${result.kind} ${result.outputs} x ${result.k}`,
        result.rows,
        micros(result),
        percent(result.bandwidth_fraction),
        percent(result.ceiling_fraction),
        ...(result.kind.startsWith("int4") ? [micros(int4), ratio(result, int4)] : ["", ""]),
        micros(half),
        ratio(result, half),
      ];
    });
  return textTable([head, ...rows], [1, 2, 3, 4, 5, 6, 7, 8]);
}

function attentionTable(results, torch) {
  const head = ["attention", "KV", "depth", "rows", "us", "of read", "of mma", "torch f16 us", ""];
  const rows = results.map((result) => {
    const name = result.case.replace(/ (int4|f16)\b/, "").replace(/^(\d+B)$/, "$1 decode");
    const other = torch.find((candidate) => candidate.bench === "attention" && candidate.case === name);
    return [
      result.case,
      result.kv,
      result.depth,
      result.rows,
      micros(result),
      percent(result.bandwidth_fraction),
      percent(result.ceiling_fraction),
      micros(other),
      ratio(result, other),
    ];
  });
  return textTable([head, ...rows], [2, 3, 4, 5, 6, 7, 8]);
}

function modelTable({ model, bandwidth, results }) {
  const rows = results.map((result) => {
    const size = {
      prefill: result.tokens,
      decode: result.depth,
      forward: result.rows,
      propose: result.tokens,
    };
    return [
      `${result.test} ${size[result.test]}${result.batch > 1 ? ` x ${result.batch}` : ""}`,
      result.tokensPerSecond.toFixed(1),
      result.ms.p50.toFixed(3),
    ];
  });
  const name = `${model.architecture}, ${(model.parameterCount / 1e9).toFixed(2)}e9 parameters`;
  const share = `${percent(bandwidth.decodeFraction)} of ${bandwidth.readGBps.toFixed(0)} GB/s`;
  return `${textTable([["air bench", "tok/s", "ms p50"], ...rows], [1, 2])}\n${name}; decoding reads its weights at ${share}`;
}

/** A table for each bench that was run. */
export function benchTables(stages) {
  const measured = stages.find(({ stage }) => stage === "bench")?.measured ?? {};
  const report = stages.find(({ stage }) => stage === "model")?.report;
  const torch = measured.torch?.results ?? [];
  return [
    ...(measured.matmul === undefined ? [] : [matmulTable(measured.matmul.results, torch)]),
    ...(measured.attention === undefined ? [] : [attentionTable(measured.attention.results, torch)]),
    ...(report === undefined ? [] : [modelTable(report)]),
  ];
}
