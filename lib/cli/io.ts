import { once } from "node:events";
import { addAbortSignal, type Readable, type Writable } from "node:stream";

import { ioError } from "../errors/air-error.js";
import { abortedError } from "../runtime/model-core.js";
import { readTextFile } from "../util/text-file.js";

/** What a command talks to; tests pass their own streams. */
export interface CliIo {
  readonly stdin: Readable & { readonly isTTY?: boolean };
  readonly stdout: Writable & { readonly isTTY?: boolean };
  readonly stderr: Writable & { readonly isTTY?: boolean; readonly columns?: number };
  /** Aborted by Ctrl-C, or when nobody reads stdout any more. */
  readonly signal: AbortSignal;
}

/** Writes text and waits while the reader is slower than the model. */
export async function write(stream: Writable, text: string): Promise<void> {
  if (stream.destroyed || text === "" || stream.write(text)) return;
  const waiting = new AbortController(); // takes the other listener off again
  const { signal } = waiting;
  try {
    await Promise.race([once(stream, "drain", { signal }), once(stream, "close", { signal })]);
  } finally {
    waiting.abort();
  }
}

/** Prints one JSON object on its own line. */
export async function writeJson(io: CliIo, value: unknown): Promise<void> {
  await write(io.stdout, `${JSON.stringify(value)}\n`);
}

/** A remark for people; never part of a command's output. */
export function note(io: CliIo, text: string): void {
  io.stderr.write(`air: ${text}\n`);
}

/**
 * All of stdin as text; bytes that are not UTF-8 become U+FFFD.
 * @throws {AirError} AIR_ERR_CANCELLED on Ctrl-C, AIR_ERR_IO when stdin cannot be read
 */
export async function readStdin({ stdin, signal }: CliIo): Promise<string> {
  const chunks: Buffer[] = [];
  try {
    for await (const chunk of addAbortSignal(signal, stdin)) {
      chunks.push(Buffer.from(chunk as Uint8Array | string));
    }
  } catch (cause) {
    throw signal.aborted ? abortedError(signal) : ioError("stdin", "readable text", cause);
  }
  return Buffer.concat(chunks).toString("utf8");
}

/**
 * A text file, or stdin for "-".
 * @throws {AirError} AIR_ERR_IO when it cannot be read
 */
export async function readText(io: CliIo, file: string): Promise<string> {
  return file === "-" ? readStdin(io) : readTextFile(file, "readable text");
}

/**
 * The lines of a text file, or of stdin for "-", that are not blank.
 * @throws {AirError} AIR_ERR_IO when it cannot be read
 */
export async function readLines(io: CliIo, file: string): Promise<readonly string[]> {
  return (await readText(io, file)).split(/\r?\n/).filter((line) => line.trim() !== "");
}

/** The argument when there is one, else piped stdin; undefined when there is neither. */
export async function textArgument(io: CliIo, argument: string | undefined): Promise<string | undefined> {
  if (argument !== undefined) return argument;
  return io.stdin.isTTY === true ? undefined : readStdin(io);
}
