import type { AirRuntime } from "../tiers/air-runtime.js";
import type { Model, ModelInfo, ModelStats } from "../runtime/model.js";

/** What the server reads of a loaded model. */
export interface ServedModel extends Pick<Model, "tokenizer" | "chatTemplate"> {
  readonly info: Pick<ModelInfo, "fingerprint" | "contextTokens">;
  readonly stats: Pick<ModelStats, "freePages" | "usablePages">;
}

/** What the server needs of a runtime; an AirRuntime is one. */
export interface ServedRuntime extends Pick<
  AirRuntime,
  "tierNames" | "localTierNames" | "stats" | "generate"
> {
  /** @throws {AirError} AIR_ERR_ARGUMENT for a name that no local tier has; as loadModel() */
  model(tier: string): Promise<ServedModel>;
  /** The model while it is loaded; undefined else, and for remote tiers. */
  loadedModel(tier: string): ServedModel | undefined;
}
