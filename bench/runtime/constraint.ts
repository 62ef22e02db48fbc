// What constrained output costs: npx tsx bench/runtime/constraint.ts [tokens of a synthetic vocabulary, 128000]
// Prints, for each schema, the time to compile it, and of random walks through it: the time of the first mask of each
// kind (median and largest), of a mask that was seen before, and of accepting a token.
import { compileJsonSchema } from "../../lib/constraint/json-schema.js";
import { readGguf } from "../../lib/model/gguf.js";
import type { MetadataValue } from "../../lib/model/metadata.js";
import { createTokenizer, type Tokenizer } from "../../lib/model/tokenizer.js";
import { uniform } from "../../lib/util/rng.js";

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

function timed<Value>(times: number[], work: () => Value): Value {
  const start = performance.now();
  const value = work();
  times.push(performance.now() - start);
  return value;
}

function quantile(times: readonly number[], part: number): string {
  const sorted = [...times].sort((a, b) => a - b);
  return (sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * part))] ?? NaN)
    .toFixed(3)
    .padStart(8);
}

async function measure(name: string, tokenizer: Tokenizer): Promise<void> {
  const start = performance.now();
  await compileJsonSchema({ const: 0 }, tokenizer);
  console.log(
    `${name}: ${tokenizer.vocabSize} tokens, tree built in ${(performance.now() - start).toFixed(0)} ms`,
  );
  console.log(
    "schema                     compile ms   first mask ms: median, max   again: median   accept: median, max",
  );
  const row = new Float32Array(tokenizer.vocabSize);
  for (const [title, schema] of schemas) {
    const compileStart = performance.now();
    const compiled = await compileJsonSchema(schema, tokenizer);
    const compileMs = (performance.now() - compileStart).toFixed(1);
    const first: number[] = [];
    const again: number[] = [];
    const accept: number[] = [];
    for (let walk = 0; walk < 5; walk += 1) {
      const constraint = compiled.start();
      for (let length = 0; length < 200 && !constraint.complete; length += 1) {
        row.fill(0);
        timed(first, () => {
          constraint.mask(row);
        });
        const allowed = Array.from(row.keys()).filter((token) => row[token] === 0);
        row.fill(0);
        timed(again, () => {
          constraint.mask(row);
        });
        const token = allowed[Math.floor(uniform(walk, length, "draft") * allowed.length)] ?? NaN;
        if (tokenizer.endOfGenerationIds.includes(token)) break;
        timed(accept, () => {
          constraint.accept(token);
        });
      }
    }
    const columns = [
      quantile(first, 0.5),
      quantile(first, 1),
      quantile(again, 0.5),
      quantile(accept, 0.5),
      quantile(accept, 1),
    ];
    console.log(title.padEnd(26), compileMs.padStart(10), "  ", columns.join("   "));
  }
}

const chatModel = new URL("../../models/air-tiny-chat-q4_0.gguf", import.meta.url).pathname;
await measure("bundled chat model", createTokenizer((await readGguf(chatModel)).metadata));
await measure("synthetic vocabulary", syntheticTokenizer(Number(process.argv[2] ?? 128_000)));
