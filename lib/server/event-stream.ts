import { Readable } from "node:stream";

import type { FastifyReply } from "fastify";

/** What comes of one of several sources: an item, or its end. */
export type Merged<Item> =
  | { readonly source: number; readonly kind: "item"; readonly item: Item }
  | { readonly source: number; readonly kind: "end" };

/** The items of several sources as they come; rejects with the first that fails. */
export async function* merge<Item>(
  sources: readonly AsyncIterable<Item>[],
): AsyncGenerator<Merged<Item>, void> {
  const iterators = sources.map((source) => source[Symbol.asyncIterator]());
  const pending = new Map<number, Promise<readonly [number, IteratorResult<Item, unknown>]>>();
  const advance = (source: number, iterator: AsyncIterator<Item>): void => {
    const next = iterator.next().then((result) => [source, result] as const);
    next.catch(() => undefined); // those that lose the race to a failure are not awaited
    pending.set(source, next);
  };
  for (const [source, iterator] of iterators.entries()) advance(source, iterator);
  while (pending.size > 0) {
    const [source, result] = await Promise.race(pending.values());
    const iterator = iterators[source];
    if (result.done === true || iterator === undefined) {
      pending.delete(source);
      yield { source, kind: "end" };
    } else {
      advance(source, iterator);
      yield { source, kind: "item", item: result.value };
    }
  }
}

/** One server-sent event. */
export function eventText(value: unknown): string {
  return `data: ${JSON.stringify(value)}\n\n`;
}

/** Says that the reply is a stream of events. */
export function asEventStream(reply: FastifyReply): FastifyReply {
  return reply.header("content-type", "text/event-stream; charset=utf-8").header("x-accel-buffering", "no"); // proxies that collect a response would undo the streaming
}

/**
 * Sends objects as server-sent events. The status is sent with the first one: what fails before it is an ordinary error,
 * and what fails after it is an event of its own, made by `describe`. A reader who is slow holds the source up.
 */
export async function sendEvents(
  reply: FastifyReply,
  events: AsyncIterable<object>,
  describe: (error: unknown) => object,
): Promise<FastifyReply> {
  const iterator = events[Symbol.asyncIterator]();
  const first = await iterator.next();
  async function* texts(): AsyncGenerator<string, void> {
    try {
      for (let next = first; next.done !== true; next = await iterator.next()) yield eventText(next.value);
    } catch (error) {
      yield eventText(describe(error));
      return;
    } finally {
      await iterator.return?.();
    }
    yield "data: [DONE]\n\n";
  }
  return asEventStream(reply)
    .header("cache-control", "no-cache")
    .send(Readable.from(texts(), { objectMode: false, highWaterMark: 16 * 1024 }));
}
