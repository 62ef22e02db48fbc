import { describeModel, type ModelDescription } from "../model/architecture.js";
import { type ChatTemplate, createChatTemplate } from "../model/chat-template.js";
import { readGguf } from "../model/gguf.js";
import { type HeadsFile, pruningOf, readHeadsFile } from "../model/heads-file.js";
import { fingerprintModel } from "../model/fingerprint.js";
import { createTokenizer, type Tokenizer } from "../model/tokenizer.js";
import { loadAddon } from "../native/load.js";
import type { NativeAddon, NativeModel } from "../native/native.js";
import { parseOptions, pickGiven } from "../util/options.js";
import { headsIdentity } from "./kv-identity.js";
import { type ChosenDevice, chooseDevice, type Placement, placeLayers } from "./device.js";
import { kvDemand, kvSettings, rotatesKeys } from "./kv-settings.js";
import {
  checkHostMemory,
  checkMemory,
  draftBatchTokens,
  plannedSettings,
  toPlannedModel,
} from "./memory-check.js";
import { Model, type ModelParts } from "./model.js";
import {
  type LoadModelOptions,
  loadModelSchema,
  type ResolvedLoadModelOptions,
  threadOptionNames,
} from "./options.js";
import { preparePackCache } from "./pack-cache.js";
import { assertSharedVocabulary } from "./shared-vocabulary.js";

/**
 * Loads a GGUF file. What the header alone can tell is checked first, so that a bad file and one that is too large for
 * the memory fail early.
 *
 * @throws {AirError} AIR_ERR_ARGUMENT, AIR_ERR_IO, AIR_ERR_MODEL_FORMAT, AIR_ERR_UNSUPPORTED, AIR_ERR_TOKENIZER,
 *   AIR_ERR_MEMORY, AIR_ERR_OUT_OF_MEMORY, AIR_ERR_ADDON
 * @example
 * using model = await loadModel("model.gguf", { contextTokens: 2048 });
 * using session = model.createSession();
 * const { text } = await session.generate([{ role: "user", content: "Hello!" }]).result;
 */
export async function loadModel(path: string, options: LoadModelOptions = {}): Promise<Model> {
  return new Model(await loadModelParts(path, options));
}

/** Loads what a {@link Model} is made of, for those who drive the native surface themselves. As loadModel(). */
export async function loadModelParts(path: string, options: LoadModelOptions = {}): Promise<ModelParts> {
  const resolved = parseOptions(loadModelSchema, options, "model options");
  const { packCache } = resolved;
  if (packCache !== undefined) await preparePackCache(packCache);
  const addon = (): NativeAddon => options.addon ?? loadAddon();
  const device = chooseDevice(addon, resolved);
  const target = await readHeader(path, resolved.heads);
  const { onProgress } = options;
  const draft = resolved.draft === undefined ? undefined : await readHeader(resolved.draft, undefined);
  if (draft !== undefined) assertSharedVocabulary(target.tokenizer, draft.tokenizer);
  const placement = await place(device, target, draft, resolved);
  if (draft === undefined) return loadParts(target, { ...resolved, ...placement }, addon(), onProgress);
  const share = tensorBytes(target) / (tensorBytes(target) + tensorBytes(draft));
  const parts = await loadParts(target, { ...resolved, ...placement }, addon(), (done) =>
    onProgress?.(done * share),
  );
  const { contextTokens } = parts.info;
  const { backend } = placement;
  const draftOptions = {
    ...resolved,
    backend,
    gpuLayers: draft.description.spec.layers,
    contextTokens,
    maxBatchTokens: draftBatchTokens,
  };
  try {
    const draftProgress = (done: number): void => onProgress?.(share + done * (1 - share));
    return { ...parts, draft: await loadParts(draft, draftOptions, addon(), draftProgress) };
  } catch (error) {
    for (const handle of [parts.runner, parts.arena, parts.native]) handle.close();
    throw error;
  }
}

/** What a file tells before its weights are read. */
interface ModelHeader {
  readonly description: ModelDescription;
  readonly tokenizer: Tokenizer;
  readonly chatTemplate: ChatTemplate | undefined;
  readonly fingerprint: string;
  readonly heads: HeadsFile | undefined;
}

