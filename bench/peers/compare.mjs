// air-runtime and node-llama-cpp on the same file, alternately, each run in its own process.
//   node compare.mjs --model FILE [--threads 2] [-n 64] [--rounds 5] [--kv f16] [--prompt TEXT | --prompt-file FILE]
//                    [--text FILE]   compares perplexity over FILE as well
import { mkdir, readFile, writeFile } from "node:fs/promises";
import { basename, join, relative } from "node:path";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";
import { peerVersion, positiveInteger, usageError } from "./peer.mjs";
import { formatColumns, formatSpread, progress, provenance, runJson, summary } from "./runs.mjs";

const here = fileURLToPath(new URL(".", import.meta.url));
const airCli = join(here, "../../dist/cli/main.js");
const resultsFolder = join(here, "../results");
const defaultPrompt = "A generator function in Python is a function that";

const { values } = parseArgs({
  options: {
    model: { type: "string" },
    threads: { type: "string", default: "2" },
    tokens: { type: "string", short: "n", default: "64" },
    rounds: { type: "string", default: "5" },
    kv: { type: "string", default: "f16" },
    prompt: { type: "string", default: defaultPrompt },
    "prompt-file": { type: "string" },
    text: { type: "string" },
  },
});
const { model, threads, tokens, kv, text } = values;
if (model === undefined) usageError("expected --model FILE");
const rounds = positiveInteger(values.rounds, "--rounds");
positiveInteger(threads, "--threads");
positiveInteger(tokens, "--tokens");
const promptFile = values["prompt-file"];
const prompt = promptFile === undefined ? values.prompt : await readFile(promptFile, "utf8");

/** The same work for both, as arguments of node. Both print one JSON object with the same field names. */
const generate = {
  air: [
    ...[airCli, "generate", "-m", model, "--raw", "-n", tokens, "--temp", "0", "--threads", threads],
    ...["--kv", kv, "--json", prompt],
  ],
  peer: [join(here, "peer-generate.mjs"), "--model", model, "-n", tokens, "--threads", threads, prompt],
};
const perplexity = {
  air: [
    ...[airCli, "perplexity", "-m", model, "-f", text, "--ctx", "512", "--threads", threads],
    ...["--kv", kv, "--json"],
  ],
  peer: [
    ...[join(here, "peer-perplexity.mjs"), "--model", model, "--file", text, "--ctx", "512"],
    ...["--threads", threads],
  ],
};

/** What is compared, and how to read it from the object that a run prints. */
const measures = [
  { label: "decode tok/s", read: (run) => run.timings.decodeTokensPerSecond },
  { label: "prefill tok/s", read: (run) => run.timings.prefillTokensPerSecond },
  { label: "first token ms", read: (run) => run.timings.timeToFirstTokenMs },
  { label: "load ms", read: (run) => run.timings.loadMs },
  { label: "peak RSS MiB", read: (run) => run.memory.peakRssBytes / 2 ** 20 },
];

const runs = { air: [], peer: [] };
for (let round = 0; round < rounds; round++) {
  // Swapping who goes first keeps a machine that warms up or slows down from favouring one side.
  for (const side of round % 2 === 0 ? ["air", "peer"] : ["peer", "air"]) {
    progress(`round ${round + 1}/${rounds} ${side}`);
    runs[side].push(await runJson(generate[side]));
  }
}
progress("");

const rows = measures.map(({ label, read }) => ({
  label,
  air: summary(runs.air.map(read)),
  peer: summary(runs.peer.map(read)),
}));
if (text !== undefined) {
  const air = await runJson(perplexity.air);
  const peer = await runJson(perplexity.peer);
  rows.push({ label: "perplexity", air: summary([air.perplexity]), peer: summary([peer.perplexity]) });
}
const equalTokens = commonPrefix(runs.air[0].tokens, runs.peer[0].tokens);
const result = {
  ...provenance("bench/peers/compare.mjs"),
  model: basename(model),
  peer: peerVersion(),
  settings: {
    threads: Number(threads),
    tokens: Number(tokens),
    rounds,
    kv,
    promptTokens: runs.peer[0].promptTokens,
  },
  equalTokens: { equal: equalTokens, of: runs.peer[0].tokens.length },
  rows: rows.map((row) => ({ ...row, ratio: row.air.median / row.peer.median })),
};
printTable(result);
await mkdir(resultsFolder, { recursive: true });
const resultPath = join(resultsFolder, `${basename(model, ".gguf")}-t${threads}-kv-${kv}.json`);
await writeFile(resultPath, `${JSON.stringify(result, null, 2)}\n`);
process.stdout.write(`\nwritten to ${relative(process.cwd(), resultPath)}\n`);

function commonPrefix(a, b) {
  const length = Math.min(a.length, b.length);
  for (let i = 0; i < length; i++) if (a[i] !== b[i]) return i;
  return length;
}

function printTable({ model: name, peer, settings, equalTokens: same, rows: table }) {
  process.stdout.write(
    `${name}: ${settings.threads} threads, ${settings.promptTokens} prompt tokens, ${settings.tokens} new, ` +
      `${settings.kv} KV here and f16 there, median (range) of ${settings.rounds}\n\n`,
  );
  const lines = table.map((row) => [
    row.label,
    formatSpread(row.air),
    formatSpread(row.peer),
    row.ratio.toFixed(3),
  ]);
  process.stdout.write(`${formatColumns([["", "air-runtime", peer, "air / peer"], ...lines])}\n`);
  process.stdout.write(`\ngreedy tokens before the first difference: ${same.equal} of ${same.of}\n`);
}
