import { families as first } from "./d1.js";
import { families as second } from "./d2.js";
import type { PromptFamily } from "./family.js";

/** The families of all writers. */
export const allFamilies: readonly PromptFamily[] = [...first, ...second];
