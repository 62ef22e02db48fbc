import type { Model, ModelInfo, ModelStats } from "../runtime/model.js";
import type { AirRuntime } from "../tiers/air-runtime.js";

/** What the server reads of a loaded model. */
export interface ServedModel extends Pick<Model, "tokenizer" | "chatTemplate" | "identity"> {
  readonly info: Pick<ModelInfo, "fingerprint" | "contextTokens">;
  readonly stats: Pick<
    ModelStats,
    "freePages" | "usablePages" | "pages" | "prefixCache" | "steps" | "stepSizes" | "computedTokens"
  >;
}

/** What the server needs of a runtime; an AirRuntime is one. */
export interface ServedRuntime extends Pick<
  AirRuntime,
  "tierNames" | "localTierNames" | "stats" | "generate" | "embed" | "load" | "reload"
> {
  /**
   * The model of a local tier; undefined while it is not loaded.
   *
   * @throws {AirError} AIR_ERR_ARGUMENT for a name that no local tier has
   */
  model(tier: string): ServedModel | undefined;
}

/** The model of a tier while it is loaded; undefined for remote ones, and for names that no tier has. */
export function loadedModel(runtime: ServedRuntime, tier: string): ServedModel | undefined {
  return runtime.localTierNames.includes(tier) ? runtime.model(tier) : undefined;
}
