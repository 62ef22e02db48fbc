/**
 * Acceptance of the trained pair against its reference, which was measured in float32 outside this runtime: on the
 * texts that the reference's target wrote, and on those that the target writes here.
 *
 *   npx tsx bench/speculation/acceptance.ts --target FILE --draft FILE [--kv int8|f16] [--threads 2] [--json]
 */
import { readFileSync } from "node:fs";
import { stdout } from "node:process";
import { parseArgs } from "node:util";

import { table } from "../../lib/cli/text.js";
import { invalidArgument } from "../../lib/errors/air-error.js";
import { type KvType, loadModel } from "../../lib/index.js";
import { type AcceptanceCount, countAcceptance } from "./acceptance-count.js";
import { draftRanks, greedyText } from "./draft-views.js";
import { readPromptDomains, specPromptsFile } from "./prompt-sets.js";

interface ReferenceCount extends AcceptanceCount {
  readonly draftTokens: number;
}

const { values } = parseArgs({
  options: {
    target: { type: "string" },
    draft: { type: "string" },
    kv: { type: "string", default: "int8" },
    threads: { type: "string", default: "2" },
    json: { type: "boolean", default: false },
  },
});
const { target, draft } = values;
if (target === undefined) throw invalidArgument("--target", "a GGUF file", target);
if (draft === undefined) throw invalidArgument("--draft", "a GGUF file", draft);

/** The reference's counts, by domain. */
const reference = JSON.parse(
  readFileSync(new URL("../prompts/spec-reference.json", import.meta.url), "utf8"),
) as Readonly<Record<string, readonly ReferenceCount[]>>;

const options = { threads: Number(values.threads), kv: values.kv as KvType };
using targetModel = await loadModel(target, options);
using draftModel = await loadModel(draft, options);
const rows = [];
for (const { domain, prompts } of readPromptDomains(specPromptsFile, Infinity)) {
  const given: (readonly number[])[] = [];
  const own: (readonly number[])[] = [];
  for (const { ids, text, target_greedy } of prompts) {
    given.push(await draftRanks(draftModel, { prompt: ids, tokens: target_greedy }));
    own.push(await draftRanks(draftModel, { prompt: ids, tokens: await greedyText(targetModel, text) }));
  }
  for (const { draftTokens, ...expected } of reference[domain] ?? []) {
    rows.push({
      domain,
      draftTokens,
      reference: expected,
      onReferenceTexts: countAcceptance(given, draftTokens),
      onOwnTexts: countAcceptance(own, draftTokens),
    });
  }
}

function share({ accepted, proposed }: AcceptanceCount): number {
  return (accepted / proposed) * 100;
}

function cells(count: AcceptanceCount, expected: AcceptanceCount): readonly string[] {
  const difference = share(count) - share(expected);
  return [`${share(count).toFixed(1)}%`, `${difference < 0 ? "" : "+"}${difference.toFixed(1)}`];
}

if (values.json) stdout.write(`${JSON.stringify(rows)}\n`);
else {
  const header = ["domain", "K", "reference", "its texts", "points", "own texts", "points"];
  const lines = rows.map((row) => [
    row.domain,
    String(row.draftTokens),
    `${share(row.reference).toFixed(1)}%`,
    ...cells(row.onReferenceTexts, row.reference),
    ...cells(row.onOwnTexts, row.reference),
  ]);
  const right = "right" as const;
  stdout.write(`${table([header, ...lines], ["left", right, right, right, right, right, right])}\n`);
}
