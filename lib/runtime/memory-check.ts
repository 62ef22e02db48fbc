import { availableParallelism } from "node:os";

import { beginningOf } from "../cache/device-plan.js";
import { type MemoryPlan, type MemoryPlanInput, planMemory, processMemory } from "../cache/memory-plan.js";
import type { MemorySettings, PlannedHeads, PlannedModel } from "../cache/planned-model.js";
import { weightMemory } from "../cache/weight-memory.js";
import { AirCapacityError } from "../errors/air-error.js";
import type { ModelDescription } from "../model/architecture.js";
import { headMaskOf, type HeadsFile, pruningOf } from "../model/heads-file.js";
import type { DecoderSpec } from "../native/native.js";
import { formatBytes } from "../util/quantities.js";
import { availableMemory, ownMemory } from "./available-memory.js";
import { kvDemand } from "./kv-settings.js";
import type { ResolvedLoadModelOptions } from "./options.js";
import { hasPackFile } from "./pack-cache.js";

/** Prefill chunk of a draft model: short, because decoding waits for it. */
export const draftBatchTokens = 128;

/** The sizes that a plan is made of. */
export function toPlannedModel({ spec, directory }: ModelDescription): PlannedModel {
  return { ...spec, tensors: directory.tensors };
}

/** A model, and perhaps a draft model, on their way into memory. */
export interface MemoryQuestion {
  readonly target: ModelDescription;
  readonly draft?: ModelDescription;
  readonly settings: Omit<MemorySettings, "threads"> & { readonly threads?: number | undefined };
  /** Packed weights that a pack cache has, by model. */
  readonly mapped?: { readonly target: boolean; readonly draft: boolean };
  /** Memory that the process may take. Default: what the system has left, and what the process already holds of it. */
  readonly memoryBytes?: number | undefined;
}

/** Answers what a model takes and whether that is there. */
export function answerMemory({ target, draft, settings, mapped, memoryBytes }: MemoryQuestion): MemoryPlan {
  const model = toPlannedModel(target);
  const draftModel = draft && toPlannedModel(draft);
  const input: Omit<MemoryPlanInput, "availableBytes"> = {
    model,
    weightsAreMapped: mapped?.target ?? false,
    settings: { ...settings, threads: settings.threads ?? availableParallelism() },
    ...(draftModel && {
      draft: {
        model: draftModel,
        weightsAreMapped: mapped?.draft ?? false,
        maxBatchTokens: draftBatchTokens,
      },
    }),
  };
  return planMemory({ ...input, availableBytes: memoryBytes ?? leftForProcess(input) });
}

/**
 * The plan counts the process itself, most of which is already there. What it holds beyond that, of other models say, is
 * not to be had.
 */
function leftForProcess({ model, draft }: Omit<MemoryPlanInput, "availableBytes">): number {
  const planned = processMemory([model, ...(draft === undefined ? [] : [draft.model])]);
  return availableMemory() + Math.min(ownMemory(), planned);
}

/** @throws {AirCapacityError} AIR_ERR_MEMORY with what is needed, what there is and what to change first */
export function assertFitsMemory(plan: MemoryPlan, contextTokens: number): void {
  if (plan.fits) return;
  const [best] = plan.suggestions;
  const hint =
    best === undefined
      ? "nothing but a smaller model helps"
      : `${best.text} saves ${formatBytes(best.savedBytes)}${best.fits ? " and fits" : ", which is not enough"}`;
  throw new AirCapacityError(
    "AIR_ERR_MEMORY",
    `expected ${formatBytes(plan.neededBytes)} of free memory for the model with a context of ${contextTokens} ` +
      `tokens but received ${formatBytes(plan.availableBytes)}; ${hint}`,
  );
}

/** The file's part of a plan. */
export function toPlannedHeads(heads: HeadsFile, spec: DecoderSpec): PlannedHeads {
  return { headMask: headMaskOf(heads), streamWindow: heads.window, ...pruningOf(heads, spec) };
}

/** A model whose memory is checked, with its heads file. */
export interface CheckedModel {
  readonly description: ModelDescription;
  readonly heads: HeadsFile | undefined;
}

/** The settings of a load, as the memory plan sees them. */
export function plannedSettings(
  { description, heads }: CheckedModel,
  options: ResolvedLoadModelOptions,
): MemorySettings {
  const { kv } = options;
  return {
    ...kvDemand(description.trainedContext, heads, options),
    keyType: options.kvKeys ?? kv,
    valueType: options.kvValues ?? kv,
    ...(heads && { heads: toPlannedHeads(heads, description.spec) }),
    threads: options.threads ?? options.cpuList?.length ?? availableParallelism(),
  };
}

/**
 * Refuses a load that does not fit.
 *
 * @throws {AirCapacityError} AIR_ERR_MEMORY
 */
export async function checkMemory(
  target: CheckedModel,
  draft: ModelDescription | undefined,
  options: ResolvedLoadModelOptions,
): Promise<void> {
  const { description, heads } = target;
  const { packCache, memoryBytes } = options;
  const isMapped = async (model: ModelDescription): Promise<boolean> => {
    const [file] = model.directory.files;
    if (packCache === undefined || file === undefined) return false;
    const isTarget = model === description;
    const pruned = isTarget && heads !== undefined ? toPlannedHeads(heads, model.spec) : undefined;
    return hasPackFile(packCache, file, weightMemory(toPlannedModel(model), pruned).packedBytes);
  };
  const settings = plannedSettings(target, options);
  const plan = answerMemory({
    target: description,
    ...(draft && { draft }),
    settings,
    mapped: { target: await isMapped(description), draft: draft !== undefined && (await isMapped(draft)) },
    memoryBytes,
  });
  assertFitsMemory(plan, settings.contextTokens);
}

/**
 * Refuses a load whose first layers, which a device with memory of its own leaves to the CPU, do not fit the system's.
 *
 * @throws {AirCapacityError} AIR_ERR_MEMORY
 */
export function checkHostMemory(
  target: CheckedModel,
  hostLayers: number,
  options: ResolvedLoadModelOptions,
): void {
  const settings = plannedSettings(target, options);
  const { model, heads } = beginningOf(toPlannedModel(target.description), settings.heads, hostLayers);
  const input = { model, settings: { ...settings, heads } };
  assertFitsMemory(planMemory({ ...input, availableBytes: leftForProcess(input) }), settings.contextTokens);
}
