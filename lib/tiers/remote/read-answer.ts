import type { Answer } from "./answer.js";
import type { BreakerPass } from "../circuit-breaker.js";
import { type CompletionChunk, parseCompletion } from "./completion-chunk.js";
import type { Endpoint } from "./endpoint.js";
import type { Exchange } from "./exchange.js";
import type { AirRemoteError } from "./remote-error.js";
import { readEvents, readText } from "./response-body.js";

/** Characters of an answer; one that is longer never ends. */
const maxAnswerCharacters = 2 ** 24;
/** Milliseconds that token counts and the end of the stream may take after the end of the text. */
const trailingMs = 500;

/** What reading a response needs. */
export interface AnswerReading {
  readonly endpoint: Endpoint;
  readonly exchange: Exchange;
  readonly pass: BreakerPass;
  readonly answer: Answer;
  /** Milliseconds between events. */
  readonly idleTimeoutMs: number;
}

/**
 * Reads a response into an answer, whichever of its two forms it has: events, or one JSON document (which is also what an
 * endpoint that cannot stream sends in place of events).
 *
 * @throws {AirRemoteError} when the response is no answer, or not a whole one
 */
export async function readAnswer(response: Response, reading: AnswerReading): Promise<void> {
  const { endpoint, answer } = reading;
  const [kind = ""] = (response.headers.get("content-type") ?? "text/event-stream").split(";");
  if (kind.trim() === "text/event-stream") await readStream(response, reading);
  else if (/[/+]json$/.test(kind.trim())) await readDocument(response, reading);
  else {
    // A portal or a proxy between here and the endpoint.
    const received = /^[\w.+-]{1,40}\/[\w.+-]{1,40}$/.test(kind.trim()) ? kind.trim() : "another type";
    throw endpoint.failure({ expected: "events or JSON", received, isRetryable: true });
  }
  if (!answer.hasChoice) throw broken(endpoint, "an answer", "an empty one");
  if (answer.isGivenUp) throw broken(endpoint, "the rest of an answer", "word that it was given up");
  if (!answer.isWhole) throw broken(endpoint, "the rest of an answer", "the end of the stream");
}

async function readDocument(response: Response, reading: AnswerReading): Promise<void> {
  const { endpoint, exchange, answer } = reading;
  const text = await readText(response, exchange, endpoint.readErrors("an answer"), maxAnswerCharacters);
  take(parseCompletion(text), reading);
  if (answer.hasChoice) answer.end();
}

async function readStream(response: Response, reading: AnswerReading): Promise<void> {
  const { endpoint, exchange, answer, idleTimeoutMs } = reading;
  const rest = "the rest of an answer";
  const errors = endpoint.readErrors(rest);
  try {
    for await (const data of readEvents(response, exchange, errors)) {
      const wasWhole = answer.isWhole;
      if (data.trim() !== "[DONE]") take(parseCompletion(data), reading);
      else if (answer.hasChoice) answer.end();
      else return;
      if (answer.isStopped) return;
      if (answer.characters > maxAnswerCharacters) throw errors.tooLong(maxAnswerCharacters);
      // What follows the text is read for the token counts, and so that the connection can be used again.
      if (!answer.isWhole) exchange.limit(idleTimeoutMs, () => endpoint.timeout(rest, idleTimeoutMs));
      else if (!wasWhole) exchange.limit(trailingMs, () => endpoint.timeout(rest, trailingMs));
    }
  } catch (error) {
    if (!answer.isWhole) throw error;
  }
}

function take(chunk: CompletionChunk | undefined, { endpoint, pass, answer }: AnswerReading): void {
  if (chunk === undefined) throw broken(endpoint, "a chunk of an answer", "something else");
  if (chunk.isError) throw broken(endpoint, "an answer", "an error in its place");
  if (chunk.hasChoice) pass.answered();
  answer.push(chunk);
}

/** A failure that may be gone on the next attempt. */
function broken(endpoint: Endpoint, expected: string, received: string): AirRemoteError {
  return endpoint.failure({ expected, received, isRetryable: true });
}
