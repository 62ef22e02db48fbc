import { invalidArgument } from "../../lib/errors/air-error.js";
import { metadataNumber, type SourceModel } from "./gguf-tensors.js";

/** The sizes of a llama-style decoder. */
export interface ModelShape {
  /** Residual width. */
  readonly width: number;
  readonly layers: number;
  readonly queryHeads: number;
  readonly kvHeads: number;
  readonly headDim: number;
  readonly feedForward: number;
}

/**
 * Targets by the parameter count of the models they imitate (with those models' vocabularies).
 * 135m has 8/4 heads where SmolLM has 9/3: the bundled models have 4 KV heads, and a layer weighs the same. 68m, the size
 * of drafts that literature uses (arXiv 2305.09781), has 6 KV heads where LLaMA-68M has 12, for the same reason.
 */
export const namedShapes: Readonly<Record<string, ModelShape>> = {
  "68m": { width: 768, layers: 2, queryHeads: 12, kvHeads: 6, headDim: 64, feedForward: 3072 },
  "135m": { width: 576, layers: 30, queryHeads: 8, kvHeads: 4, headDim: 64, feedForward: 1536 },
  "0.5b": { width: 1024, layers: 24, queryHeads: 16, kvHeads: 8, headDim: 64, feedForward: 4096 },
  "1.1b": { width: 2048, layers: 22, queryHeads: 32, kvHeads: 4, headDim: 64, feedForward: 5632 },
  "3b": { width: 3072, layers: 28, queryHeads: 24, kvHeads: 8, headDim: 128, feedForward: 8192 },
  "7b": { width: 4096, layers: 32, queryHeads: 32, kvHeads: 8, headDim: 128, feedForward: 14336 },
};

/** The shape of a llama-architecture GGUF. */
export function shapeOf(model: SourceModel): ModelShape {
  return {
    width: metadataNumber(model, "llama.embedding_length"),
    layers: metadataNumber(model, "llama.block_count"),
    queryHeads: metadataNumber(model, "llama.attention.head_count"),
    kvHeads: metadataNumber(model, "llama.attention.head_count_kv"),
    headDim: metadataNumber(model, "llama.attention.key_length"),
    feedForward: metadataNumber(model, "llama.feed_forward_length"),
  };
}

/**
 * Checks that a source can be embedded in a target without changing what it computes.
 * @throws {AirArgumentError} AIR_ERR_SHAPE naming the first size that does not fit.
 */
export function checkInflatable(source: ModelShape, target: ModelShape): void {
  for (const size of ["width", "layers", "kvHeads", "headDim", "feedForward"] as const) {
    if (target[size] < source[size]) {
      throw invalidArgument(
        `the target's ${size}`,
        `at least the source's ${String(source[size])}`,
        target[size],
        "AIR_ERR_SHAPE",
      );
    }
  }
  if (target.queryHeads % target.kvHeads !== 0) {
    const expected = `a multiple of its ${String(target.kvHeads)} KV heads`;
    throw invalidArgument("the target's queryHeads", expected, target.queryHeads, "AIR_ERR_SHAPE");
  }
  const group = target.queryHeads / target.kvHeads;
  if (group < source.queryHeads / source.kvHeads) {
    const expected = `at least the source's ${String(source.queryHeads / source.kvHeads)}`;
    throw invalidArgument("the target's query heads per KV head", expected, group, "AIR_ERR_SHAPE");
  }
  if (target.headDim % source.headDim !== 0) {
    const expected = `a multiple of the source's ${String(source.headDim)}`;
    throw invalidArgument("the target's headDim", expected, target.headDim, "AIR_ERR_SHAPE");
  }
}
