/** How much of a model a prompt takes: 0 simple, 1 demanding, 2 hard; see docs/routing.md. */
export type TierLabel = 0 | 1 | 2;

/** Prompts of one kind. Whole families and whole topics are held out for testing. */
export interface PromptFamily {
  /** Unique, such as `cooking-convert-units`. */
  readonly id: string;
  /** What it is about, such as `cooking`; families of all tiers share topics. */
  readonly topic: string;
  readonly tier: TierLabel;
  /** Prompts, or templates with {slots} that are filled from `slots`. */
  readonly prompts: readonly string[];
  /** Fillers by name; `{name}` in a prompt is replaced by one of them. */
  readonly slots?: Readonly<Record<string, readonly string[]>>;
}
