import type { Model } from "../../lib/index.js";
import { at } from "../../lib/util/array-access.js";

/** A greedy text of the target. */
export interface TargetText {
  readonly prompt: readonly number[];
  readonly tokens: readonly number[];
}

/** Most tokens of a text, as in the reference measurement. */
export const textTokens = 64;

/** What the target says to a prompt, up to 64 tokens, the token that ends the text included. */
export async function greedyText(model: Model, prompt: string): Promise<readonly number[]> {
  using session = model.createSession();
  const { tokens, finishReason } = await session.generate(prompt, {
    special: true,
    maxTokens: textTokens,
    speculation: "off",
  }).result;
  const end = model.tokenizer.endOfGenerationIds[0];
  return finishReason === "stop" && end !== undefined ? [...tokens, end] : tokens;
}

/** For each token of the text: how many tokens the draft model finds likelier there. */
export async function draftRanks(draft: Model, { prompt, tokens }: TargetText): Promise<readonly number[]> {
  const ranks: number[] = [];
  await draft.evaluate(Int32Array.from([...prompt, ...tokens.slice(0, -1)]), {
    logitsFrom: prompt.length - 1,
    onRow: (row) => {
      const logit = at(row, at(tokens, ranks.length));
      ranks.push(row.reduce((count, other) => count + (other > logit ? 1 : 0), 0));
    },
  });
  return ranks;
}

/** A path of the beam, and the logarithm of its probability. */
interface Path {
  readonly tokens: readonly number[];
  readonly logProbability: number;
}

const beamWidth = 2;

/** For each token of the text: how many tokens from there on are a path of the draft model's beam. */
export async function beamRight(draft: Model, text: TargetText, depth: number): Promise<readonly number[]> {
  const right: number[] = [];
  for (const start of text.tokens.keys()) right.push(await beamRightFrom(draft, text, start, depth));
  return right;
}

async function beamRightFrom(
  draft: Model,
  { prompt, tokens }: TargetText,
  start: number,
  depth: number,
): Promise<number> {
  const known = [...prompt, ...tokens.slice(0, start)];
  let beam: readonly Path[] = [{ tokens: [], logProbability: 0 }];
  for (let right = 0; right < Math.min(depth, tokens.length - start); right += 1) {
    const longer = await Promise.all(beam.map((path) => likeliestAfter(draft, known, path)));
    beam = longer
      .flat()
      .sort((a, b) => b.logProbability - a.logProbability)
      .slice(0, beamWidth);
    const isIn = beam.some((path) => path.tokens.every((token, place) => token === tokens[start + place]));
    if (!isIn) return right;
  }
  return Math.min(depth, tokens.length - start);
}

/** The path with each of its likeliest next tokens. */
async function likeliestAfter(draft: Model, known: readonly number[], path: Path): Promise<readonly Path[]> {
  const ids = new Int32Array(beamWidth);
  const logits = new Float32Array(beamWidth);
  let logTotal = 0;
  const context = Int32Array.from([...known, ...path.tokens]);
  await draft.evaluate(context, {
    logitsFrom: context.length - 1,
    onRow: (row) => {
      draft.rowOps.topKRow(row, beamWidth, ids, logits);
      logTotal = draft.rowOps.logSumExpRow(row);
    },
  });
  return Array.from(ids, (token, place) => ({
    tokens: [...path.tokens, token],
    logProbability: path.logProbability + at(logits, place) - logTotal,
  }));
}
