/**
 * Speculative against target-only generation, prompt by prompt in turns: acceptance, tokens per cycle, milliseconds per
 * token, and the measured speed-up beside the one that measured costs predict. Run it on an idle machine.
 *
 *   npx tsx bench/speculation/suite.ts --target FILE [--draft FILE] [--chat FILE] [--threads N] [--rounds 3]
 *       [--prompts 20] [--prompt-file FILE] [--out NAME] [--overhead] [--quick] [--json]
 *
 * With --draft: prose, code and chat of spec-prompts.json with 1 to 8 draft tokens and with the adaptive policy,
 * greedily and at temperature 0.8, and a draft of random weights. Always: n-gram lookup on prose. With --chat, a
 * model that answers bench/prompts/repetitive.ts: n-gram lookup where answers repeat their prompts. With --overhead:
 * only the draft of random weights and lookup on prose, which take more rounds to tell from the machine's own
 * changes. Writes bench/results/speculation-NAME.json, unless --quick.
 */
import { stderr, stdout } from "node:process";
import { parseArgs } from "node:util";

import { invalidArgument } from "../../lib/errors/air-error.js";
import { loadModel } from "../../lib/index.js";
import { loadModelParts } from "../../lib/runtime/load-model.js";
import { Model } from "../../lib/runtime/model.js";
import { measureCosts, type StepTimes } from "./costs.js";
import { readPromptDomains, specPromptsFile } from "./prompt-sets.js";
import { formatReport, type SpeculationSuiteReport } from "./report.js";
import { modelName, provenance, saveResults } from "./results.js";
import {
  measureDomains,
  measureProse,
  measureRepetitive,
  measureSampling,
  measureUseless,
  type SectionOptions,
} from "./sections.js";

const { values } = parseArgs({
  options: {
    target: { type: "string" },
    draft: { type: "string" },
    chat: { type: "string" },
    threads: { type: "string", default: "2" },
    rounds: { type: "string", default: "3" },
    prompts: { type: "string", default: "20" },
    "prompt-file": { type: "string", default: specPromptsFile },
    out: { type: "string" },
    overhead: { type: "boolean", default: false },
    quick: { type: "boolean", default: false },
    json: { type: "boolean", default: false },
  },
});
const { target, draft, chat, quick } = values;
if (target === undefined) throw invalidArgument("--target", "a GGUF file", target);
const promptsPerDomain = quick ? 2 : positive("--prompts", values.prompts);
const options: SectionOptions = {
  rounds: quick ? 1 : positive("--rounds", values.rounds),
  threads: positive("--threads", values.threads),
  onProgress: (section, fraction) => {
    if (stderr.isTTY) stderr.write(`\r\x1b[K${section} ${(fraction * 100).toFixed(0)}%`);
  },
};
/** Up to one row more than draft tokens. */
const draftTokens = quick ? [1, 4, 8] : [1, 2, 3, 4, 5, 6, 7, 8];
const mostRows = 9;

const measured = await measure(target);
stderr.write(stderr.isTTY ? "\r\x1b[K" : "");
const report: SpeculationSuiteReport = {
  ...provenance("bench/speculation/suite.ts"),
  target: modelName(target),
  ...(draft !== undefined && { draft: modelName(draft) }),
  ...(chat !== undefined && { chat: modelName(chat) }),
  settings: { threads: options.threads, rounds: options.rounds, promptsPerDomain },
  ...measured,
};
stdout.write(values.json ? `${JSON.stringify(report)}\n` : formatReport(report));
if (!quick) {
  const models = [target, ...(draft === undefined ? [] : [draft])].map(modelName);
  saveResults(`speculation-${values.out ?? models.join("-")}`, report);
}

async function measure(file: string): Promise<Pick<SpeculationSuiteReport, "costs" | "sections">> {
  const sections: SpeculationSuiteReport["sections"][number][] = [];
  let costs: StepTimes | undefined;
  const { threads } = options;
  if (draft !== undefined && !values.overhead) {
    const domains = readPromptDomains(values["prompt-file"], promptsPerDomain);
    const parts = await loadModelParts(file, { draft, threads });
    using model = new Model(parts);
    costs = await measureCosts(parts, mostRows, quick ? 4 : 24);
    sections.push({
      title: "Greedy",
      rows: await measureDomains(model, domains, draftTokens, costs, options),
    });
    sections.push({ title: "Temperature 0.8", rows: await measureSampling(model, domains, options) });
  }
  if (draft !== undefined) {
    sections.push({ title: "A useless draft model", rows: await measureUseless(file, draft, options) });
  }
  const lookup = [];
  if (chat !== undefined) {
    using model = await loadModel(chat, { threads });
    lookup.push(...(await measureRepetitive(model, options)));
  }
  using model = await loadModel(file, { threads });
  lookup.push(...(await measureProse(model, options)));
  sections.push({ title: "N-gram lookup", rows: lookup });
  return { ...(costs && { costs }), sections };
}

function positive(flag: string, text: string): number {
  const value = Number(text);
  if (!Number.isSafeInteger(value) || value < 1) throw invalidArgument(flag, "a positive whole number", text);
  return value;
}
