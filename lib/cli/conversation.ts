import { createInterface, type Interface } from "node:readline";

import { AirError } from "../errors/air-error.js";
import { type CliIo, note, write } from "./io.js";
import { renderError } from "./render-error.js";

/** Something that answers turns. */
export interface Conversation {
  /** Streams an answer to stdout. A stopped turn is forgotten. */
  turn(text: string, signal: AbortSignal): Promise<void>;
  /** Forgets everything. */
  reset(): void;
}

/** Runs turns until the input ends. On a terminal an error is shown and the conversation goes on; piped, it ends it. */
async function readTurns(
  io: CliIo,
  lines: Interface,
  conversation: Conversation,
  interactive: boolean,
): Promise<void> {
  let stopTurn: AbortController | undefined;
  lines.on("SIGINT", () => {
    if (stopTurn === undefined) lines.close();
    else stopTurn.abort();
  });
  io.signal.addEventListener("abort", () => {
    lines.close();
  });
  if (interactive) lines.prompt();
  for await (const line of lines) {
    const text = line.trim();
    if (text === "/exit") return;
    if (text === "/reset") conversation.reset();
    else if (text !== "") {
      stopTurn = new AbortController();
      try {
        await conversation.turn(text, AbortSignal.any([io.signal, stopTurn.signal]));
      } catch (error) {
        if (!interactive || !(error instanceof AirError)) throw error;
        io.stderr.write(renderError(error).text);
      }
      stopTurn = undefined;
    }
    if (io.signal.aborted) return;
    if (interactive) lines.prompt();
  }
  if (interactive) await write(io.stdout, "\n"); // Ctrl-C and Ctrl-D leave the cursor behind the prompt
}

/** A conversation on a terminal with /reset and /exit, or one turn per line of piped stdin. */
export async function converse(io: CliIo, conversation: Conversation): Promise<void> {
  const interactive = io.stdin.isTTY === true && io.stdout.isTTY === true;
  if (interactive) note(io, "/reset forgets, /exit leaves, Ctrl-C stops an answer");
  const lines = createInterface({
    input: io.stdin,
    ...(interactive && { output: io.stdout, prompt: "> ", terminal: true }),
  });
  try {
    await readTurns(io, lines, conversation, interactive);
  } finally {
    lines.close();
  }
}
