import { createWriteStream } from "node:fs";
import { Readable } from "node:stream";
import { pipeline } from "node:stream/promises";

import { Command } from "commander";

import { AirError, ioError } from "../errors/air-error.js";
import { type CliIo, write } from "./io.js";

interface ExportOptions {
  readonly output?: string;
}

async function exportLog(io: CliIo, directory: string, { output }: ExportOptions): Promise<void> {
  const { readLog } = await import("../server/log-files.js");
  async function* lines(): AsyncGenerator<string, void> {
    try {
      for await (const line of readLog(directory)) yield `${line}\n`;
    } catch (cause) {
      throw ioError(directory, "a readable directory of a request log", cause);
    }
  }
  if (output === undefined) {
    for await (const line of lines()) await write(io.stdout, line);
    return;
  }
  try {
    await pipeline(Readable.from(lines()), createWriteStream(output, { flags: "wx", mode: 0o600 }));
  } catch (cause) {
    throw cause instanceof AirError ? cause : ioError(output, "a new file that can be written", cause);
  }
}

/** `air log`: what `air serve --request-log` wrote down. */
export function logCommand(io: CliIo): Command {
  const command = new Command("log")
    .summary("export the request log of a server")
    .description("Works on what `air serve --request-log` wrote down on this machine.");
  command.addCommand(
    new Command("export")
      .summary("write a request log out as lines of JSON")
      .description(
        "Writes the lines of a request log, the oldest first. Nothing else takes them off this machine.",
      )
      .argument("<directory>", "the directory of the log")
      .option("-o, --output <file>", "new file to write to (default: stdout)")
      .action((directory: string, options: ExportOptions) => exportLog(io, directory, options)),
  );
  return command;
}
