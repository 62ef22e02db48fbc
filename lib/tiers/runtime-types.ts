import type { NativeAddon } from "../native/native.js";
import type { Complexity, ComplexityClassifier, Evidence } from "../routing/complexity.js";
import type { RouteDecision, RouteHints } from "../routing/decision.js";
import type { HeldPressures } from "../routing/pressure-levels.js";
import type { Embedding, EmbedOptions } from "../runtime/embedding.js";
import type { GenerateOptions } from "../runtime/options.js";
import type { Clock } from "./governor.js";
import type { SensorReading, Sensors } from "./sensors.js";
import type { TierStats } from "./tier.js";

/** A request's options: those of session.generate(), and where it may go. */
export interface RoutedOptions extends GenerateOptions, RouteHints {
  /** See SessionOptions. */
  readonly cacheSalt?: string;
  /** False: the first tier's answer is taken as it is. Default true, where the configuration has a cascade. */
  readonly cascade?: boolean;
}

/** Options of embed(): those of model.embed(), and whose model it is. */
export interface RoutedEmbedOptions extends EmbedOptions {
  /** Name of a local tier. Default: the smallest one. */
  readonly tier?: string;
}

/** Texts as vectors. */
export interface RoutedEmbeddings {
  readonly tier: string;
  /** One for each text, in their order. */
  readonly embeddings: readonly Embedding[];
}

/** What would happen to a request. */
export interface RoutePreview {
  readonly decision: RouteDecision;
  readonly complexity: Complexity;
  /** What spoke for the score, the strongest first; empty when the classifier cannot tell. */
  readonly evidence: readonly Evidence[];
}

/** Something that happened to a tier. */
export type RuntimeEvent =
  | { readonly kind: "load" | "unload"; readonly tier: string }
  | { readonly kind: "throttle"; readonly threadsFraction: number; readonly batchFraction: number };

/** What a runtime takes that no configuration file can say. */
export interface AirRuntimeExtras {
  /** Another classifier than the configured one. */
  readonly classifier?: ComplexityClassifier & { readonly thresholds?: readonly number[] };
  /** Another implementation of the native surface, for tests. */
  readonly addon?: NativeAddon;
  /** Another source of temperature and memory, for tests. Default: those of the machine. */
  readonly sensors?: Sensors;
  /** Another clock for what the sensors say over time, for tests. */
  readonly clock?: Clock;
  readonly onEvent?: (event: RuntimeEvent) => void;
}

/** Counters since the runtime was made. */
export interface RuntimeStats {
  readonly requests: number;
  readonly answered: number;
  readonly failed: number;
  /** Answers that were not trusted and went on to a larger tier. */
  readonly escalations: number;
  /** Requests that another tier answered because one failed. */
  readonly fallbacks: number;
  readonly tiers: Readonly<
    Record<string, TierStats & { readonly answered: number; readonly isLoaded: boolean }>
  >;
  readonly pressure: HeldPressures;
  /** How the machine fared at the last look; undefined before the first, and without a governor. */
  readonly machine: SensorReading | undefined;
}
