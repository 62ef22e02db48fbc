import { Command } from "commander";

import { invalidArgument } from "../errors/air-error.js";
import { complexityOf, thresholdsForMix, tierOf } from "../routing/calibration.js";
import { classNames } from "../routing/complexity.js";
import { defaultTierCosts, evaluateRouter, type RouterEvaluation } from "../routing/evaluation.js";
import { parseLabelledPrompts, parsePrompts } from "../routing/example-file.js";
import { LinearClassifier, shippedRouter } from "../routing/linear-classifier.js";
import {
  formatRouterFile,
  packRouter,
  readRouterFile,
  type RouterFile,
  withThresholds,
} from "../routing/router-file.js";
import { trainRouter } from "../routing/training.js";
import { writeWhole } from "../util/text-file.js";
import { type CliIo, note, readText, write, writeJson } from "./io.js";
import { progressBar } from "./load.js";
import { decimal, integer } from "./options.js";
import { table } from "./text.js";

const trainExamples = `
A line is {"prompt": "...", "tier": 0} or {"messages": [{"role": "user", "content": "..."}], "tier": 2}: 0 for
simple, 1 for demanding, 2 for hard. Lines with the same "family" are kept together in cross-validation, which
calibrates scores and sets thresholds.

Examples:
  air router train data.jsonl -o router.json
  air router train data.jsonl -o router.json --under-routing 0.03 --json`;

const evalExamples = `
Lines are as those of \`air router train\`. A request that gets too small a tier is paid for there and again on
the tier that it needs.

Examples:
  air router eval data.jsonl
  air router eval data.jsonl --router router.json --costs 1,5,30 --json`;

const calibrateExamples = `
A line is {"prompt": "..."} or {"messages": [...]}; no tiers are needed. Shares are those of the smallest tier,
the middle one and the largest. Without -o the thresholds are printed only.

Examples:
  air router calibrate --mix 60/30/10 prompts.jsonl
  air router calibrate --mix 60/30/10 prompts.jsonl -o router.json`;

function percent(share: number | null): string {
  return share === null ? "-" : `${(share * 100).toFixed(1)}%`;
}

/** What training or evaluation found, for people. */
function formatEvaluation(result: RouterEvaluation, thresholds: readonly number[]): string {
  const { confusion, recalls, cost } = result;
  const summary = [
    ["prompts", `${result.prompts}`],
    ["thresholds", thresholds.map((threshold) => threshold.toFixed(3)).join(" and ")],
    ["accuracy", percent(result.accuracy)],
    ["tier too small", percent(result.underRouted)],
    ["tier too large", percent(result.overRouted)],
    ["calibration error", result.calibrationError.toFixed(3)],
    [
      "expected cost",
      `${cost.expected.toFixed(2)} a request (${cost.ideal.toFixed(2)} at best, ${cost.largest.toFixed(2)} ` +
        "all on the largest tier)",
    ],
  ];
  const rows = [
    ["", ...classNames.map((_, tier) => `to tier ${tier}`), "recall"],
    ...confusion.map((row, tier) => [
      `${tier} ${classNames[tier] ?? ""}`,
      ...row.map(String),
      percent(recalls[tier] ?? null),
    ]),
  ];
  return `${table(summary)}\n\n${table(rows, ["left", "right", "right", "right", "right"])}\n`;
}

interface TrainCommandOptions {
  readonly output: string;
  readonly underRouting: number;
  readonly folds: number;
  readonly json?: boolean;
}

async function runTrain(io: CliIo, file: string, options: TrainCommandOptions): Promise<void> {
  const examples = parseLabelledPrompts(await readText(io, file), file);
  const bar = progressBar(io, "training");
  let trained;
  try {
    trained = trainRouter(examples, {
      underRouting: options.underRouting,
      folds: options.folds,
      onProgress: bar.update,
    });
  } finally {
    bar.stop();
  }
  const judged = examples.map(({ tier }, row) => ({
    tier,
    complexity: trained.outOfFold[row] ?? complexityOf(0, 0),
  }));
  const result = evaluateRouter(judged, trained.thresholds);
  await writeWhole(options.output, formatRouterFile(packRouter(trained)));
  if (options.json === true) await writeJson(io, { thresholds: trained.thresholds, ...result });
  else await write(io.stdout, `by cross-validation:\n${formatEvaluation(result, trained.thresholds)}`);
}

function trainCommand(io: CliIo): Command {
  return new Command("train")
    .summary("train a router on prompts whose tiers are known")
    .description(
      "Trains a router on prompts whose tiers are known, and says how it does by cross-validation.",
    )
    .argument("<data>", 'JSONL file; "-" reads stdin')
    .requiredOption("-o, --output <file>", "router file to write")
    .option(
      "--under-routing <share>",
      "most requests that may get too small a tier",
      decimal("--under-routing", { min: 0, max: 1 }),
      0.05,
    )
    .option("--folds <n>", "parts for cross-validation", integer("--folds", { min: 2, max: 20 }), 5)
    .option("--json", "print the result as JSON")
    .addHelpText("after", trainExamples)
    .action((file: string, options: TrainCommandOptions) => runTrain(io, file, options));
}

interface EvalCommandOptions {
  readonly router?: string;
  readonly costs: readonly number[];
  readonly json?: boolean;
}

