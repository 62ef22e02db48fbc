/** A message of a conversation, as far as routing reads it. */
export interface RoutedMessage {
  readonly role: "system" | "user" | "assistant";
  readonly content: string;
}

/** What is routed: a prompt, or a conversation whose last message is the request. */
export type RoutedPrompt = string | readonly RoutedMessage[];

/** How much a request asks of a model. */
export interface Complexity {
  /** From 0, any model can do it, to 1, only the largest; calibrated, so that shares of traffic can be cut from it. */
  readonly score: number;
  /** Probability of the likeliest class, 0 to 1. */
  readonly confidence: number;
  /** Probabilities of the classes simple, demanding and hard; they add up to 1. */
  readonly probabilities: readonly number[];
}

/** A feature of a request and what it adds to the score's logit: positive speaks for a larger tier. */
export interface Evidence {
  readonly feature: string;
  readonly weight: number;
}

/** Tells how much a request asks of a model. Deterministic: the same prompt gives the same complexity. */
export interface ComplexityClassifier {
  /** Names the kind for people and logs, such as `linear`. */
  readonly kind: string;
  classify(prompt: RoutedPrompt): Complexity | Promise<Complexity>;
  /** What spoke for the score, the strongest first; absent when a classifier cannot tell. */
  explain?(prompt: RoutedPrompt, most: number): readonly Evidence[];
}

/** Names of the classes, by number. */
export const classNames = ["simple", "demanding", "hard"] as const;
