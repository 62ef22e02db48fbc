/** Streams that were generated side by side. */
export interface ThroughputRow {
  readonly streams: number;
  readonly tokens: number;
  /** From the requests to the last token of all; prompts included. */
  readonly ms: number;
  readonly tokensPerSecond: number;
  /** From the moment when every stream had its first token: without the prompts. */
  readonly decodeTokensPerSecond: number;
}

/** Times between the tokens of streams, without and with a long prompt beside them. */
export interface LatencyRow {
  readonly streams: number;
  /** Tokens of the long prompt. */
  readonly longTokens: number;
  /** Milliseconds between tokens before the long prompt came; all streams together. */
  readonly quietMs: readonly number[];
  /** The same from its arrival to its first token. */
  readonly loadedMs: readonly number[];
  /** Milliseconds from the long prompt's arrival to its first token. */
  readonly firstTokenMs: number;
}

/** What a process of either runtime prints. */
export interface MeasuredBatching {
  readonly runtime: string;
  readonly throughput: readonly ThroughputRow[];
  readonly latency: readonly LatencyRow[];
}

/** Which measurements to make. */
export interface BatchingSettings {
  readonly threads: number;
  /** Numbers of streams side by side. */
  readonly streams: readonly number[];
  /** Tokens of each stream. */
  readonly tokens: number;
  /** Numbers of streams beside a long prompt. */
  readonly latencyStreams: readonly number[];
  readonly longTokens: number;
}
