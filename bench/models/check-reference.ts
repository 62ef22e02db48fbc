/**
 * Checks the engine against reference numbers that were computed in float32 by an independent program:
 * perplexity of a text, and the greedy continuation of some prompts.
 *
 *   npx tsx bench/models/check-reference.ts DIR
 *
 * DIR holds REFERENCE.json, eval.txt and <model>-f16.gguf for every model that REFERENCE.json names.
 * Exits with 1 when a perplexity is off by more than its bound or a greedy token differs by more than noise.
 */
import { readFile } from "node:fs/promises";
import { join } from "node:path";

import { loadModel, type Model, perplexity } from "../../lib/index.js";

interface ReferencePrompt {
  readonly name: string;
  readonly text: string;
  readonly ids: readonly number[];
  readonly greedy: readonly number[];
}

interface Reference {
  readonly models: Readonly<
    Record<
      string,
      { readonly prompts: readonly ReferencePrompt[]; readonly ppl_f32: { readonly ppl: number } }
    >
  >;
}

/** Bounds of the relative difference from the float32 reference. */
const perplexityBounds = { f16: 0.002, int8: 0.005 } as const;
/** A reference token that is not our argmax may be this far below it, in logits: the noise of float16 keys and values. */
const tieGap = 0.02;

let failures = 0;

function report(ok: boolean, line: string): void {
  if (!ok) failures += 1;
  console.log(`${ok ? "ok  " : "FAIL"} ${line}`);
}

async function checkPerplexity(
  model: Model,
  name: string,
  kv: keyof typeof perplexityBounds,
  text: string,
  expected: number,
): Promise<void> {
  const tokens = model.tokenizer.encode(text, { bos: false });
  const result = await perplexity(model, tokens, { contextTokens: 512, stride: 512 });
  const difference = result.perplexity / expected - 1;
  report(
    Math.abs(difference) <= perplexityBounds[kv],
    `${name} ${kv.padEnd(4)} KV: perplexity ${result.perplexity.toFixed(4)} over ${String(result.tokens)} tokens, ` +
      `reference ${expected.toFixed(4)} (${(difference * 100).toFixed(4)}%)`,
  );
}

/** Feeds the reference continuation and compares our argmax at every step. */
async function checkGreedy(model: Model, name: string, prompt: ReferencePrompt): Promise<void> {
  const ids = model.tokenizer.encode(prompt.text, { special: true });
  const sameIds = ids.length === prompt.ids.length && prompt.ids.every((id, index) => ids[index] === id);
  const tokens = Int32Array.from([...prompt.ids, ...prompt.greedy]);
  const first = prompt.ids.length - 1;
  const ties: string[] = [];
  let wrong = 0;
  const best = new Int32Array(1);
  await model.evaluate(tokens.subarray(0, tokens.length - 1), {
    logitsFrom: first,
    onRow: (row, index) => {
      model.rowOps.argmaxRows(row, row.length, best);
      const expected = tokens[index + 1] ?? -1;
      const chosen = best[0] ?? -1;
      if (chosen === expected) return;
      const gap = (row[chosen] ?? NaN) - (row[expected] ?? NaN);
      ties.push(
        `step ${String(index - first)}: ours ${String(chosen)}, reference ${String(expected)}, gap ${gap.toFixed(5)}`,
      );
      if (!(gap <= tieGap)) wrong += 1;
    },
  });
  const equal = prompt.greedy.length - ties.length;
  report(
    sameIds && wrong === 0,
    `${name} greedy "${prompt.name}": prompt ids ${sameIds ? "equal" : "DIFFER"}, ` +
      `${String(equal)} of ${String(prompt.greedy.length)} tokens equal${ties.map((tie) => `; ${tie}`).join("")}`,
  );
}

const [directory] = process.argv.slice(2);
if (directory === undefined) {
  console.error("usage: npx tsx bench/models/check-reference.ts DIR");
  process.exit(2);
}
const reference = JSON.parse(await readFile(join(directory, "REFERENCE.json"), "utf8")) as Reference;
const text = await readFile(join(directory, "eval.txt"), "utf8");
for (const [name, expected] of Object.entries(reference.models)) {
  for (const kv of ["f16", "int8"] as const) {
    const model = await loadModel(join(directory, `${name}-f16.gguf`), { kv, contextTokens: 1024 });
    await checkPerplexity(model, name, kv, text, expected.ppl_f32.ppl);
    if (kv === "f16") for (const prompt of expected.prompts) await checkGreedy(model, name, prompt);
    model.close();
  }
}
process.exitCode = failures === 0 ? 0 : 1;
