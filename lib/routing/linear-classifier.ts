import { fileURLToPath } from "node:url";

import { complexityOf } from "./calibration.js";
import type { Complexity, ComplexityClassifier, Evidence, RoutedPrompt } from "./complexity.js";
import { mostDeviations } from "./design-matrix.js";
import { ngramKinds, ngramTexts, ngramVector } from "./ngram-features.js";
import { readPrompt, type ReadPrompt } from "./prompt-features.js";
import { readRouterFile, type RouterFile } from "./router-file.js";

/** The router that ships with air. */
export const shippedRouter = fileURLToPath(new URL("../../models/router.json", import.meta.url));

/** [buckets] weights of a boundary, inverse document frequencies included. */
function unpacked(text: string, step: number): Float32Array {
  const bytes = Buffer.from(text, "base64");
  return Float32Array.from(
    new Int8Array(bytes.buffer, bytes.byteOffset, bytes.length),
    (byte) => byte * step,
  );
}

/** The default classifier: an ordinal logistic regression over hashed n-grams and readable features. */
export class LinearClassifier implements ComplexityClassifier {
  readonly kind = "linear";
  /** Scores at and above which the second and the third tier answer. */
  readonly thresholds: readonly [number, number];
  readonly #file: RouterFile;
  /** [2][buckets] */
  readonly #weights: readonly [Float32Array, Float32Array];

  constructor(file: RouterFile) {
    const { weights, steps } = file.ngrams;
    this.#file = file;
    this.#weights = [unpacked(weights[0], steps[0]), unpacked(weights[1], steps[1])];
    this.thresholds = file.thresholds;
  }

  classify(prompt: RoutedPrompt): Complexity {
    const { biases, platt } = this.#file;
    const read = readPrompt(prompt);
    let [low, high] = biases;
    for (const [index, feature] of this.#file.readable.entries()) {
      const value = this.#deviations(read, index);
      low += value * feature.weights[0];
      high += value * feature.weights[1];
    }
    const [lowWeights, highWeights] = this.#weights;
    for (const kind of ngramKinds) {
      const { buckets, values } = ngramVector(kind, read.asking);
      for (let i = 0; i < buckets.length; i += 1) {
        const bucket = buckets[i] ?? 0;
        const value = values[i] ?? 0;
        low += value * (lowWeights[bucket] ?? 0);
        high += value * (highWeights[bucket] ?? 0);
      }
    }
    return complexityOf(platt[0].slope * low + platt[0].offset, platt[1].slope * high + platt[1].offset);
  }

  /** What spoke for the score: readable features by name, n-grams by their kind and text. */
  explain(prompt: RoutedPrompt, most: number): readonly Evidence[] {
    const read = readPrompt(prompt);
    const { platt, readable } = this.#file;
    const weightOf = (low: number, high: number): number =>
      (platt[0].slope * low + platt[1].slope * high) / 2;
    const evidence: Evidence[] = readable.map(({ name, weights }, index) => ({
      feature: name,
      weight: this.#deviations(read, index) * weightOf(weights[0], weights[1]),
    }));
    const [lowWeights, highWeights] = this.#weights;
    for (const kind of ngramKinds) {
      const texts = ngramTexts(kind, read.asking);
      const { buckets, values } = ngramVector(kind, read.asking);
      for (const [order, bucket] of buckets.entries()) {
        const weight = (values[order] ?? 0) * weightOf(lowWeights[bucket] ?? 0, highWeights[bucket] ?? 0);
        evidence.push({ feature: `${kind} "${texts.get(bucket) ?? ""}"`, weight });
      }
    }
    const strength = ({ weight }: Evidence): number => Math.abs(weight);
    return evidence
      .filter(({ weight }) => weight !== 0)
      .sort((a, b) => strength(b) - strength(a))
      .slice(0, Math.max(0, most));
  }

  /** A readable feature in standard deviations of the training data. */
  #deviations({ readable }: ReadPrompt, index: number): number {
    const { mean = 0, factor = 0 } = this.#file.readable[index] ?? {};
    const deviations = ((readable[index] ?? 0) - mean) * factor;
    return Math.max(-mostDeviations, Math.min(mostDeviations, deviations));
  }
}

/**
 * Loads a trained router.
 *
 * @param path - router file; default: the one that comes with air
 * @throws {AirError} AIR_ERR_IO when it cannot be read, AIR_ERR_ROUTER_FILE when it is damaged
 */
export async function loadRouter(path: string = shippedRouter): Promise<LinearClassifier> {
  return new LinearClassifier(await readRouterFile(path));
}
