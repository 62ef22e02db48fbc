import type { RowMath } from "../decoding/row-math.js";
import type { AcceptancePriors } from "../decoding/acceptance-rates.js";
import type { StepCosts } from "../util/step-costs.js";
import type { Engine } from "../engine/engine.js";
import type { RunRequest } from "../engine/run.js";
import type { Sequence } from "../engine/sequence.js";
import { AirCapacityError, AirError } from "../errors/air-error.js";
import type { ChatTemplate } from "../model/chat-template.js";
import type { Tokenizer } from "../model/tokenizer.js";
import type { NativeKvArena } from "../native/native.js";
import { at } from "../util/array-access.js";
import type { KvIdentity } from "./kv-identity.js";

/** The parts of a model that its sessions share. */
export interface ModelCore {
  readonly engine: Engine;
  /** The engine's. */
  readonly arena: NativeKvArena;
  readonly identity: KvIdentity;
  readonly rowMath: RowMath;
  readonly tokenizer: Tokenizer;
  /** Undefined when the file has none. */
  readonly chatTemplate: ChatTemplate | undefined;
  /** Logits per row; at least the tokenizer's vocabulary. */
  readonly vocabSize: number;
  readonly contextTokens: number;
  /** Width of a hidden state. */
  readonly embeddingLength: number;
  /** What steps cost, from one generation to the next. */
  readonly costs: StepCosts;
  /** How often guesses come true, from one generation to the next. */
  readonly priors: AcceptancePriors;
  /** Undefined when no draft model was loaded. */
  readonly draft: DraftCore | undefined;
}

/** The draft model of a target: an engine of its own. */
export interface DraftCore {
  readonly engine: Engine;
  readonly identity: KvIdentity;
  /** Logits per row; ids from here on cannot be fed to it. */
  readonly vocabSize: number;
  readonly contextTokens: number;
}

/** The error of work on something closed. */
export function closedError(subject: string): AirError {
  return new AirError("AIR_ERR_CLOSED", `expected an open ${subject} but received one that was closed`);
}

/** The error of work that a signal aborted. */
export function abortedError(signal: AbortSignal): AirError {
  return new AirError("AIR_ERR_CANCELLED", "expected the work to finish but received an abort", {
    cause: signal.reason,
  });
}

/** @throws {AirCapacityError} AIR_ERR_CONTEXT when `count` tokens do not fit, with room for `room` more */
export function assertFitsContext(count: number, room: number, contextTokens: number): void {
  if (count + room <= contextTokens) return;
  throw new AirCapacityError(
    "AIR_ERR_CONTEXT",
    `expected at most ${contextTokens - room} tokens for a context of ${contextTokens} ` +
      `but received ${count}`,
  );
}

/** Runs a sequence until it ends or a signal aborts it, which rejects with AIR_ERR_CANCELLED. */
export async function runUntilAborted(
  engine: Engine,
  sequence: Sequence,
  request: RunRequest,
  signals: readonly (AbortSignal | undefined)[],
): Promise<void> {
  const given = signals.filter((signal) => signal !== undefined);
  for (const signal of given) if (signal.aborted) throw abortedError(signal);
  const listeners = given.map((signal) => () => {
    engine.cancel(sequence, abortedError(signal));
  });
  for (const [index, signal] of given.entries())
    signal.addEventListener("abort", at(listeners, index), { once: true });
  try {
    await engine.run(sequence, request);
  } finally {
    for (const [index, signal] of given.entries()) signal.removeEventListener("abort", at(listeners, index));
  }
}