function tierCosts(text: string): readonly number[] {
  const costs = text.split(",").map((part) => (part.trim() === "" ? Number.NaN : Number(part)));
  if (costs.length !== 3 || !costs.every((cost) => cost >= 0 && Number.isFinite(cost))) {
    throw invalidArgument("--costs", "three costs such as 1,4,16", text);
  }
  return costs;
}

async function runEval(io: CliIo, file: string, options: EvalCommandOptions): Promise<void> {
  const examples = parseLabelledPrompts(await readText(io, file), file);
  if (examples.length === 0) throw invalidArgument(file, "at least one prompt", "none");
  const classifier = new LinearClassifier(await readRouterFile(options.router ?? shippedRouter));
  const judged = examples.map(({ prompt, tier }) => ({ tier, complexity: classifier.classify(prompt) }));
  const { thresholds } = classifier;
  const result = evaluateRouter(judged, thresholds, options.costs);
  if (options.json === true) await writeJson(io, { thresholds, ...result });
  else await write(io.stdout, formatEvaluation(result, thresholds));
}

function evalCommand(io: CliIo): Command {
  return new Command("eval")
    .summary("say how well a router does")
    .description("Says how well a router does on prompts whose tiers are known.")
    .argument("<data>", 'JSONL file; "-" reads stdin')
    .option("--router <file>", "router file (default: the one that comes with air)")
    .option("--costs <list>", "cost of a request on each tier", tierCosts, defaultTierCosts)
    .option("--json", "print the result as JSON")
    .addHelpText("after", evalExamples)
    .action((file: string, options: EvalCommandOptions) => runEval(io, file, options));
}

interface CalibrateCommandOptions {
  readonly mix: readonly number[];
  readonly router?: string;
  readonly output?: string;
  readonly json?: boolean;
}

/** Shares from 60/30/10. */
function mixOf(text: string): readonly number[] {
  const shares = text
    .split("/")
    .map((part) => (/^\s*\d+(\.\d+)?\s*$/.test(part) ? Number(part) : Number.NaN));
  const total = shares.reduce((sum, share) => sum + share, 0);
  if (shares.length !== 3 || !(total > 0)) throw invalidArgument("--mix", "shares such as 60/30/10", text);
  return shares.map((share) => share / total);
}

/** Fewest prompts whose quantiles say something about traffic to come. */
const fewestPrompts = 200;

async function runCalibrate(io: CliIo, file: string, options: CalibrateCommandOptions): Promise<void> {
  const prompts = parsePrompts(await readText(io, file), file);
  if (prompts.length === 0) throw invalidArgument(file, "at least one prompt", "none");
  if (prompts.length < fewestPrompts) {
    note(
      io,
      `${prompts.length} prompts say little about traffic to come; ${fewestPrompts} and more say more`,
    );
  }
  const router: RouterFile = await readRouterFile(options.router ?? shippedRouter);
  const classifier = new LinearClassifier(router);
  const scores = prompts.map((prompt) => classifier.classify(prompt).score);
  const [first = 0, second = 1] = thresholdsForMix(scores, options.mix);
  const shares = [0, 0, 0];
  for (const score of scores) {
    const tier = tierOf(score, [first, second]);
    shares[tier] = (shares[tier] ?? 0) + 1 / scores.length;
  }
  const { output } = options;
  if (output !== undefined)
    await writeWhole(output, formatRouterFile(withThresholds(router, [first, second])));
  if (options.json === true) {
    await writeJson(io, { thresholds: [first, second], mix: options.mix, shares, prompts: prompts.length });
    return;
  }
  const rows = [
    ["tier", "wanted", "share", "scores"],
    ["0 simple", percent(options.mix[0] ?? 0), percent(shares[0] ?? 0), `below ${first.toFixed(4)}`],
    ["1 demanding", percent(options.mix[1] ?? 0), percent(shares[1] ?? 0), `below ${second.toFixed(4)}`],
    ["2 hard", percent(options.mix[2] ?? 0), percent(shares[2] ?? 0), "the rest"],
  ];
  await write(io.stdout, `${table(rows, ["left", "right", "right", "left"])}\n`);
}

function calibrateCommand(io: CliIo): Command {
  return new Command("calibrate")
    .summary("set thresholds by your own traffic")
    .description("Sets thresholds so that tiers get given shares of traffic like the prompts of a file.")
    .argument("<prompts>", 'JSONL file; "-" reads stdin')
    .requiredOption("--mix <shares>", "shares of the tiers, such as 60/30/10", mixOf)
    .option("--router <file>", "router file (default: the one that comes with air)")
    .option("-o, --output <file>", "router file to write with these thresholds")
    .option("--json", "print the result as JSON")
    .addHelpText("after", calibrateExamples)
    .action((file: string, options: CalibrateCommandOptions) => runCalibrate(io, file, options));
}

const examples = `
Examples:
  air router train data.jsonl -o router.json
  air router eval data.jsonl --router router.json
  air router calibrate --mix 60/30/10 prompts.jsonl -o router.json

docs/routing.md explains what a router does and what the figures mean.`;

/** `air router`: training, evaluating and calibrating what picks a tier for a request. */
export function routerCommand(io: CliIo): Command {
  return new Command("router")
    .summary("train, evaluate and calibrate the router")
    .description(
      "Trains, evaluates and calibrates the router, which tells how much a request asks of a model.",
    )
    .addCommand(trainCommand(io))
    .addCommand(evalCommand(io))
    .addCommand(calibrateCommand(io))
    .addHelpText("after", examples);
}
