import type { HeadsFile } from "../model/heads-file.js";
import { loadModelParts } from "../runtime/load-model.js";
import { threadOptionNames } from "../runtime/options.js";
import { pickGiven } from "../util/options.js";
import type { CalibrateOptions } from "./calibrate-options.js";
import { Calibration } from "./calibration.js";

export type { CalibrateOptions } from "./calibrate-options.js";

/**
 * Finds out which heads and channels a model can do without: query heads that are masked, KV heads that need but sinks and
 * a window, or nothing, and feed-forward channels.
 *
 * @param path - the GGUF file
 * @param text - representative of what the model is to be used for; at least four contexts long
 * @throws {AirError} as loadModel(); AIR_ERR_ARGUMENT for a text that is too short and options out of range;
 *   AIR_ERR_CANCELLED when the signal aborts, with all scores so far in the journal
 */
export async function calibrate(
  path: string,
  text: string,
  options: CalibrateOptions = {},
): Promise<HeadsFile> {
  const parts = await loadModelParts(path, {
    contextTokens: 2,
    ...pickGiven(options, [
      ...threadOptionNames,
      "kv",
      "kvKeys",
      "kvValues",
      "rotateKeys",
      "device",
      "gpuLayers",
      "packCache",
      "memoryBytes",
      "force",
      "addon",
    ]),
  });
  parts.runner.close();
  parts.arena.close();
  let calibration: Calibration | undefined;
  try {
    calibration = new Calibration(parts, text, options);
    return await calibration.run();
  } finally {
    calibration?.close();
    parts.native.close();
  }
}
