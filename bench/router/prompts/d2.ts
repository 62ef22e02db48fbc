import { type PromptFamily } from "./family.js";
import { families as home } from "./d2-home.js";

/** All prompt families of the second writer, one file per group of topics. */
export const families: readonly PromptFamily[] = [...home];
