/**
 * Would draft trees beat chains? Runs the target's own greedy texts through cycles of chains, of chains with siblings
 * and of beams of two paths, with the draft model's real logits, and weighs the accepted tokens against measured costs.
 *
 *   npx tsx bench/speculation/trees.ts --target FILE --draft FILE [--as FILE ...] [--threads N] [--prompts 20] [--json]
 *
 * --as names inflated versions of the draft model: they say the same, so only their costs are measured.
 */
import { basename } from "node:path";
import { stderr, stdout } from "node:process";
import { parseArgs } from "node:util";

import { table } from "../../lib/cli/text.js";
import { invalidArgument } from "../../lib/errors/air-error.js";
import { loadModel, type Model } from "../../lib/index.js";
import { loadModelParts } from "../../lib/runtime/load-model.js";
import { at } from "../../lib/util/array-access.js";
import { measureCosts } from "./costs.js";
import { beamRight, draftRanks, type TargetText } from "./draft-views.js";
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
    prompts: { type: "string", default: "20" },
    json: { type: "boolean", default: false },
  },
});
const { target, draft } = values;
if (target === undefined) throw invalidArgument("--target", "a GGUF file", target);
if (draft === undefined) throw invalidArgument("--draft", "a GGUF file", draft);
const threads = Number(values.threads);

const mostRows = 16;
const beamDepth = 7;
const textTokens = 64;
const costRepeats = 12;

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
  /** Milliseconds of a draft token, and of a step of the target with one row. */
  readonly draftMs: number;
  readonly targetMs: number;
  /** Chains first. */
  readonly best: readonly (Best & { readonly kind: string })[];
}

const simulated = await simulateDomains(target, draft);
const results: TreeResult[] = [];
for (const file of [draft, ...values.as])
  results.push(...weigh(file, simulated, await treeCosts(target, file)));
stdout.write(values.json ? `${JSON.stringify(results)}\n` : `${format(results)}\n`);

async function simulateDomains(targetFile: string, draftFile: string): Promise<readonly DomainDrafts[]> {
  using targetModel = await loadModel(targetFile, { threads });
  using draftModel = await loadModel(draftFile, { threads });
  const domains: DomainDrafts[] = [];
  for (const { domain, prompts } of readPromptDomains(specPromptsFile, Number(values.prompts))) {
    const texts: TargetText[] = [];
    for (const { ids, text } of prompts) texts.push({ prompt: ids, tokens: await greedy(targetModel, text) });
    const ranks: (readonly number[])[] = [];
    const right: (readonly number[])[] = [];
    for (const [index, text] of texts.entries()) {
      ranks.push(await draftRanks(draftModel, text));
      right.push(await beamRight(draftModel, text, beamDepth));
      if (stderr.isTTY) stderr.write(`\r\x1b[K${domain} ${index + 1}/${texts.length}`);
    }
    const trees = treeShapes(mostRows).map((shape) => ({
      shape: `${shape.depth} deep, ${shape.width} wide for ${shape.siblingDepths}`,
      cycles: simulateTree(ranks, shape),
    }));
    const firstOnly = trees.filter(({ shape }) => shape.endsWith("2 wide for 1"));
    const chain = chainShapes(mostRows).map((shape) => ({
      shape: `${shape.depth} deep`,
      cycles: simulateTree(ranks, shape),
    }));
    const beam = Array.from({ length: beamDepth }, (_, index) => ({
      shape: `${index + 1} deep`,
      cycles: simulateBeam(right, index + 1),
    }));
    domains.push({ domain, kinds: { chain, "two first tokens": firstOnly, "any siblings": trees, beam } });
  }
  if (stderr.isTTY) stderr.write("\r\x1b[K");
  return domains;
}

async function greedy(model: Model, prompt: string): Promise<readonly number[]> {
  using session = model.createSession();
  const { tokens, finishReason } = await session.generate(prompt, {
    special: true,
    maxTokens: textTokens,
    speculation: "off",
  }).result;
  const end = model.tokenizer.endOfGenerationIds[0];
  return finishReason === "stop" && end !== undefined ? [...tokens, end] : tokens;
}

/** Costs with this draft model; a beam's draft steps have two rows after the first. */
async function treeCosts(
  targetFile: string,
  draftFile: string,
): Promise<{ readonly narrow: TreeCosts; readonly beam: TreeCosts }> {
  const parts = await loadModelParts(targetFile, { draft: draftFile, threads });
  const opened = [parts, ...(parts.draft === undefined ? [] : [parts.draft])];
  try {
    const { rowMs, draftMs = 0 } = await measureCosts(parts, mostRows, costRepeats);
    const { rowMs: draftRowMs } = await measureCosts(opened.at(-1) ?? parts, 2, costRepeats * 4);
    const narrow = {
      targetMs: (rows: number) => at(rowMs, rows - 1),
      firstDraftMs: draftMs,
      nextDraftMs: draftMs,
    };
    return { narrow, beam: { ...narrow, nextDraftMs: (draftMs * at(draftRowMs, 1)) / at(draftRowMs, 0) } };
  } finally {
    for (const { runner, arena, native } of opened)
      for (const handle of [runner, arena, native]) handle.close();
  }
}

function weigh(
  draftFile: string,
  domains: readonly DomainDrafts[],
  { narrow, beam }: { readonly narrow: TreeCosts; readonly beam: TreeCosts },
): readonly TreeResult[] {
  return domains.map(({ domain, kinds }) => ({
    draft: basename(draftFile, ".gguf"),
    domain,
    draftMs: narrow.firstDraftMs,
    targetMs: narrow.targetMs(1),
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
  const rows = results.flatMap(({ draft: name, domain, targetMs, best }) => {
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
      `${(rate * targetMs).toFixed(2)}x`,
    ]);
  });
  const right = "right" as const;
  return table([header, ...rows], ["left", "left", "left", "left", right, right, right, right, right]);
}
