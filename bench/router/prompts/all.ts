import { families as first } from "./d1.js";
import { families as second } from "./d2.js";
import { families as shortWork } from "./d3-short-work.js";
import type { PromptFamily } from "./family.js";

/** The families of all writers. */
export const allFamilies: readonly PromptFamily[] = [...first, ...second, ...shortWork];
