import { AirArgumentError } from "../errors/air-error.js";
import { at } from "../util/array-access.js";
import { type TextWindow, textWindows, type WindowedModel } from "./text-windows.js";

/** How much of a text a calibration looks at. */
export interface CalibrationTextOptions {
  /** Tokens per window. */
  readonly contextTokens: number;
  /** Tokens that every head is scored on, about. */
  readonly scoreTokens: number;
  /** Tokens that decide how far to go, about. */
  readonly holdoutTokens: number;
  /** Most rows that predictions of the whole model are kept for. */
  readonly maxRows: number;
}

/** Windows that heads are scored on, and others that decide how far to go. */
export interface CalibrationText {
  readonly scored: readonly TextWindow[];
  /** By window of `scored`, the rows that count. */
  readonly scoredRows: readonly (readonly number[])[];
  readonly holdout: readonly TextWindow[];
}

/** One window in this many is held out. */
const holdoutEvery = 4;

/**
 * Divides a text for a calibration. Windows are taken from all over the text.
 *
 * @param tokens - the text's ids, without BOS
 * @throws {AirError} AIR_ERR_ARGUMENT when the text has fewer than four windows
 */
export function divideText(
  model: WindowedModel,
  tokens: Int32Array,
  { contextTokens, scoreTokens, holdoutTokens, maxRows }: CalibrationTextOptions,
): CalibrationText {
  const needed = holdoutEvery * contextTokens;
  if (tokens.length < needed) {
    throw new AirArgumentError(
      "AIR_ERR_ARGUMENT",
      `expected at least ${needed} tokens for a calibration text in windows of ${contextTokens} ` +
        `but received ${tokens.length}`,
    );
  }
  const windows = textWindows(model, tokens, { contextTokens, stride: contextTokens });
  const isHeldOut = (_: TextWindow, order: number): boolean => order % holdoutEvery === holdoutEvery - 1;
  const scored = spread(
    windows.filter((window, order) => !isHeldOut(window, order)),
    Math.ceil(scoreTokens / contextTokens),
  );
  const holdout = spread(windows.filter(isHeldOut), Math.ceil(holdoutTokens / contextTokens));
  const rows = Math.max(1, Math.floor(maxRows / scored.length));
  return { scored, scoredRows: scored.map(({ fed }) => spread([...fed.keys()], rows)), holdout };
}

/** At most `count` items, evenly spaced, the last one among them. */
function spread<Item>(items: readonly Item[], count: number): readonly Item[] {
  if (items.length <= count) return items;
  return Array.from({ length: count }, (_, order) =>
    at(items, Math.floor(((order + 1) * items.length) / count) - 1),
  );
}
