import type { MemorySettings, PlannedModel } from "./planned-model.js";

/** One change that would make a model take less memory. */
export interface MemorySuggestion {
  readonly change: "context" | "kv-type" | "window" | "heads" | "batch" | "sequences";
  /** In words, with the option to use. */
  readonly text: string;
  /** Less needed by this change alone. */
  readonly savedBytes: number;
  /** The model fits with this change alone. */
  readonly fits: boolean;
}

/** What suggestions are chosen by. */
export interface SuggestionInput {
  readonly model: PlannedModel;
  readonly settings: MemorySettings;
  readonly availableBytes: number;
  readonly neededBytes: number;
  /** The largest context that fits; 0 when none does. */
  readonly maxContext: number;
  /** Bytes that are needed with other settings and the same pruning. */
  readonly needed: (settings: MemorySettings) => number;
}

/** Contexts below are of little use, so none is suggested. */
const smallestContext = 256;
const smallWindow = { windowTokens: 1024, sinkTokens: 4 };
const smallBatch = 128;

interface Change {
  readonly change: MemorySuggestion["change"];
  readonly text: string;
  readonly settings: MemorySettings;
}

/** The first half of the KV heads of each layer streams: as much as a heads file usually asks for, whichever they are. */
function halfStreaming({ layers, kvHeads }: PlannedModel): Uint8Array {
  return Uint8Array.from({ length: layers * kvHeads }, (_, head) => (head % kvHeads < kvHeads / 2 ? 1 : 0));
}

/** What may be changed about the settings, what costs the least first. */
function changes({ model, settings, maxContext }: SuggestionInput): readonly Change[] {
  const { contextTokens, pageTokens, keyType, valueType, window, heads, sequences } = settings;
  const context = Math.max(smallestContext, Math.floor(maxContext / pageTokens) * pageTokens);
  const changed: Change[] = [];
  if (context < contextTokens) {
    const text = `a context of ${context} tokens (--ctx ${context})`;
    changed.push({
      change: "context",
      text,
      settings: { ...settings, kvTokens: undefined, contextTokens: context },
    });
  }
  if (keyType !== "int4" || valueType !== "int4") {
    const text = "int4 keys and values (--kv int4)";
    changed.push({ change: "kv-type", text, settings: { ...settings, keyType: "int4", valueType: "int4" } });
  }
  if (window === undefined) {
    const { windowTokens, sinkTokens } = smallWindow;
    const text = `a window of ${windowTokens} tokens (--window ${windowTokens} --sinks ${sinkTokens})`;
    changed.push({ change: "window", text, settings: { ...settings, window: smallWindow } });
  }
  if (window === undefined && heads?.headMask === undefined) {
    const headMask = halfStreaming(model);
    const halves = { ...settings, heads: { ...heads, headMask, streamWindow: smallWindow } };
    changed.push({
      change: "heads",
      text: "a heads file that lets half of the heads stream (--heads)",
      settings: halves,
    });
  }
  const batchText = `steps of at most ${smallBatch} tokens (maxBatchTokens ${smallBatch})`;
  changed.push({ change: "batch", text: batchText, settings: { ...settings, maxBatchTokens: smallBatch } });
  if (sequences > 1) {
    changed.push({
      change: "sequences",
      text: "one sequence at a time (--sequences 1)",
      settings: { ...settings, sequences: 1 },
    });
  }
  return changed;
}

/** What to change about settings that do not fit: what suffices alone first, then by what it saves. */
export function suggestSavings(input: SuggestionInput): readonly MemorySuggestion[] {
  const { neededBytes, availableBytes, needed } = input;
  const found = changes(input)
    .map(({ change, text, settings }) => {
      const changed = needed(settings);
      return { change, text, savedBytes: neededBytes - changed, fits: changed <= availableBytes };
    })
    .filter(({ savedBytes }) => savedBytes > 0);
  const insufficient = found.filter(({ fits }) => !fits).sort((a, b) => b.savedBytes - a.savedBytes);
  return [...found.filter(({ fits }) => fits), ...insufficient];
}
