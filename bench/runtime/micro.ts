/**
 * Small pieces that every token or prompt pays for: row maths, tokenizer, building a batch.
 *
 *   npx tsx bench/runtime/micro.ts [--json]
 */
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";

import Benchmark from "benchmark";

import { keepAll } from "../../lib/cache/eviction-policy.js";
import { PageTable } from "../../lib/cache/page-table.js";
import { PagePool } from "../../lib/cache/page-pool.js";
import { describeMachine } from "../../lib/benchmark/machine.js";
import { percentile } from "../../lib/benchmark/statistics.js";
import { table } from "../../lib/cli/text.js";
import { BatchBuilder } from "../../lib/engine/batch-builder.js";
import { type GrantedShare, reservePages } from "../../lib/engine/page-reservation.js";
import { shareOf } from "../../lib/engine/scheduler.js";
import { Sequence } from "../../lib/engine/sequence.js";
import { readGguf } from "../../lib/model/gguf.js";
import { createTokenizer } from "../../lib/model/tokenizer.js";
import { loadAddon } from "../../lib/native/load.js";
import { uniform } from "../../lib/util/rng.js";

interface MicroResult {
  readonly name: string;
  readonly microsPerCall: number;
  readonly p90Micros: number;
  /** Relative margin of error of the mean, in percent. */
  readonly marginPercent: number;
}

const chatModel = fileURLToPath(new URL("../../models/air-tiny-chat-q4_0.gguf", import.meta.url));
const vocabSize = 32_000;
const pageTokens = 32;
const addon = loadAddon();

/** Row maths over one row of a common vocabulary size. */
function rowCases(): Readonly<Record<string, () => void>> {
  const logits = Float32Array.from({ length: vocabSize }, (_, index) => uniform(1, index, "sample") * 16 - 8);
  const row = logits.slice();
  const weights = logits.map((logit) => Math.exp(logit));
  const ids = new Int32Array(40);
  const values = new Float32Array(40);
  return {
    "argmaxRows, 1 row": () => {
      addon.argmaxRows(logits, vocabSize, ids);
    },
    "softmaxRows, 1 row, copied": () => {
      row.set(logits);
      addon.softmaxRows(row, vocabSize, 0.8);
    },
    "topKRow, k 40": () => {
      addon.topKRow(logits, 40, ids, values);
    },
    "sampleRow, every token": () => addon.sampleRow(weights, undefined, 1, 2, 3),
    "sampleRow, 40 tokens": () => addon.sampleRow(values, ids, 1, 2, 3),
    logSumExpRow: () => addon.logSumExpRow(logits),
    "argmaxRows, a row of one value": () => {
      addon.argmaxRows(values.subarray(0, 1), 1, ids);
    },
  };
}

/** Encoding and decoding with the bundled model's tokenizer. */
async function tokenizerCases(): Promise<Readonly<Record<string, () => void>>> {
  const tokenizer = createTokenizer((await readGguf(chatModel)).metadata);
  const sentence = "What is 12 times 7, and why does a kettle whistle when the water boils? ";
  const page = sentence.repeat(50);
  const ids = tokenizer.encode(page);
  return {
    [`encode, ${sentence.length} characters`]: () => tokenizer.encode(sentence),
    [`encode, ${page.length} characters`]: () => tokenizer.encode(page),
    [`decode, ${ids.length} tokens`]: () => tokenizer.decode(ids),
  };
}

/** Shares of sequences that have `tokens` tokens, of which the last `pending` are computed in this step. */
function grantShares(sequences: number, tokens: number, pending: number): readonly GrantedShare[] {
  const pool = new PagePool(sequences * Math.ceil(tokens / pageTokens) + 1);
  const holders = Array.from({ length: sequences }, (_, arrival) => {
    const sequence = new Sequence(new PageTable([pool], pageTokens, () => undefined), "");
    sequence.begin(new Int32Array(tokens).fill(7), tokens - 1);
    sequence.table.append(tokens - pending);
    sequence.state = "running";
    sequence.arrival = arrival;
    return sequence;
  });
  const shares = holders.map((sequence) => shareOf(sequence, pending));
  return reservePages(shares, holders, 1, keepAll).granted;
}

function batchCases(): Readonly<Record<string, () => void>> {
  const builder = new BatchBuilder(1);
  const cases = [
    ["batch of 1 sequence at depth 4096", grantShares(1, 4096, 1)],
    ["batch of 8 sequences at depth 1024", grantShares(8, 1024, 1)],
    ["batch of 512 prompt tokens", grantShares(1, 512, 512)],
  ] as const;
  return Object.fromEntries(cases.map(([name, shares]) => [name, () => builder.build(shares)]));
}

/** Runs a case for about half a second. */
function measure(name: string, work: () => void): MicroResult {
  const benchmark = new Benchmark(name, work, { maxTime: 0.5 });
  benchmark.run({ async: false });
  // A case that throws is not thrown on, but kept here; its times would mean nothing.
  if ((benchmark.error as unknown) !== undefined) throw benchmark.error;
  const { mean, rme, sample } = benchmark.stats;
  return { name, microsPerCall: mean * 1e6, p90Micros: percentile(sample, 0.9) * 1e6, marginPercent: rme };
}

const { values: options } = parseArgs({ options: { json: { type: "boolean", default: false } } });
const cases = { ...rowCases(), ...(await tokenizerCases()), ...batchCases() };
const results = Object.entries(cases).map(([name, work]) => measure(name, work));
const machine = describeMachine(addon);
if (options.json) {
  process.stdout.write(`${JSON.stringify({ machine, results })}\n`);
} else {
  const rows = results.map(({ name, microsPerCall, p90Micros, marginPercent }) => [
    name,
    microsPerCall.toFixed(2),
    p90Micros.toFixed(2),
    `${marginPercent.toFixed(1)}%`,
  ]);
  process.stdout.write(`${machine.cpu}, ${machine.isa}, node ${machine.node}; rows of ${vocabSize}\n\n`);
  process.stdout.write(
    `${table([["", "us/call", "p90", "+-"], ...rows], ["left", "right", "right", "right"])}\n`,
  );
}
