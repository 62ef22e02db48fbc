import { AirError } from "../errors/air-error.js";
import type { ComplexityClassifier } from "../routing/complexity.js";
import { loadRouter } from "../routing/linear-classifier.js";
import type { ResolvedConfig } from "./config.js";
import { defaultGovernorSettings, Governor } from "./governor.js";
import type { AirRuntimeExtras, RuntimeEvent } from "./runtime-types.js";
import { systemSensors } from "./sensors.js";
import type { TierFleet } from "./tier-fleet.js";

/** Plain configurations say nothing of the kind of a tier; what is no configuration at all is for parseConfig(). */
export function isResolved(config: unknown): config is ResolvedConfig {
  if (typeof config !== "object" || config === null || !("tiers" in config && "router" in config))
    return false;
  const { tiers } = config;
  const isTier = (tier: unknown): boolean => typeof tier === "object" && tier !== null && "kind" in tier;
  return Array.isArray(tiers) && tiers.length > 0 && tiers.every(isTier);
}

/** What scores requests, and where its scores are cut into tiers. */
export interface Router {
  readonly classifier: ComplexityClassifier;
  /** One fewer than tiers. */
  readonly thresholds: readonly number[];
}

/**
 * The router that the configuration names, or a classifier of the caller's in its place. A router file is read where
 * something is taken from it.
 *
 * @throws {AirError} AIR_ERR_IO, AIR_ERR_ROUTER_FILE, AIR_ERR_CONFIG for too few thresholds, and as loadEncoder()
 */
export async function createRouter(
  { router, tiers }: ResolvedConfig,
  given: AirRuntimeExtras["classifier"],
): Promise<Router> {
  const thresholds = router.thresholds ?? given?.thresholds;
  if (given !== undefined && thresholds !== undefined)
    return { classifier: given, thresholds: thresholdsFor(tiers.length, thresholds) };
  const linear = await loadRouter(router.kind === "linear" ? router.file : undefined);
  const classifier = given ?? (await createClassifier(router, linear));
  return { classifier, thresholds: thresholdsFor(tiers.length, thresholds ?? linear.thresholds) };
}

/** Three classes have two boundaries: two tiers are told apart by the first, and one by none. */
function thresholdsFor(tiers: number, thresholds: readonly number[]): readonly number[] {
  if (thresholds.length >= tiers - 1) return thresholds.slice(0, tiers - 1);
  throw new AirError(
    "AIR_ERR_CONFIG",
    `expected ${tiers - 1} thresholds for router.thresholds but received ${thresholds.length}`,
  );
}

async function createClassifier(
  router: ResolvedConfig["router"],
  linear: ComplexityClassifier,
): Promise<ComplexityClassifier> {
  if (router.kind === "linear") return linear;
  const { loadEncoder } = await import("./encoder-classifier.js");
  return loadEncoder(router.model, { budgetMs: router.budgetMs, fallback: linear });
}

/** The listener to events; one that throws harms nobody but itself. */
export function listenerOf({ onEvent }: AirRuntimeExtras): (event: RuntimeEvent) => void {
  return (event) => {
    try {
      onEvent?.(event);
    } catch {
      // It was told, and a load or a timer must not fail for it.
    }
  };
}

/** Watches the machine; heat throttles the tiers, and memory that is short takes the models that nobody uses. */
export function createGovernor(
  settings: ResolvedConfig["governor"],
  fleet: TierFleet,
  extras: AirRuntimeExtras,
): Governor {
  const { sensors, clock } = extras;
  const onEvent = listenerOf(extras);
  const { root = "", intervalMs = 1000, maxWatts } = settings === false ? {} : settings;
  const machine = sensors ?? systemSensors({ root, spareBytes: () => fleet.idleBytes });
  const governor: Governor = new Governor({
    sensors: {
      read: () => {
        if (governor.state().memory.tiersDown > 0) fleet.unloadIdle();
        return machine.read();
      },
    },
    ...(clock !== undefined && { clock }),
    settings: { ...defaultGovernorSettings, periodMs: intervalMs, maxWatts },
    onChange: ({ threadsFraction, batchFraction }) => {
      fleet.throttle(threadsFraction, batchFraction);
      onEvent({ kind: "throttle", threadsFraction, batchFraction });
    },
  });
  return governor;
}
