import { invalidArgument } from "../errors/air-error.js";
import { fitPlatt, complexityOf, type PlattScale } from "./calibration.js";
import type { Complexity } from "./complexity.js";
import { designMatrix, type FeatureScales, featureScales } from "./design-matrix.js";
import type { LabelledPrompt } from "./example-file.js";
import { fitOrdinal, logitsOf, type OrdinalModel, type Regularization } from "./ordinal-model.js";
import { promptFeatures, type PromptFeatures } from "./prompt-features.js";
import { chooseThresholds } from "./thresholds.js";

/** What can be set about training; the defaults are those of the shipped router. */
export interface TrainingOptions {
  /** Default {@link defaultRegularization}. */
  readonly regularization?: Regularization;
  /** How much readable features count against n-grams; default {@link defaultReadableFactor}. */
  readonly readableFactor?: number;
  /** Parts for cross-validation; default 5. */
  readonly folds?: number;
  /** Prompts that an n-gram has to be in; default 2. */
  readonly leastPrompts?: number;
  /** Largest share of requests that may get too small a tier; default 0.05. */
  readonly underRouting?: number;
  /** Called with the work done, 0 to 1. */
  readonly onProgress?: (fraction: number) => void;
}

/** A trained model before it is packed into a router file. */
export interface TrainedRouter {
  readonly scales: FeatureScales;
  readonly readableFactor: number;
  readonly model: OrdinalModel;
  readonly platt: readonly [PlattScale, PlattScale];
  readonly thresholds: readonly [number, number];
  /** What it was trained on. */
  readonly training: { readonly examples: number; readonly families: number };
  /** [examples] what cross-validation said of each example, by models that had not seen its family. */
  readonly outOfFold: readonly Complexity[];
}

/** Chosen by cross-validation over whole families; see docs/routing.md. */
export const defaultRegularization: Regularization = { shared: 1e-3, apart: 7e-4 };

/** As {@link defaultRegularization}. */
export const defaultReadableFactor = 0.3;

/** Fewest examples of each tier: with fewer, no part of a cross-validation would have one. */
const fewestPerTier = 10;

/** The part of cross-validation that each example is in; examples of a family stay together. */
function foldsOf(examples: readonly LabelledPrompt[], folds: number): Uint8Array {
  const order = new Map<string, number>();
  return Uint8Array.from(examples, ({ family }, index) => {
    const key = family ?? `#${index}`;
    const known = order.get(key);
    if (known !== undefined) return known % folds;
    order.set(key, order.size);
    return (order.size - 1) % folds;
  });
}

function familySizes(examples: readonly LabelledPrompt[]): ReadonlyMap<string, number> {
  const sizes = new Map<string, number>();
  for (const { family } of examples)
    if (family !== undefined) sizes.set(family, (sizes.get(family) ?? 0) + 1);
  return sizes;
}

/** Weights under which families count by the square root of their size, and tiers count alike. */
function rowWeights(examples: readonly LabelledPrompt[]): Float64Array {
  const sizes = new Map<string, number>();
  for (const { family } of examples)
    if (family !== undefined) sizes.set(family, (sizes.get(family) ?? 0) + 1);
  const weights = Float64Array.from(examples, ({ family }) =>
    family === undefined ? 1 : 1 / Math.sqrt(sizes.get(family) ?? 1),
  );
  const totals = [0, 0, 0];
  for (const [row, { tier }] of examples.entries()) totals[tier] = (totals[tier] ?? 0) + (weights[row] ?? 0);
  return weights.map((weight, row) => weight / (totals[examples[row]?.tier ?? 0] ?? 1));
}

interface Fit {
  readonly scales: FeatureScales;
  readonly model: OrdinalModel;
}

function fit(
  features: readonly PromptFeatures[],
  examples: readonly LabelledPrompt[],
  options: TrainingOptions,
): Fit {
  const scales = featureScales(features, options.leastPrompts ?? 2);
  const matrix = designMatrix(features, scales, options.readableFactor ?? defaultReadableFactor);
  const tiers = Uint8Array.from(examples, ({ tier }) => tier);
  const model = fitOrdinal(
    matrix,
    tiers,
    rowWeights(examples),
    options.regularization ?? defaultRegularization,
  );
  return { scales, model };
}

/** [examples] logits by models that were not trained on the example's family. */
function outOfFoldLogits(
  features: readonly PromptFeatures[],
  examples: readonly LabelledPrompt[],
  options: TrainingOptions,
): readonly (readonly [number, number])[] {
  const folds = options.folds ?? 5;
  const foldOf = foldsOf(examples, folds);
  const logits: (readonly [number, number])[] = [];
  for (let fold = 0; fold < folds; fold += 1) {
    const isTrained = (_: unknown, row: number): boolean => foldOf[row] !== fold;
    const { scales, model } = fit(features.filter(isTrained), examples.filter(isTrained), options);
    const rows = examples.flatMap((_, row) => (foldOf[row] === fold ? [row] : []));
    const held = features.filter((_, row) => foldOf[row] === fold);
    const matrix = designMatrix(held, scales, options.readableFactor ?? defaultReadableFactor);
    for (const [order, row] of rows.entries()) logits[row] = logitsOf(model, matrix, order);
    options.onProgress?.((fold + 1) / (folds + 1));
  }
  return logits;
}

/**
 * Trains a router: features, an ordinal model, and, on scores of cross-validation, its calibration and thresholds.
 * Deterministic: the same examples in the same order give the same router.
 *
 * @throws {AirArgumentError} AIR_ERR_ARGUMENT for fewer than 10 examples of a tier
 */
export function trainRouter(
  examples: readonly LabelledPrompt[],
  options: TrainingOptions = {},
): TrainedRouter {
  for (const tier of [0, 1, 2]) {
    const count = examples.filter((example) => example.tier === tier).length;
    if (count < fewestPerTier) {
      throw invalidArgument("the training data", `at least ${fewestPerTier} prompts of tier ${tier}`, count);
    }
  }
  const features = examples.map(({ prompt }) => promptFeatures(prompt));
  const logits = outOfFoldLogits(features, examples, options);
  const scaleOf = (boundary: 0 | 1): PlattScale =>
    fitPlatt(
      logits.map((pair) => pair[boundary]),
      examples.map(({ tier }) => tier > boundary),
    );
  const platt = [scaleOf(0), scaleOf(1)] as const;
  const outOfFold = logits.map(([low, high]) =>
    complexityOf(platt[0].slope * low + platt[0].offset, platt[1].slope * high + platt[1].offset),
  );
  const scored = examples.map(({ tier }, row) => ({ tier, score: outOfFold[row]?.score ?? 0 }));
  const thresholds = chooseThresholds(scored, options.underRouting ?? 0.05);
  const { scales, model } = fit(features, examples, options);
  options.onProgress?.(1);
  return {
    scales,
    readableFactor: options.readableFactor ?? defaultReadableFactor,
    model,
    platt,
    thresholds,
    training: { examples: examples.length, families: familySizes(examples).size },
    outOfFold,
  };
}
