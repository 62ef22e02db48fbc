import { Command } from "commander";

import { readRegistry } from "../hub/registry.js";
import { modelFolder } from "../hub/settings.js";
import { type PulledModel, pruneModels, removeModel } from "../index.js";
import { type CliIo, note, write, writeJson } from "./io.js";
import { formatBytes, table } from "./text.js";

interface ModelsOptions {
  readonly json?: boolean;
}

const examples = `
Examples:
  air models
  air models rm bartowski/SmolLM2-135M-Instruct-GGUF:Q8_0
  air models prune`;

/** The models for people. */
export function formatModels(models: readonly PulledModel[]): string {
  const rows = models.map(({ name, bytes, commit, pulledAt, isPresent }) => [
    name,
    formatBytes(bytes),
    commit.slice(0, 12),
    pulledAt.slice(0, 10),
    isPresent ? "" : "files are gone",
  ]);
  const header = ["model", "size", "commit", "pulled", ""];
  return `${table([header, ...rows], ["left", "right"])}\n`;
}

async function list(io: CliIo, { json }: ModelsOptions): Promise<void> {
  const { models, damaged } = await readRegistry(modelFolder());
  for (const file of damaged) note(io, `${file} is damaged: pull the model again, or delete the file`);
  if (json === true) await writeJson(io, { folder: modelFolder(), models });
  else if (models.length > 0) await write(io.stdout, formatModels(models));
  else note(io, `no models in ${modelFolder()}; air pull owner/repo gets one`);
}

async function remove(io: CliIo, name: string, { json }: ModelsOptions): Promise<void> {
  const removed = await removeModel(name);
  if (json === true) await writeJson(io, { removed: removed.name, bytes: removed.bytes });
  else await write(io.stdout, `removed ${removed.name} (${formatBytes(removed.bytes)})\n`);
}

async function prune(io: CliIo, { json }: ModelsOptions): Promise<void> {
  const { folders, bytes } = await pruneModels();
  if (json === true) await writeJson(io, { folders, bytes });
  else await write(io.stdout, `removed ${formatBytes(bytes)} in ${folders.length} folders\n`);
}

/** `air models`: what was pulled. */
export function modelsCommand(io: CliIo): Command {
  const command = new Command("models")
    .summary("list and remove pulled models")
    .description("Lists the models that `air pull` has downloaded.")
    .option("--json", "print one JSON object")
    .addHelpText("after", examples)
    .action((options: ModelsOptions) => list(io, options));
  command
    .command("rm")
    .summary("remove a model")
    .description("Removes a pulled model and its files.")
    .argument("<model>", "its name, as `air models` shows it")
    .option("--json", "print one JSON object")
    .action((name: string, _: ModelsOptions, own: Command) => remove(io, name, own.optsWithGlobals()));
  command
    .command("prune")
    .summary("remove what no model needs")
    .description("Removes unfinished downloads, and files that newer revisions have replaced.")
    .option("--json", "print one JSON object")
    .action((_: ModelsOptions, own: Command) => prune(io, own.optsWithGlobals()));
  return command;
}
