/**
 * Would draft trees beat chains? Runs the target's own greedy texts through cycles of chains, of chains with siblings
 * and of beams of two paths, with the draft model's real logits, and weighs the accepted tokens against measured costs.
 *
 *   npx tsx bench/speculation/trees.ts --target FILE --draft FILE [--as FILE ...] [--threads 2] [--quick] [--json]
 *
 * --as names inflated versions of the draft model: they say the same, so only their costs are measured. Writes
 * bench/results/draft-trees.json, unless --quick, which takes two prompts of each domain.
 */
import { stderr, stdout } from "node:process";
import { parseArgs } from "node:util";

import { table } from "../../lib/cli/text.js";
import { invalidArgument } from "../../lib/errors/air-error.js";
import { loadModel } from "../../lib/index.js";
import { loadModelParts } from "../../lib/runtime/load-model.js";
import { at } from "../../lib/util/array-access.js";
import { measureCosts, stepMs, type StepTimes } from "./costs.js";
import { beamRight, draftRanks, greedyText, type TargetText, textTokens } from "./draft-views.js";
import { formatCosts } from "./report.js";
import { modelName, provenance, saveResults } from "./results.js";
import { readPromptDomains, specPromptsFile } from "./prompt-sets.js";
import {
  chainShapes,
  type SimulatedCycles,
  simulateBeam,
  simulateTree,
  tokensPerMs,
  type TreeCosts,
  treeShapes,
} from "./tree-simulation.js";

const { values } = parseArgs({
  options: {
    target: { type: "string" },
    draft: { type: "string" },
    as: { type: "string", multiple: true, default: [] },
    threads: { type: "string", default: "2" },
    quick: { type: "boolean", default: false },
    json: { type: "boolean", default: false },
  },
});
const { target, draft } = values;
if (target === undefined) throw invalidArgument("--target", "a GGUF file", target);
if (draft === undefined) throw invalidArgument("--draft", "a GGUF file", draft);
const threads = Number(values.threads);

const mostRows = 16;
const beamDepth = 7;
const { quick } = values;
const promptsPerDomain = quick ? 2 : 20;
const costRepeats = quick ? 4 : 24;

/** The best of one kind of draft. */
interface Best {
  readonly shape: string;
  /** Tokens per cycle. */
  readonly expectedTokens: number;
  readonly meanRows: number;
  readonly tokensPerMs: number;
}

/** What each domain's drafts accept. */
interface DomainDrafts {
  readonly domain: string;
  readonly kinds: Readonly<
    Record<string, readonly { readonly shape: string; readonly cycles: SimulatedCycles }[]>
  >;
}

/** The best drafts of each kind, for one draft model and domain. */
interface TreeResult {
  readonly draft: string;
  readonly domain: string;
  readonly costs: StepTimes;
  /** Chains first. */
  readonly best: readonly (Best & { readonly kind: string })[];
}

const simulated = await simulateDomains(target, draft);
const results: TreeResult[] = [];
for (const file of [draft, ...values.as])
  results.push(...weigh(file, simulated, await treeCosts(target, file)));
const report = {
  ...provenance("bench/speculation/trees.ts"),
  target: modelName(target),
  settings: { threads, promptsPerDomain, mostRows },
  results,
};
stdout.write(values.json ? `${JSON.stringify(report)}\n` : `${format(results)}\n`);
if (!quick) saveResults("draft-trees", report);

