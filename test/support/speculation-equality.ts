import { readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";

import type { Model, ProposerName } from "../../lib/index.js";

export const modelFile = (name: string): string =>
  fileURLToPath(new URL(`../../models/${name}`, import.meta.url));

/** 200 beginnings of prose and code that none of the models was trained on. */
export function evalPrompts(count: number): readonly string[] {
  const file = fileURLToPath(new URL("../golden/eval-prompts.json", import.meta.url));
  const prompts = JSON.parse(readFileSync(file, "utf8")) as readonly string[];
  return prompts.filter((_, index) => index % Math.ceil(prompts.length / count) === 0);
}

/** A greedy text; without a proposer, one token a step. */
export async function greedyTokens(
  model: Model,
  prompt: string,
  maxTokens: number,
  drafting?: { readonly proposer: ProposerName; readonly maxDraftTokens: number },
): Promise<readonly number[]> {
  using session = model.createSession();
  const speculation =
    drafting === undefined
      ? "off"
      : { proposers: [drafting.proposer], maxDraftTokens: drafting.maxDraftTokens, adaptive: false };
  return (await session.generate(prompt, { maxTokens, speculation }).result).tokens;
}

/** Every proposer with drafts of 1 to 8 tokens. */
export const draftings = (["ngram", "draft-model"] as const).flatMap((proposer) =>
  Array.from({ length: 8 }, (_, index) => ({ proposer, maxDraftTokens: index + 1 })),
);
