// The whole comparison with node-llama-cpp per model file: decode, prefill, depth and memory, alternately, each run in
// a process of its own.
//   node suite.mjs FILE... [--threads 2] [-n 64] [--rounds 5] [--depth 8192] [--depth-rounds 3] [--busy]
// --depth 0 leaves the deep decode out; --busy decodes beside one busy loop as well. Prints a table of ratios per file
// and writes bench/results/cpu-<file>.json.
import { mkdir, mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { basename, join, relative } from "node:path";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";
import { nonNegativeInteger, peerVersion, positiveInteger, usageError } from "./peer.mjs";
import {
  besideBusyLoop,
  formatColumns,
  formatSpread,
  progress,
  provenance,
  runJson,
  summary,
} from "./runs.mjs";
import { airFacts } from "./suite-facts.mjs";

const here = fileURLToPath(new URL(".", import.meta.url));
const airCli = join(here, "../../dist/cli/main.js");
const resultsFolder = join(here, "../results");

const { values, positionals: models } = parseArgs({
  allowPositionals: true,
  options: {
    threads: { type: "string", default: "2" },
    tokens: { type: "string", short: "n", default: "64" },
    rounds: { type: "string", default: "5" },
    depth: { type: "string", default: "8192" },
    "depth-rounds": { type: "string", default: "3" },
    busy: { type: "boolean", default: false },
  },
});
if (models.length === 0) usageError("expected at least one model FILE");
const settings = {
  threads: positiveInteger(values.threads, "--threads"),
  decodeTokens: positiveInteger(values.tokens, "--tokens"),
  rounds: positiveInteger(values.rounds, "--rounds"),
  depth: nonNegativeInteger(values.depth, "--depth"),
  depthRounds: positiveInteger(values["depth-rounds"], "--depth-rounds"),
  promptTokens: 512,
  contextTokens: 4096,
};
if (settings.decodeTokens >= settings.contextTokens)
  usageError(`expected less than ${settings.contextTokens} for --tokens but received ${values.tokens}`);

for (const model of models) {
  const result = await compareOn(model);
  printTable(result);
  await mkdir(resultsFolder, { recursive: true });
  const resultPath = join(resultsFolder, `cpu-${result.model}.json`);
  await writeFile(resultPath, `${JSON.stringify(result, null, 2)}\n`);
  process.stdout.write(`\nwritten to ${relative(process.cwd(), resultPath)}\n\n`);
}

/** Runs everything on one file. */
async function compareOn(model) {
  const stateFolder = await mkdtemp(join(tmpdir(), "air-suite-"));
  try {
    const runs = {};
    await alternate(runs, settings.rounds, plainRuns(model));
    if (settings.depth > 0) await alternate(runs, settings.depthRounds, deepRuns(model, stateFolder));
    if (values.busy) await alternate(runs, settings.rounds, plainRuns(model, "busy"), besideBusyLoop);
    const { machine, ...when } = provenance("bench/peers/suite.mjs");
    return {
      ...when,
      machine: { ...runs.air[0].machine, loadAverage: machine.loadAverage },
      model: basename(model, ".gguf"),
      peer: peerVersion(),
      settings,
      rows: compareRuns(runs),
      air: airFacts(runs, settings),
    };
  } finally {
    await rm(stateFolder, { recursive: true });
    progress("");
  }
}

/** Adds the results of `rounds` runs of each command to `runs`, in an order that turns around every round. */
async function alternate(runs, rounds, commands, wrap = (work) => work()) {
  const names = Object.keys(commands);
  for (let round = 0; round < rounds; round++) {
    // Swapping who goes first keeps a machine that warms up or slows down from favouring one side.
    for (const name of round % 2 === 0 ? names : names.toReversed()) {
      progress(`round ${round + 1}/${rounds} ${name}`);
      (runs[name] ??= []).push(await wrap(() => runJson(commands[name])));
    }
  }
}

function airBench(model, threads, ...args) {
  return [airCli, "bench", "-m", model, "--threads", threads, "-n", settings.decodeTokens, "--json", ...args].map(
    String,
  );
}

function peerBench(model, threads, ...args) {
  const script = join(here, "peer-bench.mjs");
  return [script, "--model", model, "--threads", threads, "-n", settings.decodeTokens, ...args].map(String);
}

/**
 * Decode at depth 0 with all threads and with one. The run with all threads does the prefill as well, and its context
 * has 4096 tokens, of which ours are all written to, so that its peak RSS counts them.
 */
function plainRuns(model, suffix = "") {
  const { threads, promptTokens, contextTokens, decodeTokens } = settings;
  const name = (side) => (suffix === "" ? side : `${side}-${suffix}`);
  if (suffix !== "") {
    return {
      [name("air")]: airBench(model, threads, "-p", 1, "-d", 0, "-b", 1),
      [name("peer")]: peerBench(model, threads, "-p", 0),
    };
  }
  const depths = `0,${contextTokens - decodeTokens}`;
  return {
    air: airBench(model, threads, "-p", promptTokens, "-d", depths, "-b", "1,8"),
    peer: peerBench(model, threads, "-p", promptTokens, "--ctx", contextTokens),
    ...(threads > 1 && {
      "air-1-thread": airBench(model, 1, "-p", 1, "-d", 0, "-b", 1),
      "peer-1-thread": peerBench(model, 1, "-p", 0),
    }),
  };
}

/** Decode at the depth, ours in int8; the peer's in its default and in the type of the same size. */
function deepRuns(model, stateFolder) {
  const { threads, depth } = settings;
  const peer = (kv) =>
    peerBench(model, threads, "-p", 0, "-d", depth, "--kv", kv, "--state", join(stateFolder, kv));
  return {
    "air-deep": airBench(model, threads, "-p", 1, "-d", depth, "-b", 1),
    "peer-deep-f16": peer("F16"),
    "peer-deep-q8_0": peer("Q8_0"),
  };
}

/** One row per thing compared; where the peer has several ways, its better one is named. */
function compareRuns(runs) {
  const { threads, depth, promptTokens, contextTokens } = settings;
  const read = (name, get) => (runs[name] === undefined ? undefined : summary(runs[name].map(get)));
  const session = (run) => run.session.tokensPerSecond;
  const decode = (run) => run.decodeTokensPerSecond;
  const rss = (run) => run.memory.peakRssBytes / 2 ** 20;
  const oneThread = read("peer-1-thread", decode);
  const allThreads = read("peer", decode);
  const peerUsesOne = oneThread !== undefined && oneThread.median > allThreads.median;
  const deep = read("air-deep", (run) => deepTokensPerSecond(run, depth));
  const rows = [
    {
      label: `decode tok/s (peer: ${peerUsesOne ? "1 thread" : `${threads} threads`})`,
      test: "decode",
      air: read("air", session),
      peer: peerUsesOne ? oneThread : allThreads,
    },
    {
      label: `prefill ${promptTokens} tok/s`,
      test: "prefill",
      air: read("air", (run) => run.results.find(({ test }) => test === "prefill").tokensPerSecond),
      peer: read("peer", (run) => run.prefillTokensPerSecond),
    },
    {
      label: `decode at ${depth} tok/s (peer: f16)`,
      test: "deep-f16",
      air: deep,
      peer: read("peer-deep-f16", decode),
    },
    {
      label: `decode at ${depth} tok/s (peer: q8_0)`,
      test: "deep-q8_0",
      air: deep,
      peer: read("peer-deep-q8_0", decode),
    },
    {
      label: `decode beside a busy loop tok/s`,
      test: "busy",
      air: read("air-busy", session),
      peer: read("peer-busy", decode),
    },
    {
      label: `peak RSS MiB, context ${contextTokens}`,
      test: "rss",
      air: read("air", rss),
      peer: read("peer", rss),
    },
  ];
  return rows
    .filter((row) => row.air !== undefined && row.peer !== undefined)
    .map((row) => ({ ...row, ratio: row.air.median / row.peer.median }));
}

/** The rate at the depth as the public API gives it: the forward pass, and what comes on top at depth 0. */
function deepTokensPerSecond({ results, session }, depth) {
  const { tokensPerSecond } = results.find((result) => result.test === "decode" && result.depth === depth);
  return 1000 / (1000 / tokensPerSecond + session.overheadMs);
}

function printTable({ model, peer, rows, air }) {
  const { threads, decodeTokens, rounds } = settings;
  process.stdout.write(
    `${model}: ${threads} threads, ${decodeTokens} tokens, median (range) of ${rounds} alternating runs\n\n`,
  );
  const lines = rows.map((row) => [
    row.label,
    formatSpread(row.air),
    formatSpread(row.peer),
    `${row.ratio.toFixed(2)}x`,
  ]);
  process.stdout.write(`${formatColumns([["", "air-runtime", peer, "air / peer"], ...lines])}\n\n`);
  const facts = Object.values(air).map(({ label, value }) => [label, value.toPrecision(3)]);
  process.stdout.write(`${formatColumns(facts)}\n`);
}
