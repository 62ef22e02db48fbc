import { readFileSync } from "node:fs";

import { Command, CommanderError } from "commander";

import { AirError } from "../errors/air-error.js";
import { type CliIo, writeJson } from "./io.js";
import { exitStatus, renderError } from "./render-error.js";

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

type CreateCommand = (io: CliIo) => Command;

/** Where each command is. A run loads its own only: all of them together take longer to load than some of them to run. */
const commands: ReadonlyMap<string, () => Promise<CreateCommand>> = new Map([
  ["generate", async () => (await import("./generate.js")).generateCommand],
  ["chat", async () => (await import("./chat.js")).chatCommand],
  ["run", async () => (await import("./run.js")).runCommand],
  ["route", async () => (await import("./route.js")).routeCommand],
  ["serve", async () => (await import("./serve.js")).serveCommand],
  ["log", async () => (await import("./log.js")).logCommand],
  ["router", async () => (await import("./router.js")).routerCommand],
  ["config", async () => (await import("./config.js")).configCommand],
  ["inspect", async () => (await import("./inspect.js")).inspectCommand],
  ["plan", async () => (await import("./plan.js")).planCommand],
  ["perplexity", async () => (await import("./perplexity.js")).perplexityCommand],
  ["calibrate", async () => (await import("./calibrate.js")).calibrateCommand],
  ["bench", async () => (await import("./bench.js")).benchCommand],
  ["tokenize", async () => (await import("./tokenize.js")).tokenizeCommand],
  ["doctor", async () => (await import("./doctor.js")).doctorCommand],
]);

/** The commands that arguments can be about: the one they begin with, none beside --version, or all. */
function commandsFor([first]: readonly string[]): readonly (() => Promise<CreateCommand>)[] {
  if (first === "--version" || first === "-V") return [];
  const named = first === undefined ? undefined : commands.get(first);
  return named === undefined ? [...commands.values()] : [named];
}

/** The `air` program with the commands that `args` need; throws instead of exiting. */
async function createProgram(io: CliIo, args: readonly string[]): Promise<Command> {
  const program = new Command("air")
    .description("Runs language models on small machines.")
    .version(packageVersion(), "-V, --version", "print the version")
    .addHelpText("after", overview);
  const creators = await Promise.all(commandsFor(args).map((load) => load()));
  for (const create of creators) program.addCommand(create(io));
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
  try {
    const program = await createProgram(io, args);
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
