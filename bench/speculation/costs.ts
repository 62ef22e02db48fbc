import { percentile } from "../../lib/benchmark/statistics.js";
import { fillPages, StepRunner } from "../../lib/benchmark/step-runner.js";
import type { ModelParts } from "../../lib/runtime/model.js";
import { at } from "../../lib/util/array-access.js";

/** What forward passes cost on this machine: medians, in milliseconds. */
export interface StepTimes {
  /** Of a step of the target with 1, 2, .. rows. */
  readonly rowMs: readonly number[];
  /** Of one draft token; undefined without a draft model. */
  readonly draftMs: number | undefined;
}

/** Tokens that the text has when a step is timed: about the middle of the texts that are generated. */
const depth = 96;
/** The draft model's first step after the target's finds its weights gone from the caches, so several are timed. */
const draftSteps = 4;

/** Times steps of the target with 1 to mostRows rows in turns, with steps of the draft model in between. */
export async function measureCosts(parts: ModelParts, mostRows: number, repeats: number): Promise<StepTimes> {
  const target = new StepRunner(parts, mostRows);
  const draft = parts.draft && new StepRunner(parts.draft, 1);
  await fillPages(target, parts);
  if (draft !== undefined && parts.draft !== undefined) await fillPages(draft, parts.draft);
  const shape = { sequences: 1, pagesEach: 1, cachedTokens: depth, logits: "all" } as const;
  const rowMs = Array.from({ length: mostRows }, (): number[] => []);
  const draftMs: number[] = [];
  for (let repeat = 0; repeat < repeats; repeat += 1) {
    for (const [index, times] of rowMs.entries()) {
      times.push(await target.run({ ...shape, newTokens: index + 1 }));
      if (draft === undefined) continue;
      let ms = 0;
      for (let step = 0; step < draftSteps; step += 1) ms += await draft.run({ ...shape, newTokens: 1 });
      draftMs.push(ms / draftSteps);
    }
  }
  return {
    rowMs: rowMs.map((times) => percentile(times, 0.5)),
    draftMs: draft && percentile(draftMs, 0.5),
  };
}

/** Milliseconds of a step of the target, by interpolation for numbers of rows that are no whole ones. */
export function stepMs({ rowMs }: StepTimes, rows: number): number {
  const low = Math.floor(rows);
  const lowMs = at(rowMs, low - 1);
  return rows === low ? lowMs : lowMs + (rows - low) * (at(rowMs, low) - lowMs);
}

/**
 * The speed-up that costs and acceptance promise (arXiv 2211.17192, theorem 3.8): E tokens for a cycle of K draft
 * tokens and a step of the target, E / (K c + v(d + 1)) with c and v in units of a step of one row. d is how many
 * of the K are verified, less than K where the text ends.
 */
export function predictSpeedup(
  times: StepTimes,
  cycle: {
    readonly draftTokens: number;
    readonly verifiedTokens: number;
    readonly expectedTokens: number;
  },
): number {
  const cycleMs = cycle.draftTokens * (times.draftMs ?? 0) + stepMs(times, cycle.verifiedTokens + 1);
  return (cycle.expectedTokens * at(times.rowMs, 0)) / cycleMs;
}
