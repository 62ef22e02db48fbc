import { Command } from "commander";

import { invalidArgument } from "../errors/air-error.js";
import { classNames, type Complexity, type Evidence } from "../routing/complexity.js";
import { tierOf } from "../routing/calibration.js";
import { loadRouter } from "../routing/linear-classifier.js";
import { AirRuntime } from "../tiers/air-runtime.js";
import { readConfig } from "../tiers/config.js";
import { type CliIo, readLines, textArgument, write, writeJson } from "./io.js";
import { table } from "./text.js";

interface RouteOptions {
  readonly file?: string;
  readonly config?: string;
  readonly router?: string;
  readonly json?: boolean;
}

const examples = `
Tiers are 0 (simple), 1 (demanding) and 2 (hard), or with --config those of the configuration, under the memory and
heat of the moment. A file has a prompt per line. Features with + speak for a larger tier.

Examples:
  air route "What is the capital of France?"
  air route --file prompts.txt --json
  air route --config air.config.json "Write a function that merges two sorted lists."`;

/** What is printed about a prompt. */
interface RouteReport {
  readonly tier: number;
  readonly name: string;
  readonly score: number;
  readonly confidence: number;
  readonly reason: string;
  readonly detail: string;
  readonly probabilities: readonly number[];
  readonly evidence: readonly Evidence[];
}

type Router = (prompt: string) => RouteReport | Promise<RouteReport>;

/** Features that are shown. */
const shown = 8;

function reportOf(
  complexity: Complexity,
  thresholds: readonly number[],
  evidence: readonly Evidence[],
): RouteReport {
  const { score, confidence, probabilities } = complexity;
  const tier = tierOf(score, thresholds);
  const name = classNames[tier] ?? String(tier);
  const limits = thresholds.map((threshold) => threshold.toFixed(2)).join(" and ");
  const detail = `Score ${score.toFixed(2)} is ${name}, with thresholds at ${limits}.`;
  return { tier, name, score, confidence, reason: "score", detail, probabilities, evidence };
}

async function plainRouter(file: string | undefined): Promise<Router> {
  const router = await loadRouter(file);
  return (prompt) => reportOf(router.classify(prompt), router.thresholds, router.explain(prompt, shown));
}

/** @returns the router, and what ends it */
async function configuredRouter(
  file: string,
): Promise<{ readonly route: Router; readonly close: () => Promise<void> }> {
  const runtime = await AirRuntime.create(await readConfig(file));
  return {
    route: async (prompt) => {
      const { decision, complexity, evidence } = await runtime.route([{ role: "user", content: prompt }]);
      const { tier, name, score, confidence, reason, detail } = decision;
      const { probabilities } = complexity;
      return { tier, name, score, confidence, reason, detail, probabilities, evidence };
    },
    close: () => runtime.close(),
  };
}

/** A prompt's report for people. */
export function formatRoute(report: RouteReport): string {
  const { tier, name, score, confidence, detail, evidence } = report;
  const rows = [
    ["tier", `${tier} (${name})`],
    ["score", score.toFixed(3)],
    ["confidence", confidence.toFixed(3)],
    ["why", detail],
    ...evidence.map(({ feature, weight }, index) => [
      index === 0 ? "features" : "",
      `${weight >= 0 ? "+" : "-"}${Math.abs(weight).toFixed(2)}  ${feature}`,
    ]),
  ];
  return `${table(rows)}\n`;
}

async function promptsOf(
  io: CliIo,
  argument: string | undefined,
  file: string | undefined,
): Promise<readonly string[]> {
  if (file === undefined) {
    const text = (await textArgument(io, argument))?.replace(/\r?\n$/, "");
    if (text === undefined || text === "")
      throw invalidArgument("the prompt", "an argument or piped text", text);
    return [text];
  }
  if (argument !== undefined) throw invalidArgument("--file", "no prompt beside it", argument);
  const lines = await readLines(io, file);
  if (lines.length === 0) throw invalidArgument("--file", "at least one prompt", file);
  return lines;
}

async function run(io: CliIo, argument: string | undefined, options: RouteOptions): Promise<void> {
  const { file, config, router } = options;
  if (config !== undefined && router !== undefined)
    throw invalidArgument("--router", "no --config beside it, which names a router itself", router);
  const prompts = await promptsOf(io, argument, file);
  const opened =
    config === undefined
      ? { route: await plainRouter(router), close: () => Promise.resolve() }
      : await configuredRouter(config);
  try {
    for (const prompt of prompts) {
      const report = await opened.route(prompt);
      if (options.json === true) await writeJson(io, file === undefined ? report : { prompt, ...report });
      else if (file === undefined) await write(io.stdout, formatRoute(report));
      else await write(io.stdout, `${report.tier}  ${report.score.toFixed(3)}  ${prompt}\n`);
    }
  } finally {
    await opened.close();
  }
}

/** `air route`: where a prompt would go, and why. */
export function routeCommand(io: CliIo): Command {
  return new Command("route")
    .summary("show which tier a prompt needs, and why")
    .description(
      "Shows which tier a prompt would go to and which features spoke for it. Nothing is generated.",
    )
    .argument("[prompt]", "the prompt (default: stdin)")
    .option("--file <file>", 'a prompt per line; "-" reads stdin')
    .option("--config <file>", "configuration whose tiers are meant")
    .option("--router <file>", "router file of `air router train` (default: the one that comes with air)")
    .option("--json", "print one JSON object per prompt")
    .addHelpText("after", examples)
    .action((prompt: string | undefined, options: RouteOptions) => run(io, prompt, options));
}
