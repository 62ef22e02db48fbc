import { weightMemory } from "../cache/weight-memory.js";
import { describeModel, type ModelDescription } from "../model/architecture.js";
import { type ChatTemplate, createChatTemplate } from "../model/chat-template.js";
import { readGguf } from "../model/gguf.js";
import { createTokenizer, type Tokenizer } from "../model/tokenizer.js";
import { loadAddon } from "../native/load.js";
import type { NativeAddon, NativeModel, ThreadOptions } from "../native/native.js";
import { parseOptions } from "../util/options.js";
import {
  answerMemory,
  assertFitsMemory,
  contextOf,
  draftBatchTokens,
  toPlannedModel,
} from "./memory-check.js";
import { Model, type ModelParts } from "./model.js";
import { type LoadModelOptions, loadModelSchema, type ResolvedLoadModelOptions } from "./options.js";
import { hasPackFile, preparePackCache } from "./pack-cache.js";
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
  const target = await readHeader(path);
  const { onProgress } = options;
  const draft = resolved.draft === undefined ? undefined : await readHeader(resolved.draft);
  if (draft !== undefined) assertSharedVocabulary(target.tokenizer, draft.tokenizer);
  if (!resolved.force) await checkMemory(target.description, draft?.description, resolved);
  if (draft === undefined) return loadParts(target, resolved, options.addon, onProgress);
  const share = tensorBytes(target) / (tensorBytes(target) + tensorBytes(draft));
  const parts = await loadParts(target, resolved, options.addon, (done) => onProgress?.(done * share));
  const { contextTokens } = parts.info;
  const draftOptions = { ...resolved, contextTokens, maxBatchTokens: draftBatchTokens };
  try {
    const draftProgress = (done: number): void => onProgress?.(share + done * (1 - share));
    return { ...parts, draft: await loadParts(draft, draftOptions, options.addon, draftProgress) };
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
}

async function readHeader(path: string): Promise<ModelHeader> {
  const file = await readGguf(path);
  const description = await describeModel(file);
  const tokenizer = createTokenizer(file.metadata);
  return { description, tokenizer, chatTemplate: createChatTemplate(file.metadata, tokenizer) };
}

/** @throws {AirCapacityError} AIR_ERR_MEMORY */
async function checkMemory(
  target: ModelDescription,
  draft: ModelDescription | undefined,
  { packCache, kv, kvTokens, memoryBytes, ...options }: ResolvedLoadModelOptions,
): Promise<void> {
  const isMapped = async (model: ModelDescription): Promise<boolean> => {
    const [file] = model.directory.files;
    if (packCache === undefined || file === undefined) return false;
    return hasPackFile(packCache, file, weightMemory(toPlannedModel(model)).packedBytes);
  };
  const contextTokens = contextOf(target, options.contextTokens);
  const plan = answerMemory({
    target,
    ...(draft && { draft }),
    settings: {
      contextTokens,
      sequences: Math.max(1, Math.ceil((kvTokens ?? 0) / contextTokens)),
      ...(kvTokens !== undefined && { kvTokens }),
      keyType: kv,
      valueType: kv,
      pageTokens: options.pageTokens,
      maxBatchTokens: options.maxBatchTokens,
      threads: options.threads ?? options.cpuList?.length,
    },
    mapped: { target: await isMapped(target), draft: draft !== undefined && (await isMapped(draft)) },
    memoryBytes,
  });
  assertFitsMemory(plan, contextTokens);
}

function tensorBytes({ description }: ModelHeader): number {
  return description.directory.tensors.reduce((sum, tensor) => sum + tensor.lengthBytes, 0);
}

async function loadParts(
  header: ModelHeader,
  options: ResolvedLoadModelOptions,
  givenAddon: NativeAddon | undefined,
  onProgress: ((fraction: number) => void) | undefined,
): Promise<ModelParts> {
  const { directory, spec } = header.description;
  const { packCache } = options;
  const addon = givenAddon ?? loadAddon();
  const native = await addon.loadModel(directory, spec, {
    backend: "cpu",
    ...threadOptions(options),
    ...(packCache !== undefined && { packCache }),
    onProgress: (doneBytes, totalBytes) => onProgress?.(totalBytes > 0 ? doneBytes / totalBytes : 1),
  });
  return assemble(addon, native, header, options);
}

function threadOptions({ threads, cpuList, priority }: ResolvedLoadModelOptions): ThreadOptions {
  return {
    ...(threads !== undefined && { threads }),
    ...(cpuList !== undefined && { cpuList }),
    ...(priority !== undefined && { priority }),
  };
}

/** Makes the rest of a model's parts, or closes what there is. */
function assemble(
  addon: NativeAddon,
  native: NativeModel,
  { description, tokenizer, chatTemplate }: ModelHeader,
  options: ResolvedLoadModelOptions,
): ModelParts {
  const { kv, pageTokens, maxBatchTokens } = options;
  const { architecture, name, parameterCount, trainedContext, spec } = description;
  const contextTokens = contextOf(description, options.contextTokens);
  const pages = Math.ceil((options.kvTokens ?? contextTokens) / pageTokens);
  const opened: { close(): void }[] = [native];
  try {
    const arena = addon.createArena(native, {
      headMask: new Uint8Array(spec.layers * spec.kvHeads), // one head group: full attention everywhere
      pageTokens,
      pageCounts: [pages + 1],
      keyType: kv,
      valueType: kv,
    });
    opened.unshift(arena);
    const runner = addon.createRunner(native, arena, {
      maxTokens: maxBatchTokens,
      ...threadOptions(options),
    });
    opened.unshift(runner);
    const info = {
      architecture,
      name,
      parameterCount,
      vocabSize: spec.vocabSize,
      trainedContext,
      contextTokens,
      kv,
      threads: runner.threads,
      conversions: native.conversions,
      packCache: native.packCache,
    };
    return { addon, native, arena, runner, tokenizer, chatTemplate, info, maxBatchTokens };
  } catch (error) {
    for (const handle of opened) handle.close();
    throw error;
  }
}
