import { AirArgumentError, invalidArgument } from "../errors/air-error.js";
import type { Model } from "../runtime/model.js";
import { at } from "../util/array-access.js";

/** How a text is cut into windows that are scored one by one. */
export interface TextWindowOptions {
  /** Tokens fed per window, the one before it included. Default 512. */
  readonly contextTokens?: number;
  /** How far each window moves; from contextTokens - 1 on, windows do not overlap. Default contextTokens. */
  readonly stride?: number;
}

/** One window: what is fed, and which token each row is to predict. */
export interface TextWindow {
  readonly fed: Int32Array;
  /** [fed.length] the token that follows fed[index]. */
  readonly next: Int32Array;
  /** Rows before this index were scored by an earlier window. */
  readonly scoredFrom: number;
}

/** What windows need to know of a model. */
export interface WindowedModel {
  readonly info: Pick<Model["info"], "contextTokens">;
  readonly tokenizer: Pick<Model["tokenizer"], "addBos" | "bosId">;
}

/**
 * Windows of contextTokens - 1 tokens, each preceded by BOS, or, where the model adds none, by the token before the window.
 * Every token of a window is scored that no earlier window scored; a partial window at the end is dropped.
 *
 * @param tokens - the text's ids, without BOS
 * @throws {AirError} AIR_ERR_ARGUMENT when the text is shorter than a window, or an option is out of range
 */
export function textWindows(
  model: WindowedModel,
  tokens: Int32Array,
  { contextTokens = 512, stride = contextTokens }: TextWindowOptions,
): readonly TextWindow[] {
  const { info, tokenizer } = model;
  const { addBos, bosId } = tokenizer;
  if (!Number.isInteger(contextTokens) || contextTokens < 2 || contextTokens > info.contextTokens) {
    throw invalidArgument("contextTokens", `an integer from 2 to ${info.contextTokens}`, contextTokens);
  }
  if (!Number.isInteger(stride) || stride < 1) {
    throw invalidArgument("stride", "an integer of at least 1", stride);
  }
  const bos = addBos ? bosId : undefined;
  const width = contextTokens - 1;
  const step = Math.min(stride, width);
  const first = bos === undefined ? 1 : 0;
  const count = Math.floor((tokens.length - first - width) / step) + 1;
  if (count < 1) {
    throw new AirArgumentError(
      "AIR_ERR_ARGUMENT",
      `expected at least ${width + first} tokens for a text in windows of ${contextTokens} ` +
        `but received ${tokens.length}`,
    );
  }
  return Array.from({ length: count }, (_, order) => {
    const start = first + order * step;
    const next = tokens.subarray(start, start + width);
    const fed = new Int32Array(width);
    fed[0] = bos ?? at(tokens, start - 1);
    fed.set(next.subarray(0, width - 1), 1);
    return { fed, next, scoredFrom: order === 0 ? 0 : width - step };
  });
}
