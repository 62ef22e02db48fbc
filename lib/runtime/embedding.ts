import { setMaxListeners } from "node:events";

import { z } from "zod";

import { AirError, deadlineError, invalidArgument } from "../errors/air-error.js";
import { integerFrom, parseOptions } from "../util/options.js";
import { prefixKeyOf } from "./kv-identity.js";
import { assertFitsContext, closedError, type ModelCore, runUntilAborted } from "./model-core.js";
import { longestTimeoutMs } from "./options.js";

/**
 * How the states of a text's tokens become one vector.
 *
 * - `mean`: their mean
 * - `last`: that of the last token, which has seen all others
 */
export type Pooling = "mean" | "last";

/** Options of model.embed(). */
export interface EmbedOptions {
  /** Default `mean`. */
  readonly pooling?: Pooling;
  /** Keep so many components, the first ones, of which models are trained to know the most. Default: all. */
  readonly dimensions?: number;
  readonly signal?: AbortSignal;
  /** As of GenerateOptions. */
  readonly priority?: number;
  readonly user?: string;
  readonly timeoutMs?: number;
  /** See SessionOptions. */
  readonly cacheSalt?: string;
}

/** A text as a vector. */
export interface Embedding {
  /** Of length 1. */
  readonly vector: Float32Array;
  /** Tokens that the text has. */
  readonly tokens: number;
}

const embedSchema = z.strictObject(
  {
    pooling: z.enum(["mean", "last"], '"mean" or "last"').default("mean"),
    dimensions: integerFrom(1).optional(),
    signal: z.instanceof(AbortSignal, { error: "an AbortSignal" }).optional(),
    priority: integerFrom(-100, 100).default(0),
    user: z.string("a string").optional(),
    timeoutMs: integerFrom(1, longestTimeoutMs).optional(),
    cacheSalt: z.string("a string").optional(),
  },
  "an object",
);

type ResolvedEmbedOptions = z.output<typeof embedSchema>;

/** Texts that are computed side by side; the others wait without holding pages. */
const textsAtOnce = 16;

/** Sums states in order of their tokens, in float64, so that the sum does not depend on the steps they came in. */
export class PooledState {
  readonly #sum: Float64Array;

  constructor(width: number) {
    this.#sum = new Float64Array(width);
  }

  /** @param rows - [rows, width] */
  add(rows: Float32Array): void {
    const width = this.#sum.length;
    for (let start = 0; start < rows.length; start += width) {
      for (let column = 0; column < width; column += 1) {
        this.#sum[column] = (this.#sum[column] ?? 0) + (rows[start + column] ?? 0);
      }
    }
  }

  /** The first `dimensions` components, scaled to length 1; zeros where all are. The mean points where the sum does. */
  vector(dimensions: number): Float32Array {
    const kept = this.#sum.subarray(0, dimensions);
    let squares = 0;
    for (const value of kept) squares += value * value;
    const scale = squares > 0 ? 1 / Math.sqrt(squares) : 0;
    return Float32Array.from(kept, (value) => value * scale);
  }
}

/** Ids of a text, with the token that begins texts where the model wants one. */
function encode({ tokenizer, contextTokens }: ModelCore, text: string): Int32Array {
  if (text.length === 0) throw invalidArgument("a text", "at least one character", text);
  const ids = tokenizer.encode(text, { bos: false });
  const { addBos, bosId } = tokenizer;
  const all = addBos && bosId !== undefined && ids[0] !== bosId ? Int32Array.from([bosId, ...ids]) : ids;
  assertFitsContext(all.length, 0, contextTokens);
  return all;
}

async function embedTokens(
  core: ModelCore,
  tokens: Int32Array,
  options: ResolvedEmbedOptions & { readonly deadline: number | undefined },
): Promise<Embedding> {
  const { engine, identity, embeddingLength } = core;
  const { pooling, dimensions = embeddingLength, signal, priority, user, deadline } = options;
  const state = new PooledState(embeddingLength);
  const sequence = engine.createSequence(prefixKeyOf(identity, options.cacheSalt));
  const request = {
    tokens,
    hiddenFrom: pooling === "mean" ? 0 : tokens.length - 1,
    onHidden: (rows: Float32Array) => {
      state.add(rows);
    },
    priority,
    ...(user !== undefined && { user }),
    ...(deadline !== undefined && { deadline }),
  };
  try {
    await runUntilAborted(engine, sequence, request, [signal]);
  } finally {
    engine.closeSequence(sequence, closedError("sequence"));
  }
  return { vector: state.vector(dimensions), tokens: tokens.length };
}

/** What model.embed() does. */
export async function embedTexts(
  core: ModelCore,
  texts: readonly string[],
  options: EmbedOptions,
): Promise<readonly Embedding[]> {
  const resolved = parseOptions(embedSchema, options, "embed options");
  const { dimensions = 1, signal, timeoutMs } = resolved;
  if (dimensions > core.embeddingLength) {
    throw invalidArgument("dimensions", `at most ${core.embeddingLength}`, dimensions);
  }
  const prompts = texts.map((text) => encode(core, text));
  const deadline = timeoutMs === undefined ? undefined : performance.now() + timeoutMs;
  // One text that fails ends the others.
  const failed = new AbortController();
  const both = AbortSignal.any([failed.signal, ...(signal === undefined ? [] : [signal])]);
  setMaxListeners(textsAtOnce, both);
  const found = new Array<Embedding>(prompts.length);
  const queue = prompts.entries();
  const work = async (): Promise<void> => {
    for (const [index, tokens] of queue) {
      if (deadline !== undefined && performance.now() >= deadline) throw deadlineError();
      found[index] = await embedTokens(core, tokens, { ...resolved, signal: both, deadline });
    }
  };
  const workers = Array.from({ length: Math.min(textsAtOnce, prompts.length) }, () =>
    work().catch((error: unknown) => {
      failed.abort();
      throw error;
    }),
  );
  const ended = await Promise.allSettled(workers);
  const failures = ended.flatMap((end) => (end.status === "rejected" ? [end.reason as unknown] : []));
  if (failures.length > 0) throw firstCause(failures, signal);
  return found;
}

/** What went wrong first: the aborts of the others only followed from it. */
function firstCause(failures: readonly unknown[], signal: AbortSignal | undefined): unknown {
  const isAbort = (error: unknown): boolean =>
    error instanceof AirError && error.code === "AIR_ERR_CANCELLED";
  if (signal?.aborted === true) return failures.find(isAbort) ?? failures[0];
  return failures.find((error) => !isAbort(error)) ?? failures[0];
}
