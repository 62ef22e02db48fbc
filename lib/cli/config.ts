import { Command } from "commander";

import {
  AirConfigError,
  checkConfig,
  configJsonSchema,
  readConfig,
  readConfigJson,
} from "../tiers/config.js";
import { percentile } from "../benchmark/statistics.js";
import { AirRuntime } from "../tiers/air-runtime.js";
import { calibrateCascade, type TierConfidence } from "../tiers/cascade-calibration.js";
import { type CliIo, readLines, write, writeJson } from "./io.js";
import { progressBar } from "./load.js";
import { fraction } from "./options.js";
import { table } from "./text.js";

interface CheckOptions {
  readonly json?: boolean;
}

const examples = `
Examples:
  air config check air.config.json
  air config cascade air.config.json prompts.txt --escalate 10%
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

interface CascadeOptions extends CheckOptions {
  readonly escalate: number;
}

async function cascade(
  io: CliIo,
  file: string,
  prompts: string,
  { escalate, json }: CascadeOptions,
): Promise<void> {
  const lines = await readLines(io, prompts);
  const config = await readConfig(file);
  await using runtime = await AirRuntime.create(config);
  const bar = progressBar(io, "answering");
  let found: readonly TierConfidence[];
  try {
    found = await calibrateCascade(
      runtime,
      lines.map((content) => [{ role: "user", content }]),
      {
        share: escalate,
        signal: io.signal,
        onProgress: bar.update,
        ...(config.cascade && { holdTokens: config.cascade.holdTokens }),
      },
    );
  } finally {
    bar.stop();
  }
  const minLogprob = Object.fromEntries(found.map(({ tier, minLogprob: least }) => [tier, least]));
  if (json === true) {
    await writeJson(io, { cascade: { minLogprob }, tiers: found });
    return;
  }
  const rows = found.map(({ tier, minLogprob: least, meanLogprobs }) => [
    tier,
    least.toFixed(3),
    percentile(meanLogprobs, 0.5).toFixed(3),
  ]);
  const header = ["tier", "minLogprob", "median"];
  await write(io.stdout, `${table([header, ...rows], ["left", "right", "right"])}\n`);
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
    .command("cascade")
    .description("Finds the thresholds of a cascade: answers the prompts with all tiers but the largest.")
    .argument("<file>", "configuration file")
    .argument("<prompts>", 'a prompt per line, like those of your use; "-" reads stdin')
    .option("--escalate <share>", "of a tier's answers, such as 10%", fraction("--escalate"), 0.1)
    .option("--json", "print one JSON object")
    .action((file: string, prompts: string, options: CascadeOptions) => cascade(io, file, prompts, options));
  command
    .command("schema")
    .description("Prints the JSON schema of configuration files.")
    .action(async () => {
      await write(io.stdout, `${JSON.stringify(configJsonSchema(), undefined, 2)}\n`);
    });
  return command;
}
