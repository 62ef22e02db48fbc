import type { PromptFamily } from "./family.js";

/** The families of all writers. */
export const allFamilies: readonly PromptFamily[] = [];
