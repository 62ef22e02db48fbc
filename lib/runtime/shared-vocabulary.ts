import { AirError } from "../errors/air-error.js";
import type { Tokenizer } from "../model/tokenizer.js";

/**
 * Checks that a draft model's token ids mean what the target's do. Vocabularies may differ in length, as padding makes
 * them; ids that only one of them has are never drafted.
 *
 * @throws {AirError} AIR_ERR_TOKENIZER naming the first token that differs
 */
export function assertSharedVocabulary(target: Tokenizer, draft: Tokenizer): void {
  if (target.fingerprint === draft.fingerprint) return;
  const shared = Math.min(target.vocabSize, draft.vocabSize);
  for (let id = 0; id < shared; id += 1) {
    const [ours, theirs] = [target, draft].map((tokenizer) => Buffer.from(tokenizer.tokenBytes(id)));
    if (ours?.equals(theirs ?? Buffer.alloc(0)) === true && target.isControl(id) === draft.isControl(id))
      continue;
    throw new AirError(
      "AIR_ERR_TOKENIZER",
      `expected the target's vocabulary for the draft model but received another: token ${id} is ` +
        `${JSON.stringify(ours?.toString())} there and ${JSON.stringify(theirs?.toString())} here`,
    );
  }
}
