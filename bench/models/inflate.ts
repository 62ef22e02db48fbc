import { stat } from "node:fs/promises";
import { argv, exit, stderr, stdout } from "node:process";
import { SingleBar } from "cli-progress";
import { Command, InvalidArgumentError, Option } from "commander";
import { AirError } from "../../lib/errors/air-error.js";
import { fileTypes, type FileType } from "./file-types.js";
import { inflateModel } from "./inflate-model.js";
import { namedShapes } from "./shapes.js";

interface Flags {
  readonly shape: string;
  readonly type: FileType;
  readonly vocab?: number;
  readonly json?: true;
}

const command = new Command("inflate")
  .description(
    "Write a model of a larger shape that computes the same function as a small GGUF, " +
      "to measure speed and memory of that shape without downloading weights.",
  )
  .argument("<source>", "small GGUF of the llama architecture")
  .argument("<out>", "GGUF to write")
  .addOption(
    new Option("--shape <name>", "target shape; `source` keeps the sizes and changes only the type")
      .choices([...Object.keys(namedShapes), "source"])
      .makeOptionMandatory(),
  )
  .addOption(new Option("--type <type>", "weight type").choices(Object.keys(fileTypes)).default("Q4_0"))
  .option("--vocab <n>", "append unused tokens up to n; they repeat existing rows", positiveInteger)
  .option("--json", "print one JSON object instead of text")
  .action(inflate);

async function inflate(source: string, out: string, flags: Flags): Promise<void> {
  const started = performance.now();
  const bar =
    stderr.isTTY && !flags.json
      ? new SingleBar({ stream: stderr, format: "{bar} {percentage}% {tensor}", clearOnComplete: true })
      : undefined;
  bar?.start(1, 0, { tensor: "" });
  const shape = namedShapes[flags.shape];
  const result = await inflateModel(source, out, {
    type: flags.type,
    ...(shape && { shape }),
    ...(flags.vocab !== undefined && { vocab: flags.vocab }),
    onProgress: (tensor, doneBytes, totalBytes) => bar?.update(doneBytes / totalBytes, { tensor }),
  });
  bar?.stop();
  const seconds = (performance.now() - started) / 1000;
  const { size: fileBytes } = await stat(out);
  if (flags.json) {
    stdout.write(`${JSON.stringify({ path: out, type: flags.type, ...result, fileBytes, seconds })}\n`);
    return;
  }
  const millions = (result.parameters / 1e6).toFixed(1);
  const mebibytes = (fileBytes / 2 ** 20).toFixed(1);
  stdout.write(
    `${out}: ${millions} M parameters, ${flags.type}, ${mebibytes} MiB in ${seconds.toFixed(1)} s\n`,
  );
}

function positiveInteger(text: string): number {
  const value = Number(text);
  if (!Number.isSafeInteger(value) || value <= 0)
    throw new InvalidArgumentError("expected a positive integer");
  return value;
}

/** What node:fs rejects with; its message names the operation and the path. */
function isFileError(error: unknown): error is NodeJS.ErrnoException {
  return error instanceof Error && "syscall" in error;
}

try {
  await command.parseAsync(argv);
} catch (thrown) {
  const error = isFileError(thrown) ? new AirError("AIR_ERR_IO", thrown.message) : thrown;
  if (!(error instanceof AirError)) throw error;
  stderr.write(`${error.code}: ${error.message}\n${error.remedy}\n`);
  exit(1);
}
