import { once } from "node:events";
import { readFile } from "node:fs/promises";
import type { Readable, Writable } from "node:stream";

import { AirError } from "../errors/air-error.js";

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
  if (stream.destroyed || text === "") return;
  if (!stream.write(text)) await Promise.race([once(stream, "drain"), once(stream, "close")]);
}

/** Prints one JSON object on its own line. */
export async function writeJson(io: CliIo, value: unknown): Promise<void> {
  await write(io.stdout, `${JSON.stringify(value)}\n`);
}

/** A remark for people; never part of a command's output. */
export function note(io: CliIo, text: string): void {
  io.stderr.write(`air: ${text}\n`);
}

/** All of a stream as text; bytes that are not UTF-8 become U+FFFD. */
export async function readAll(stream: Readable): Promise<string> {
  const chunks: Buffer[] = [];
  for await (const chunk of stream) chunks.push(Buffer.from(chunk as Uint8Array | string));
  return Buffer.concat(chunks).toString("utf8");
}

/**
 * A text file, or stdin for "-".
 * @throws {AirError} AIR_ERR_IO when it cannot be read
 */
export async function readText(io: CliIo, file: string): Promise<string> {
  if (file === "-") return readAll(io.stdin);
  try {
    return (await readFile(file)).toString("utf8");
  } catch (cause) {
    const reason = cause instanceof Error ? cause.message : String(cause);
    throw new AirError("AIR_ERR_IO", `expected a readable text file but received ${reason}`, { cause });
  }
}

/** The argument when there is one, else piped stdin; undefined when there is neither. */
export async function textArgument(io: CliIo, argument: string | undefined): Promise<string | undefined> {
  if (argument !== undefined) return argument;
  return io.stdin.isTTY === true ? undefined : readAll(io.stdin);
}
