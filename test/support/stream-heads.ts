/** A heads file made by hand, for tests that need pages of both classes. */
import { writeFileSync } from "node:fs";

import { formatHeadsFile, loadModel } from "../../lib/index.js";

/** Writes a heads file that puts every second KV head of a bundled model in the stream class. */
export async function writeStreamHeads(model: string, path: string): Promise<void> {
  using loaded = await loadModel(model, { contextTokens: 64, threads: 1 });
  const layers = 8;
  const kvHeads = Array.from({ length: layers }, () => ["full", "stream", "full", "stream"] as const);
  const none = kvHeads.map(() => []);
  const unknown = (heads: number) => kvHeads.map(() => Array<null>(heads).fill(null));
  const file = formatHeadsFile({
    ...{ format: "air-heads", version: 1 },
    model: { fingerprint: loaded.info.fingerprint, name: loaded.info.name },
    calibration: { textSha256: "0".repeat(64), tokens: 0, contextTokens: 0 },
    window: { windowTokens: 128, sinkTokens: 4 },
    kvHeads: kvHeads.map((heads) => [...heads]),
    ...{ maskedQueryHeads: none, prunedChannelGroups: none },
    scores: { queryHeads: unknown(8), kvHeadsStream: unknown(4), kvHeadsDropped: unknown(4) },
    expected: { perplexityBefore: 1, perplexity: 1, meanDivergence: 0, tokens: 0 },
  });
  writeFileSync(path, file);
}
