import { createHash } from "node:crypto";

import type { HeadsFile } from "../model/heads-file.js";
import type { KvType } from "../native/native.js";

/** What keys and values depend on besides the tokens: caches of the same identity are interchangeable. */
export interface KvIdentity {
  /** Fingerprint of the model file. */
  readonly model: string;
  readonly keys: KvType;
  readonly values: KvType;
  readonly rotateKeys: boolean;
  /** Name of the eviction policy. */
  readonly policy: string;
  /** SHA-256 of the heads file's content, as hex; empty without one. */
  readonly heads: string;
}

/** The identity of a heads file. */
export function headsIdentity(heads: HeadsFile | undefined): string {
  return heads === undefined ? "" : createHash("sha256").update(JSON.stringify(heads)).digest("hex");
}

/** The key of texts that may share pages. */
export function prefixKeyOf(identity: KvIdentity, cacheSalt = ""): string {
  return JSON.stringify([identity, cacheSalt]);
}
