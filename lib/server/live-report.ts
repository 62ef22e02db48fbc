/** KV pages of a class of heads. */
export interface LivePages {
  readonly class: "full" | "stream";
  readonly usable: number;
  /** Pages of texts that are at work. */
  readonly used: number;
  /** Pages that only the prefix cache holds. */
  readonly cached: number;
}

/** A tier as it is now; what only a model knows is absent while none is loaded. */
export interface LiveTier {
  readonly name: string;
  readonly kind: "local" | "remote";
  readonly is_loaded: boolean;
  readonly active: number;
  readonly waiting: number;
  readonly answered: number;
  readonly pages?: readonly LivePages[];
  readonly prefix_cache?: {
    readonly lookups: number;
    readonly hits: number;
    readonly hit_tokens: number;
  };
  /** So far, prompts and draft tokens included. */
  readonly computed_tokens?: number;
  readonly steps?: number;
}

/** How the machine fares; null where it does not say. */
export interface LiveMachine {
  readonly rss_bytes: number;
  /** Of all memory, 0 to 1. */
  readonly memory: number | null;
  readonly temperature: {
    readonly zone: string;
    readonly celsius: number;
    readonly limit_celsius: number;
  } | null;
  readonly is_throttling: boolean | null;
  readonly watts: number | null;
}

/** What GET /air/live tells. No prompt, answer or client is part of it. */
export interface LiveReport {
  readonly uptime_seconds: number;
  readonly requests: {
    readonly answered: number;
    readonly failed: number;
    readonly escalations: number;
    readonly fallbacks: number;
  };
  /** 0 to 1, as the router sees it. */
  readonly pressure: { readonly memory: number; readonly heat: number; readonly queue: number };
  readonly machine: LiveMachine;
  readonly tiers: readonly LiveTier[];
}
