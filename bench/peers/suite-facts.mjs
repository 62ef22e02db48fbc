// What the runs of suite.mjs say about air-runtime alone.
import { summary } from "./runs.mjs";

/**
 * Medians over the runs, each with the words that a table shows.
 * @param {Record<string, readonly any[]>} runs reports of `air bench --json` by name of the run
 * @param {{ depth: number }} settings
 */
export function airFacts(runs, { depth }) {
  const median = (name, read) => summary(runs[name].map(read)).median;
  const facts = {
    readGBps: { label: "read bandwidth GB/s", value: median("air", (run) => run.bandwidth.readGBps) },
    decodeFraction: {
      label: "decode, fraction of bandwidth",
      value: median("air", (run) => run.bandwidth.decodeFraction),
    },
    overheadMs: {
      label: "ms per token outside the forward pass",
      value: median("air", (run) => run.session.overheadMs),
    },
    batch8Gain: {
      label: "8 sequences over 1, tok/s",
      value: median(
        "air",
        (run) =>
          result(run, { test: "decode", batch: 8 }).tokensPerSecond /
          result(run, { test: "decode", batch: 1 }).tokensPerSecond,
      ),
    },
  };
  for (const rows of [2, 4, 8, 16]) {
    facts[`forward${rows}Cost`] = {
      label: `forward of ${rows} rows over 1 row`,
      value: median("air", (run) => stepMs(run, { rows }) / stepMs(run, { rows: 1 })),
    };
  }
  if (runs["air-deep"] !== undefined) {
    facts.depthCost = {
      label: `time that depth ${depth} adds over reading its KV bytes`,
      value: median("air-deep", (run) => depthCost(run, depth)),
    };
  }
  if (runs["air-busy"] !== undefined && runs["air-1-thread"] !== undefined) {
    const rate = (name) => median(name, (run) => run.session.tokensPerSecond);
    facts.busyOverOneThread = {
      label: "decode beside a busy loop over 1 thread alone",
      value: rate("air-busy") / rate("air-1-thread"),
    };
  }
  return facts;
}

function result({ results }, wanted) {
  return results.find((candidate) =>
    Object.entries(wanted).every(([field, value]) => candidate[field] === value),
  );
}

/** Median milliseconds of a step of some rows. */
function stepMs(run, { rows }) {
  return result(run, { test: "forward", rows }).ms.p50;
}

/** Milliseconds that the depth adds to a step, over those that its keys and values take at the measured bandwidth. */
function depthCost(run, depth) {
  const addedMs =
    result(run, { test: "decode", depth, batch: 1 }).ms.p50 -
    result(run, { test: "decode", depth: 0, batch: 1 }).ms.p50;
  const readMs = (depth * run.memory.kvBytesPerToken) / (run.bandwidth.readGBps * 1e6);
  return addedMs / readMs;
}
