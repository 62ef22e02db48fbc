import type { RoutedMessage } from "../../lib/routing/complexity.js";
import type { LabelledPrompt } from "../../lib/routing/example-file.js";
import { leansOnEarlier } from "../../lib/routing/follow-up.js";
import { uniform } from "../../lib/util/rng.js";
import type { PromptFamily } from "./prompts/family.js";

/** A prompt made from a family. */
export type ExpandedPrompt = LabelledPrompt & { readonly family: string; readonly topic: string };

/** How many prompts are made, and from which random numbers. */
export interface ExpandOptions {
  readonly seed: number;
  /** Most prompts made from a family with slots. */
  readonly perTemplateFamily: number;
  /** Share of prompts that become the last message of a conversation. */
  readonly conversations: number;
}

/** What the shipped router is trained with. */
export const defaultExpandOptions: ExpandOptions = { seed: 7, perTemplateFamily: 16, conversations: 0.08 };

/** Numbers in [0, 1), in order. */
function numbers(seed: number, stream: number): () => number {
  let position = 0;
  return () => {
    position += 1;
    return uniform(seed * 65_536 + stream, position, "sample");
  };
}

function pick<Item>(items: readonly Item[], next: () => number): Item {
  const item = items[Math.floor(next() * items.length)];
  if (item === undefined) throw new RangeError("expected something to pick from");
  return item;
}

/** A template with each {slot} replaced by one of its fillers; the same slot has the same filler throughout. */
function filled(template: string, slots: NonNullable<PromptFamily["slots"]>, next: () => number): string {
  const chosen = new Map<string, string>();
  return template.replace(/\{(\w+)\}/g, (whole, name: string) => {
    const fillers = slots[name];
    if (fillers === undefined) return whole;
    const known = chosen.get(name) ?? pick(fillers, next);
    chosen.set(name, known);
    return known;
  });
}

/** The texts of a family: all of its prompts, and templates filled in turn up to the limit. */
function textsOf(family: PromptFamily, most: number, next: () => number): readonly string[] {
  const { prompts, slots } = family;
  if (slots === undefined) return prompts;
  const texts = new Set<string>();
  // Many attempts fall on texts that are there already where fillers are few.
  for (let attempt = 0; attempt < most * 6 && texts.size < most; attempt += 1) {
    texts.add(filled(prompts[attempt % prompts.length] ?? "", slots, next));
  }
  return [...texts];
}

const systemPrompts = [
  "You are a helpful assistant.",
  "You are a concise assistant for a small company. Answer in plain English.",
  "You run on a device at home and can control lights, heating and music.",
  "You are a careful expert. Say so when you do not know.",
];

const reply = "Sure. Here is what I found; tell me if you want more.";

/** A conversation that ends in the prompt; what comes before does not change how hard that is. */
function conversation(
  text: string,
  earlier: readonly string[],
  next: () => number,
): readonly RoutedMessage[] {
  const before = Array.from({ length: Math.floor(next() * 3) }, () => pick(earlier, next));
  return [
    ...(next() < 0.6 ? [{ role: "system" as const, content: pick(systemPrompts, next) }] : []),
    ...before.flatMap((content) => [
      { role: "user" as const, content },
      { role: "assistant" as const, content: reply },
    ]),
    { role: "user", content: text },
  ];
}

/** Prompts of families, each text once, in the order of the families. Deterministic for a seed. */
export function expandFamilies(
  families: readonly PromptFamily[],
  options: ExpandOptions = defaultExpandOptions,
): readonly ExpandedPrompt[] {
  const seen = new Set<string>();
  const earlier = families.flatMap(({ prompts, slots }) => (slots === undefined ? prompts : []));
  return families.flatMap((family, order) => {
    const next = numbers(options.seed, order);
    const { id, topic, tier } = family;
    return textsOf(family, options.perTemplateFamily, next).flatMap((text) => {
      if (seen.has(text)) return [];
      seen.add(text);
      // What leans on earlier messages would change its tier with them.
      const fits = !leansOnEarlier(text);
      const prompt = fits && next() < options.conversations ? conversation(text, earlier, next) : text;
      return [{ prompt, tier, family: id, topic }];
    });
  });
}

/** A line of JSONL. */
export function toJsonLine({ prompt, tier, family, topic }: ExpandedPrompt): string {
  const what = typeof prompt === "string" ? { prompt } : { messages: prompt };
  return JSON.stringify({ ...what, tier, family, topic });
}
