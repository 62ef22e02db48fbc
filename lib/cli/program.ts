import { readFileSync } from "node:fs";

import { Command, CommanderError } from "commander";

import { AirError } from "../errors/air-error.js";
import { benchCommand } from "./bench.js";
import { calibrateCommand } from "./calibrate.js";
import { chatCommand } from "./chat.js";
import { configCommand } from "./config.js";
import { doctorCommand } from "./doctor.js";
import { generateCommand } from "./generate.js";
import { inspectCommand } from "./inspect.js";
import { type CliIo, writeJson } from "./io.js";
import { perplexityCommand } from "./perplexity.js";
import { planCommand } from "./plan.js";
import { exitStatus, renderError } from "./render-error.js";
import { routeCommand } from "./route.js";
import { routerCommand } from "./router.js";
import { runCommand } from "./run.js";
import { tokenizeCommand } from "./tokenize.js";

function packageVersion(): string {
  const file = new URL("../../package.json", import.meta.url);
  return (JSON.parse(readFileSync(file, "utf8")) as { readonly version: string }).version;
}

const overview = `
Examples:
  air generate "What is 12 times 7?"
  air chat -m model.gguf
  air inspect model.gguf

Models are GGUF files of the llama architecture with tensors of type F32, F16, BF16, Q8_0, Q4_0, Q4_1, Q5_0,
Q5_1, Q4_K, Q5_K or Q6_K. AIR_FORCE_ISA=reference|avx2|avxvnni|avx512vnni|neon|neoni8mm picks the CPU
instruction set.

Exit status: 0 on success, 1 on failure, 2 on wrong usage, 130 when interrupted. Errors are explained in
docs/errors.md.`;

/** The `air` program with its commands; throws instead of exiting. */
export function createProgram(io: CliIo): Command {
  const program = new Command("air")
    .description("Runs language models on small machines.")
    .version(packageVersion(), "-V, --version", "print the version")
    .addHelpText("after", overview);
  const commands = [
    generateCommand,
    chatCommand,
    runCommand,
    routeCommand,
    routerCommand,
    configCommand,
    inspectCommand,
    planCommand,
    perplexityCommand,
    calibrateCommand,
    benchCommand,
    tokenizeCommand,
    doctorCommand,
  ];
  for (const create of commands) program.addCommand(create(io));
  const withSubcommands = program.commands.flatMap((command) => [command, ...command.commands]);
  for (const command of [program, ...withSubcommands]) {
    command.exitOverride().allowExcessArguments(false);
    command.configureHelp({ helpWidth: Math.min(io.stderr.columns ?? 100, 100) });
    // Commander's own error lines stay silent: renderError prints every error in one form.
    command.configureOutput({
      writeOut: (text) => io.stdout.write(text),
      writeErr: (text) => io.stderr.write(text),
      outputError: () => undefined,
    });
  }
  return program;
}

/** The status of what commander throws when help or the version was all there was to say; else undefined. */
function helpStatus(thrown: unknown): number | undefined {
  if (!(thrown instanceof CommanderError)) return undefined;
  if (thrown.exitCode === 0) return exitStatus.success;
  return thrown.code === "commander.help" ? exitStatus.usage : undefined;
}

/** Runs `air` with the arguments after its name and returns the exit status. */
export async function runCli(args: readonly string[], io: CliIo): Promise<number> {
  const program = createProgram(io);
  try {
    if (args.length === 0) {
      program.outputHelp({ error: true });
      return exitStatus.usage;
    }
    await program.parseAsync([...args], { from: "user" });
    return io.signal.aborted ? exitStatus.interrupted : exitStatus.success;
  } catch (thrown) {
    const helped = helpStatus(thrown);
    if (helped !== undefined) return helped;
    if (io.signal.aborted && thrown instanceof AirError && thrown.code === "AIR_ERR_CANCELLED") {
      return exitStatus.interrupted;
    }
    const { status, text, json } = renderError(thrown);
    io.stderr.write(text);
    if (args.includes("--json")) await writeJson(io, json);
    return status;
  }
}
