import { AirError } from "../errors/air-error.js";
import { type GeneratedChunk, GenerationStream } from "../runtime/generation.js";
import type { RouteDecision } from "../routing/decision.js";
import type { RoutedReply, RoutedResult } from "../tiers/routed-reply.js";
import type { RoutedOptions } from "../tiers/runtime-types.js";
import type { TierInput } from "../tiers/tier.js";
import { at } from "../util/array-access.js";
import type { ServedRuntime } from "./served-runtime.js";

/** Somebody who may answer a request. */
export interface Answerer {
  readonly runtime: ServedRuntime;
  readonly generate: () => RoutedReply;
}

/** A reply, and whose it is. */
export interface SwitchedReply extends AsyncIterable<GeneratedChunk> {
  readonly result: Promise<RoutedResult>;
  /** Name of the tier that answers, as far as it is known. */
  tier(): string | undefined;
  /** The decision that led there; see RoutedReply. */
  latestDecision(): RouteDecision | undefined;
  /** The runtime that answers, or was asked last. */
  runtime(): ServedRuntime;
}

/** Who asked for this made the request end: nobody else need try. */
const finalCodes: ReadonlySet<string> = new Set(["AIR_ERR_CANCELLED", "AIR_ERR_ARGUMENT"]);

/** The answer of a runtime. */
export function plainReply(runtime: ServedRuntime, input: TierInput, options: RoutedOptions): SwitchedReply {
  const reply = runtime.generate(input, options);
  return Object.assign(reply, { tier: () => reply.latestDecision()?.name, runtime: () => runtime });
}

/** Changes the parts of a reply for whoever asked. */
type Change = <Part extends { readonly logprobs?: unknown }>(part: Part) => Part;

/** The answer of the first one who can: the next one is asked as long as nothing was said. */
export function switchReply(answerers: readonly Answerer[], change: Change = (part) => part): SwitchedReply {
  let current = at(answerers, 0);
  let reply: RoutedReply | undefined;
  let isLeft = false;
  let isBegun = false;
  let chunks: AsyncIterator<GeneratedChunk> | undefined;
  const stream = new GenerationStream<RoutedResult>(() => {
    isLeft = true;
    void chunks?.return?.();
  });
  const pass = async ({ generate }: Answerer): Promise<RoutedResult> => {
    reply = generate();
    chunks = reply[Symbol.asyncIterator]();
    for (let next = await chunks.next(); next.done !== true; next = await chunks.next()) {
      isBegun = true;
      stream.push(change(next.value));
    }
    return change(await reply.result);
  };
  const work = async (): Promise<RoutedResult> => {
    for (const [index, answerer] of answerers.entries()) {
      current = answerer;
      try {
        return await pass(answerer);
      } catch (error) {
        const isFinal = error instanceof AirError && finalCodes.has(error.code);
        if (isBegun || isLeft || isFinal || index === answerers.length - 1) throw error;
      }
    }
    throw new AirError("AIR_ERR_INTERNAL", "expected somebody who answers but received nobody");
  };
  work().then(
    (result) => {
      stream.finish(result);
    },
    (error: unknown) => {
      stream.fail(error);
    },
  );
  return Object.assign(stream, {
    tier: () => reply?.latestDecision()?.name,
    latestDecision: () => reply?.latestDecision(),
    runtime: () => current.runtime,
  });
}
