import type { RoutedOptions } from "../../lib/tiers/runtime-types.js";
import type { TierInput } from "../../lib/tiers/tier.js";
import { at } from "../../lib/util/array-access.js";
import type { Dice } from "./dice.js";

/** A request, and what its user does around it. */
export interface StressRequest {
  readonly index: number;
  readonly prompt: TierInput;
  readonly options: RoutedOptions;
  /** All chunks, the first two, or nothing but the result. */
  readonly reads: "all" | "some" | "none";
  /** Milliseconds after which the request is aborted; undefined lets it run. */
  readonly abortMs: number | undefined;
  readonly pauseMs: number;
  /** What somebody else does to a tier in the same moment. */
  readonly action: { readonly kind: "load" | "unload"; readonly tier: string } | undefined;
}

const questions = [
  ...[
    "Name a fruit.",
    "What is the capital of France?",
    "What is 12 times 7?",
    "This is hard: what is 31 plus 4?",
  ],
  ...[
    "hard: Write a Python function that adds.",
    "What is the opposite of cold?",
    "It is hard to say. What is DNS?",
  ],
  "hard ".repeat(40),
];

const schema = {
  type: "object",
  properties: { device: { type: "string", maxLength: 12 }, on: { type: "boolean" } },
  required: ["device", "on"],
  additionalProperties: false,
};

function promptOf(dice: Dice): TierInput {
  // A few are longer than the context of a tier, or than that of all.
  if (dice(25) === 0) return "The kettle is on the table. ".repeat(20 + dice(60));
  const question = at(questions, dice(questions.length));
  if (dice(4) === 0) return question;
  const user = { role: "user", content: question } as const;
  if (dice(3) > 0) return [user];
  return [{ role: "system", content: "You answer in one short sentence." }, user];
}

function hintsOf(dice: Dice, tiers: readonly string[]): RoutedOptions {
  const smallest = dice(tiers.length);
  switch (dice(8)) {
    case 0:
      return { tier: at(tiers, dice(tiers.length)) };
    case 1:
      return { minTier: at(tiers, smallest) };
    case 2:
      return { maxTier: at(tiers, dice(tiers.length)) };
    case 3:
      return { minTier: at(tiers, smallest), maxTier: at(tiers, smallest + dice(tiers.length - smallest)) };
    case 4:
      return { deadlineMs: 1 + dice(3000) };
    default:
      return { ...(dice(3) === 0 && { localOnly: true }) };
  }
}

/** Requests of all kinds; the same for the same dice. */
export function planRequests(dice: Dice, count: number, tiers: readonly string[]): readonly StressRequest[] {
  return Array.from({ length: count }, (_, index) => ({
    index,
    prompt: promptOf(dice),
    options: {
      maxTokens: 1 + dice(40),
      temperature: dice(3) === 0 ? 0.8 : 0,
      seed: dice(1000),
      ...hintsOf(dice, tiers),
      ...(dice(3) === 0 && { cacheSalt: `tenant ${dice(3)}` }),
      ...(dice(3) === 0 && { cascade: false }),
      ...(dice(10) === 0 && { schema }),
      ...(dice(10) === 0 && { logprobs: dice(3) }),
    },
    reads: at(["all", "all", "all", "some", "none"] as const, dice(5)),
    abortMs: dice(5) === 0 ? dice(40) : undefined,
    pauseMs: dice(4) === 0 ? dice(60) : 0,
    action:
      dice(8) === 0
        ? {
            kind: dice(3) === 0 ? ("load" as const) : ("unload" as const),
            tier: at(tiers, dice(tiers.length)),
          }
        : undefined,
  }));
}