async function readHeader(path: string, headsPath: string | undefined): Promise<ModelHeader> {
  const file = await readGguf(path);
  const description = await describeModel(file);
  const tokenizer = createTokenizer(file.metadata);
  const fingerprint = await fingerprintModel(file);
  const heads =
    headsPath === undefined
      ? undefined
      : await readHeadsFile(headsPath, { fingerprint, spec: description.spec });
  const chatTemplate = createChatTemplate(file.metadata, tokenizer);
  return { description, tokenizer, chatTemplate, fingerprint, heads };
}

function tensorBytes({ description }: ModelHeader): number {
  return description.directory.tensors.reduce((sum, tensor) => sum + tensor.lengthBytes, 0);
}

/** Checks that there is memory for the layers where they go. */
async function place(
  device: ChosenDevice,
  target: ModelHeader,
  draft: ModelHeader | undefined,
  options: ResolvedLoadModelOptions,
): Promise<Placement> {
  const placed = {
    model: toPlannedModel(target.description),
    settings: plannedSettings(target, options),
    ...(draft && { draft: { model: toPlannedModel(draft.description), maxBatchTokens: draftBatchTokens } }),
  };
  const placement = placeLayers(device, placed, options);
  if (options.force) return placement;
  const hasOwnMemory = placement.backend === "cuda" && device.memoryBytes !== undefined;
  const hostLayers = placed.model.layers - placement.gpuLayers;
  if (!hasOwnMemory) await checkMemory(target, draft?.description, options);
  else if (hostLayers > 0) checkHostMemory(target, hostLayers, options);
  return placement;
}

/** Options with the decision where the layers go. */
type PlacedOptions = Omit<ResolvedLoadModelOptions, "gpuLayers"> & Placement;

async function loadParts(
  header: ModelHeader,
  options: PlacedOptions,
  addon: NativeAddon,
  onProgress: ((fraction: number) => void) | undefined,
): Promise<ModelParts> {
  const { directory, spec } = header.description;
  const pruning = header.heads && pruningOf(header.heads, spec);
  const native = await addon.loadModel(directory, spec, {
    backend: options.backend,
    ...pickGiven(options, [...threadOptionNames, "packCache"]),
    ...(options.backend === "cuda" && { gpuLayers: options.gpuLayers }),
    ...(pruning && { pruning }),
    onProgress: (doneBytes, totalBytes) => onProgress?.(totalBytes > 0 ? doneBytes / totalBytes : 1),
  });
  return assemble(addon, native, header, options);
}

/** Makes the rest of a model's parts, or closes what there is. */
function assemble(
  addon: NativeAddon,
  native: NativeModel,
  { description, tokenizer, chatTemplate, fingerprint, heads }: ModelHeader,
  options: PlacedOptions,
): ModelParts {
  const { kv, pageTokens, maxBatchTokens } = options;
  const { architecture, name, parameterCount, trainedContext, spec, directory } = description;
  const opened: { close(): void }[] = [native];
  try {
    const { contextTokens, headMask, pageCounts, policy } = kvSettings(
      spec,
      kvDemand(trainedContext, heads, options),
      options.policy,
    );
    const keys = options.kvKeys ?? kv;
    const types = { keys, values: options.kvValues ?? kv, rotateKeys: rotatesKeys(keys, options.rotateKeys) };
    const arena = addon.createArena(native, {
      headMask,
      pageTokens,
      pageCounts,
      keyType: types.keys,
      valueType: types.values,
      rotateKeys: types.rotateKeys,
    });
    opened.unshift(arena);
    const runner = addon.createRunner(native, arena, {
      maxTokens: maxBatchTokens,
      ...pickGiven(options, threadOptionNames),
    });
    opened.unshift(runner);
    const info = {
      architecture,
      name,
      parameterCount,
      vocabSize: spec.vocabSize,
      trainedContext,
      contextTokens,
      kv: types,
      policy: policy.name,
      fingerprint,
      device: native.device,
      threads: runner.threads,
      conversions: native.conversions,
      packCache: native.packCache,
    };
    return {
      addon,
      native,
      arena,
      runner,
      tokenizer,
      chatTemplate,
      info,
      maxBatchTokens,
      stepStretch: options.stepStretch,
      policy,
      prefixCache: options.prefixCache,
      headsIdentity: headsIdentity(heads),
      spec,
      directory,
    };
  } catch (error) {
    for (const handle of opened) handle.close();
    throw error;
  }
}
