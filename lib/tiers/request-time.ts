import { deadlineError } from "../errors/air-error.js";
import { abortedError } from "../runtime/model-core.js";
import type { GenerateOptions } from "../runtime/options.js";
import { createDeferred } from "../util/deferred.js";

/** The options with the time that has gone by since `arrivedMs` taken off the deadline. */
export function withoutTime<Options extends { readonly timeoutMs?: number }>(
  options: Options,
  arrivedMs: number,
): Options {
  const { timeoutMs } = options;
  if (timeoutMs === undefined) return options;
  return { ...options, timeoutMs: Math.max(1, Math.ceil(timeoutMs - (performance.now() - arrivedMs))) };
}

/** What the work comes to, unless the signal aborts or the deadline comes first: a load goes on for others. */
export async function unlessStopped<Value>(
  work: () => Promise<Value>,
  { signal, timeoutMs }: Pick<GenerateOptions, "signal" | "timeoutMs">,
): Promise<Value> {
  if (signal?.aborted === true) throw abortedError(signal);
  const stopped = createDeferred<never>();
  const onAbort = (): void => {
    if (signal !== undefined) stopped.reject(abortedError(signal));
  };
  const onDeadline = (): void => {
    stopped.reject(deadlineError());
  };
  signal?.addEventListener("abort", onAbort, { once: true });
  const timer = timeoutMs === undefined ? undefined : setTimeout(onDeadline, timeoutMs);
  try {
    return await Promise.race([work(), stopped.promise]);
  } finally {
    signal?.removeEventListener("abort", onAbort);
    clearTimeout(timer);
  }
}
