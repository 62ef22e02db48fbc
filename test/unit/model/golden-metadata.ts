import type { Metadata, MetadataValue } from "../../../lib/model/metadata.js";
import { goldenVocabularies } from "../../golden/tokenizer/vocabularies.js";

/** Metadata of a golden vocabulary as readGguf would give it, with some keys changed; undefined removes a key. */
export function goldenMetadata(
  name: string,
  changes: Readonly<Record<string, MetadataValue | undefined>> = {},
): Metadata {
  const vocabulary = goldenVocabularies().find((candidate) => candidate.name === name);
  const entries = (vocabulary?.metadata ?? []).map((entry) => [entry.key, entry.value] as const);
  const metadata = new Map<string, MetadataValue>(entries);
  for (const [key, value] of Object.entries(changes)) {
    if (value === undefined) metadata.delete(key);
    else metadata.set(key, value);
  }
  return metadata;
}
