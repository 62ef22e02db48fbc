import { describeModel, type ModelDescription } from "../model/architecture.js";
import { createChatTemplate } from "../model/chat-template.js";
import { readGguf } from "../model/gguf.js";
import { createTokenizer } from "../model/tokenizer.js";
import { loadAddon } from "../native/load.js";
import type { NativeAddon, NativeModel, ThreadOptions } from "../native/native.js";
import { parseOptions } from "../util/options.js";
import { Model, type ModelParts } from "./model.js";
import { type LoadModelOptions, loadModelSchema, type ResolvedLoadModelOptions } from "./options.js";
import { preparePackCache } from "./pack-cache.js";

/** Context length when the caller names none; trained contexts can be far longer than the memory for their K/V. */
const defaultContextTokens = 4096;

/**
 * Loads a GGUF file. What the header alone can tell is checked first, so that a bad file fails early.
 *
 * @throws {AirError} AIR_ERR_ARGUMENT, AIR_ERR_IO, AIR_ERR_MODEL_FORMAT, AIR_ERR_UNSUPPORTED, AIR_ERR_TOKENIZER,
 *   AIR_ERR_OUT_OF_MEMORY, AIR_ERR_ADDON
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
  const file = await readGguf(path);
  const description = await describeModel(file);
  const tokenizer = createTokenizer(file.metadata);
  const chatTemplate = createChatTemplate(file.metadata, tokenizer);
  const addon = options.addon ?? loadAddon();
  const native = await addon.loadModel(description.directory, description.spec, {
    backend: "cpu",
    ...threadOptions(resolved),
    ...(packCache !== undefined && { packCache }),
    onProgress: (doneBytes, totalBytes) => options.onProgress?.(totalBytes > 0 ? doneBytes / totalBytes : 1),
  });
  return assemble(addon, native, description, { tokenizer, chatTemplate }, resolved);
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
  description: ModelDescription,
  text: Pick<Model, "tokenizer" | "chatTemplate">,
  options: ResolvedLoadModelOptions,
): ModelParts {
  const { kv, pageTokens, maxBatchTokens } = options;
  const { architecture, name, parameterCount, trainedContext, spec } = description;
  const contextTokens = options.contextTokens ?? Math.min(trainedContext, defaultContextTokens);
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
    return { addon, native, arena, runner, ...text, info, maxBatchTokens };
  } catch (error) {
    for (const handle of opened) handle.close();
    throw error;
  }
}
