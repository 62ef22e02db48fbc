/** How a model stretches its positions beyond the length it was first trained on. */
export type RopeScaling =
  | { readonly kind: "none" }
  /** Position interpolation: every angle divided by `factor`. */
  | { readonly kind: "linear"; readonly factor: number }
  | {
      /** Llama 3.1: low frequencies divided by `factor`, high ones kept, those between blended. */
      readonly kind: "llama3";
      readonly factor: number;
      readonly lowFrequencyFactor: number;
      readonly highFrequencyFactor: number;
      readonly originalContext: number;
    }
  | {
      /** YaRN (arXiv 2309.00071). */
      readonly kind: "yarn";
      readonly factor: number;
      readonly originalContext: number;
      /** Weight of the extrapolated angles; 1 is YaRN, 0 is plain interpolation. */
      readonly extrapolation: number;
      /** Dimensions that turn more often than this in the original context are not interpolated. */
      readonly betaFast: number;
      /** Dimensions that turn less often than this are fully interpolated. */
      readonly betaSlow: number;
    };

/** What rotary position embedding needs, with position scaling applied. */
export interface RopeAngles {
  /** [dimensions / 2] radians per position. */
  readonly inverseFrequencies: Float64Array;
  /** Multiplies cosines and sines. */
  readonly attentionFactor: number;
}

/** What ropeAngles starts from. */
export interface RopeParameters {
  /** Rotated dimensions of a head; even. */
  readonly dimensions: number;
  readonly base: number;
  readonly scaling: RopeScaling;
  /** [dimensions / 2] divisors of the angles that a file brings along; default all 1. */
  readonly frequencyFactors?: readonly number[];
  /** The file's own multiplier of cosines and sines; default 1. */
  readonly attentionFactor?: number;
}

/** Angles per position of each rotated pair: base^(-2j / dimensions), divided by the file's factors, then scaled. */
export function ropeAngles(parameters: RopeParameters): RopeAngles {
  const { dimensions, base, scaling, frequencyFactors } = parameters;
  const inverseFrequencies = Float64Array.from({ length: dimensions / 2 }, (_, pair) => {
    const plain = base ** ((-2 * pair) / dimensions) / (frequencyFactors?.[pair] ?? 1);
    return scaleFrequency(plain, pair, parameters);
  });
  return {
    inverseFrequencies,
    attentionFactor: (parameters.attentionFactor ?? 1) * attentionScale(scaling),
  };
}

function scaleFrequency(frequency: number, pair: number, parameters: RopeParameters): number {
  const { scaling } = parameters;
  switch (scaling.kind) {
    case "none":
      return frequency;
    case "linear":
      return frequency / scaling.factor;
    case "llama3":
      return frequency / llama3FrequencyFactor(frequency, scaling);
    case "yarn": {
      const kept = yarnRamp(pair, parameters.dimensions, parameters.base, scaling) * scaling.extrapolation;
      return (frequency / scaling.factor) * (1 - kept) + frequency * kept;
    }
  }
}

/**
 * The divisor of one angle under Llama 3.1 scaling: 1 for wavelengths short against the original context, `factor`
 * for long ones, and between them the harmonic blend of both. Converters store these in `rope_freqs.weight`.
 */
export function llama3FrequencyFactor(
  frequency: number,
  scaling: Extract<RopeScaling, { readonly kind: "llama3" }>,
): number {
  const { factor, lowFrequencyFactor, highFrequencyFactor, originalContext } = scaling;
  const turns = (originalContext * frequency) / (2 * Math.PI); // of this pair over the original context
  if (turns > highFrequencyFactor) return 1;
  if (turns < lowFrequencyFactor) return factor;
  const kept = (turns - lowFrequencyFactor) / (highFrequencyFactor - lowFrequencyFactor);
  return 1 / ((1 - kept) / factor + kept);
}

/**
 * How much of the unscaled angle a pair keeps under YaRN: 1 below the pair that turns betaFast times within the
 * original context, 0 above the one that turns betaSlow times, linear between (arXiv 2309.00071, section 3.2, with
 * the bounds rounded outwards as the paper's implementation and llama.cpp do).
 */
function yarnRamp(
  pair: number,
  dimensions: number,
  base: number,
  scaling: Extract<RopeScaling, { readonly kind: "yarn" }>,
): number {
  const pairTurning = (turns: number): number =>
    (dimensions * Math.log(scaling.originalContext / (turns * 2 * Math.PI))) / (2 * Math.log(base));
  const low = Math.max(0, Math.floor(pairTurning(scaling.betaFast)));
  const high = Math.min(dimensions - 1, Math.ceil(pairTurning(scaling.betaSlow)));
  const position = (pair - low) / Math.max(0.001, high - low);
  return 1 - Math.min(1, Math.max(0, position));
}

/** YaRN's correction of the attention temperature, 0.1 ln(factor) + 1 (its equation 22); 1 for the other kinds. */
function attentionScale(scaling: RopeScaling): number {
  if (scaling.kind !== "yarn" || scaling.extrapolation === 0 || scaling.factor <= 1) return 1;
  return 1 + 0.1 * Math.log(scaling.factor);
}