async function simulateDomains(targetFile: string, draftFile: string): Promise<readonly DomainDrafts[]> {
  using targetModel = await loadModel(targetFile, { threads });
  using draftModel = await loadModel(draftFile, { threads });
  const domains: DomainDrafts[] = [];
  for (const { domain, prompts } of readPromptDomains(specPromptsFile, promptsPerDomain)) {
    const texts: TargetText[] = [];
    for (const { ids, text } of prompts)
      texts.push({ prompt: ids, tokens: await greedyText(targetModel, text) });
    const ranks: (readonly number[])[] = [];
    const right: (readonly number[])[] = [];
    for (const [index, text] of texts.entries()) {
      ranks.push(await draftRanks(draftModel, text));
      right.push(await beamRight(draftModel, text, beamDepth));
      if (stderr.isTTY) stderr.write(`\r\x1b[K${domain} ${index + 1}/${texts.length}`);
    }
    const trees = treeShapes(mostRows).map((shape) => ({
      shape: `${shape.depth} deep, ${shape.width} wide for ${shape.siblingDepths}`,
      cycles: simulateTree(ranks, shape, textTokens),
    }));
    const firstOnly = trees.filter(({ shape }) => shape.endsWith("2 wide for 1"));
    const chain = chainShapes(mostRows).map((shape) => ({
      shape: `${shape.depth} deep`,
      cycles: simulateTree(ranks, shape, textTokens),
    }));
    const beam = Array.from({ length: beamDepth }, (_, index) => ({
      shape: `${index + 1} deep`,
      cycles: simulateBeam(right, index + 1, textTokens),
    }));
    domains.push({ domain, kinds: { chain, "two first tokens": firstOnly, "any siblings": trees, beam } });
  }
  if (stderr.isTTY) stderr.write("\r\x1b[K");
  return domains;
}

interface MeasuredTreeCosts {
  readonly times: StepTimes;
  readonly narrow: TreeCosts;
  readonly beam: TreeCosts;
}

/** Costs with this draft model; a beam's draft steps have two rows after the first. */
async function treeCosts(targetFile: string, draftFile: string): Promise<MeasuredTreeCosts> {
  const parts = await loadModelParts(targetFile, { draft: draftFile, threads });
  const opened = [parts, ...(parts.draft === undefined ? [] : [parts.draft])];
  try {
    const times = await measureCosts(parts, mostRows, costRepeats);
    const { draftMs = 0 } = times;
    const { rowMs: draftRowMs } = await measureCosts(opened.at(-1) ?? parts, 2, costRepeats * 4);
    const narrow = {
      targetMs: (rows: number) => stepMs(times, rows),
      firstDraftMs: draftMs,
      nextDraftMs: draftMs,
    };
    return {
      times,
      narrow,
      beam: { ...narrow, nextDraftMs: (draftMs * at(draftRowMs, 1)) / at(draftRowMs, 0) },
    };
  } finally {
    for (const { runner, arena, native } of opened)
      for (const handle of [runner, arena, native]) handle.close();
  }
}

function weigh(
  draftFile: string,
  domains: readonly DomainDrafts[],
  { times, narrow, beam }: MeasuredTreeCosts,
): readonly TreeResult[] {
  return domains.map(({ domain, kinds }) => ({
    draft: modelName(draftFile),
    domain,
    costs: times,
    best: Object.entries(kinds).map(([kind, options]) => ({
      kind,
      ...bestOf(options, kind === "beam" ? beam : narrow),
    })),
  }));
}

function bestOf(options: DomainDrafts["kinds"][string], costs: TreeCosts): Best {
  const rated = options.map(({ shape, cycles }) => ({ shape, cycles, rate: tokensPerMs(cycles, costs) }));
  const { shape, cycles, rate } = rated.reduce((a, b) => (b.rate > a.rate ? b : a));
  const count = cycles.rows.length;
  return {
    shape,
    expectedTokens: cycles.tokens / count,
    meanRows: cycles.rows.reduce((sum, rows) => sum + rows, 0) / count,
    tokensPerMs: rate,
  };
}

function format(results: readonly TreeResult[]): string {
  const header = [
    "draft",
    "domain",
    "best",
    "",
    "tokens/cycle",
    "rows",
    "tokens/ms",
    "over chain",
    "speed-up",
  ];
  const rows = results.flatMap(({ draft: name, domain, costs, best }) => {
    const chain = best[0]?.tokensPerMs ?? NaN;
    return best.map(({ kind, shape, expectedTokens, meanRows, tokensPerMs: rate }) => [
      name,
      domain,
      kind,
      shape,
      expectedTokens.toFixed(2),
      meanRows.toFixed(1),
      rate.toFixed(4),
      `${(rate / chain).toFixed(3)}x`,
      `${(rate * stepMs(costs, 1)).toFixed(2)}x`,
    ]);
  });
  const costs = new Map(results.map(({ draft: name, costs: times }) => [name, times]));
  const right = "right" as const;
  const best = table([header, ...rows], ["left", "left", "left", "left", right, right, right, right, right]);
  return [...[...costs].map(([name, times]) => `${name}: ${formatCosts(times)}\n`), best].join("\n");
}
