import { createParser } from "eventsource-parser";

import type { AirError } from "../../errors/air-error.js";
import type { Exchange } from "./exchange.js";

/** The errors that reading may end with. */
export interface ReadErrors {
  /** The connection broke. */
  readonly broken: (cause: unknown) => AirError;
  /** An event, line or body is longer than anything that makes sense. */
  readonly tooLong: (characters: number) => AirError;
}

/** Characters of an event, or of a line that does not end, that are kept in memory. */
const maxEventCharacters = 2 ** 22;

/** The body of a response as text, as it arrives; characters are never cut in two. */
async function* textPieces(
  response: Response,
  exchange: Exchange,
  errors: ReadErrors,
): AsyncGenerator<string, void> {
  if (response.body === null) return;
  // TypeScript's type of a fetch body comes without the type of its pieces.
  const reader = (response.body as ReadableStream<Uint8Array>).getReader();
  const decoder = new TextDecoder();
  for (;;) {
    const { done, value } = await exchange.step(reader.read(), errors.broken);
    yield done ? decoder.decode() : decoder.decode(value, { stream: true });
    if (done) return;
  }
}

/**
 * All text of a response's body.
 *
 * @param most - characters; a longer body is an error
 */
export async function readText(
  response: Response,
  exchange: Exchange,
  errors: ReadErrors,
  most: number,
): Promise<string> {
  let text = "";
  for await (const piece of textPieces(response, exchange, errors)) {
    text += piece;
    if (text.length > most) throw errors.tooLong(text.length);
  }
  return text;
}

/**
 * The data of server-sent events, as they arrive. Comments, which keep a connection open, are passed over. The empty line
 * after the last event may be missing; an event that was cut off in its middle is then the last to come.
 */
export async function* readEvents(
  response: Response,
  exchange: Exchange,
  errors: ReadErrors,
): AsyncGenerator<string, void> {
  const events: string[] = [];
  const parsing = { isTooLong: false };
  const parser = createParser({
    onEvent: ({ data }) => events.push(data),
    onError: ({ type }) => {
      if (type === "max-buffer-size-exceeded") parsing.isTooLong = true;
    },
    maxBufferSize: maxEventCharacters,
  });
  for await (const piece of textPieces(response, exchange, errors)) {
    parser.feed(piece);
    yield* events.splice(0);
    if (parsing.isTooLong) throw errors.tooLong(maxEventCharacters);
  }
  parser.feed("\n\n");
  yield* events.splice(0);
}
