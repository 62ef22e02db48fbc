import { Command } from "commander";

import { AirConfigError, checkConfig, configJsonSchema, readConfigJson } from "../tiers/config.js";
import { type CliIo, write, writeJson } from "./io.js";
import { table } from "./text.js";

interface CheckOptions {
  readonly json?: boolean;
}

const examples = `
Examples:
  air config check air.config.json
  air config schema > air.config.schema.json`;

async function check(io: CliIo, file: string, { json }: CheckOptions): Promise<void> {
  const checked = checkConfig(await readConfigJson(file));
  if ("problems" in checked) {
    const rows = checked.problems.map(({ path, expected, received }) => [
      path === "" ? "the whole" : path,
      `expected ${expected}, received ${received}`,
    ]);
    if (json !== true) await write(io.stdout, `${table(rows)}\n`);
    throw new AirConfigError(file, checked.problems);
  }
  const tiers = checked.config.tiers.map((tier) => [
    tier.name,
    tier.kind,
    tier.kind === "local" ? tier.model : `${tier.model} at ${tier.url}`,
  ]);
  if (json === true) await writeJson(io, { ok: true, tiers: tiers.map(([name, kind]) => ({ name, kind })) });
  else await write(io.stdout, `${table(tiers)}\nfine\n`);
}

/** `air config`: check configuration files, print their schema. */
export function configCommand(io: CliIo): Command {
  const command = new Command("config")
    .summary("check a configuration of tiers")
    .description("Checks configurations of `air run`, and prints their JSON schema for editors.")
    .addHelpText("after", examples);
  command
    .command("check")
    .description("Says all that is wrong with a configuration; exit status 1 if anything is.")
    .argument("<file>", "configuration file")
    .option("--json", "print one JSON object")
    .action((file: string, options: CheckOptions) => check(io, file, options));
  command
    .command("schema")
    .description("Prints the JSON schema of configuration files.")
    .action(async () => {
      await write(io.stdout, `${JSON.stringify(configJsonSchema(), undefined, 2)}\n`);
    });
  return command;
}
