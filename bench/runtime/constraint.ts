/**
 * What constrained output costs: random walks through schemas, with the bundled model's vocabulary and a synthetic one.
 *
 *   npx tsx bench/runtime/constraint.ts [--vocab 128000]
 */
import { cpus } from "node:os";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";

import { percentile } from "../../lib/benchmark/statistics.js";
import { table } from "../../lib/cli/text.js";
import { compileJsonSchema } from "../../lib/constraint/json-schema.js";
import { readGguf } from "../../lib/model/gguf.js";
import type { MetadataValue } from "../../lib/model/metadata.js";
import { createTokenizer, type Tokenizer } from "../../lib/model/tokenizer.js";
import { uniform } from "../../lib/util/rng.js";

const chatModel = fileURLToPath(new URL("../../models/air-tiny-chat-q4_0.gguf", import.meta.url));
const walks = 5;
const longestWalk = 200;

const person = {
  type: "object",
  properties: {
    name: { type: "string" },
    email: { type: "string", format: "email" },
    age: { type: "integer", minimum: 0, maximum: 130 },
    tags: { type: "array", items: { type: "string", maxLength: 40 }, maxItems: 5 },
    role: { enum: ["admin", "editor", "reader"] },
  },
  required: ["name", "age", "tags", "role"],
};
const schemas: readonly (readonly [string, boolean | Readonly<Record<string, unknown>>])[] = [
  ["object of five properties", person],
  ["array of such objects", { type: "array", items: person }],
  ["string of at most 200", { type: "string", minLength: 100, maxLength: 200 }],
  ["date-time", { type: "string", format: "date-time" }],
  ["any JSON", true],
];

/** Byte-level tokens: all bytes, then pieces of random letters, digits and punctuation. */
function syntheticTokenizer(size: number): Tokenizer {
  let drawn = 0;
  const random = (): number => uniform(1, drawn++, "sample");
  const pick = (letters: string): string => letters[Math.floor(random() * letters.length)] ?? "";
  const letters = Array.from({ length: 256 }, (_, byte) => byteLetter(byte));
  const texts = new Set(letters);
  while (texts.size < size - 1) {
    const kind = random();
    const length = 2 + Math.floor(random() * 7);
    const alphabet =
      kind < 0.9 ? "etaoinshrdlucmfwypvbgkETAOIN" : kind < 0.95 ? '"{}[]:,.-_/()' : "0123456789";
    const piece = Array.from({ length }, () => pick(alphabet)).join("");
    texts.add((random() < 0.5 ? byteLetter(0x20) : "") + piece);
  }
  return createTokenizer(
    new Map<string, MetadataValue>([
      ["tokenizer.ggml.model", "gpt2"],
      ["tokenizer.ggml.pre", "gpt-2"],
      ["tokenizer.ggml.tokens", [...texts, "</s>"]],
      ["tokenizer.ggml.merges", []],
      ["tokenizer.ggml.eos_token_id", size - 1],
    ]),
  );
}

/** The letter that byte-level BPE writes a byte as. */
function byteLetter(byte: number): string {
  const printable = (byte >= 0x21 && byte <= 0x7e) || (byte >= 0xa1 && byte <= 0xac) || byte >= 0xae;
  if (printable) return String.fromCharCode(byte);
  const unprintable = byte <= 0x20 ? byte : byte <= 0xa0 ? byte - 0x7f + 0x21 : 0x43;
  return String.fromCharCode(0x100 + unprintable);
}

/** Runs work and notes its milliseconds. */
function timed(times: number[], work: () => void): void {
  const start = performance.now();
  work();
  times.push(performance.now() - start);
}

interface SchemaCost {
  readonly compileMs: number;
  readonly maskMs: readonly number[];
  readonly acceptMs: readonly number[];
}

async function measureSchema(tokenizer: Tokenizer, schema: (typeof schemas)[number][1]): Promise<SchemaCost> {
  const row = new Float32Array(tokenizer.vocabSize);
  const start = performance.now();
  const compiled = await compileJsonSchema(schema, tokenizer);
  const compileMs = performance.now() - start;
  const maskMs: number[] = [];
  const acceptMs: number[] = [];
  for (let walk = 0; walk < walks; walk += 1) {
    const constraint = compiled.start();
    for (let length = 0; length < longestWalk && !constraint.complete; length += 1) {
      row.fill(0);
      timed(maskMs, () => {
        constraint.mask(row);
      });
      const allowed = Array.from(row.keys()).filter((token) => row[token] === 0);
      const token = allowed[Math.floor(uniform(walk, length, "draft") * allowed.length)] ?? NaN;
      timed(acceptMs, () => {
        constraint.accept(token);
      });
    }
  }
  return { compileMs, maskMs, acceptMs };
}

async function measure(name: string, tokenizer: Tokenizer): Promise<void> {
  const start = performance.now();
  await compileJsonSchema({ const: 0 }, tokenizer);
  const treeMs = performance.now() - start;
  const rows = [["schema", "compile ms", "mask us", "p99 us", "max us", "accept us"]];
  for (const [title, schema] of schemas) {
    const { compileMs, maskMs, acceptMs } = await measureSchema(tokenizer, schema);
    const micros = [
      percentile(maskMs, 0.5),
      percentile(maskMs, 0.99),
      Math.max(...maskMs),
      percentile(acceptMs, 0.5),
    ];
    rows.push([title, compileMs.toFixed(1), ...micros.map((ms) => (ms * 1000).toFixed(0))]);
  }
  console.log(`${name}, ${tokenizer.vocabSize} tokens: tree built in ${treeMs.toFixed(0)} ms`);
  console.log(`${table(rows, ["left", ...rows.slice(1).map((): "right" => "right")])}\n`);
}

const { values: options } = parseArgs({ options: { vocab: { type: "string", default: "128000" } } });
console.log(`${cpus()[0]?.model ?? "unknown CPU"}, node ${process.version}\n`);
await measure("bundled model", createTokenizer((await readGguf(chatModel)).metadata));
await measure("synthetic", syntheticTokenizer(Number(options.vocab)));
