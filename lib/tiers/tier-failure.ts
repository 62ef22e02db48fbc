import { AirError } from "../errors/air-error.js";

/** Whether a failure of a tier says nothing about the request, so that another tier may answer it. */
export function isTierFailure(error: unknown): error is AirError {
  return error instanceof AirError && tierFailures.has(error.code);
}

const tierFailures: ReadonlySet<string> = new Set([
  ...["AIR_ERR_MEMORY", "AIR_ERR_OUT_OF_MEMORY", "AIR_ERR_IO", "AIR_ERR_MODEL_FORMAT", "AIR_ERR_UNSUPPORTED"],
  ...["AIR_ERR_TOKENIZER", "AIR_ERR_TEMPLATE", "AIR_ERR_HEADS_FILE", "AIR_ERR_OVERLOADED"],
  ...["AIR_ERR_CONTEXT", "AIR_ERR_KV_EXHAUSTED", "AIR_ERR_REMOTE", "AIR_ERR_TIMEOUT", "AIR_ERR_NO_DEVICE"],
  ...["AIR_ERR_DEVICE", "AIR_ERR_ADDON"],
]);
