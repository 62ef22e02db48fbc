import type { Command } from "commander";

import { invalidArgument } from "../errors/air-error.js";
import type { GenerateOptions, LoadModelOptions } from "../index.js";
import { integer } from "./options.js";

/** Options of the commands that speculate. */
export interface SpeculationCliOptions {
  /** `auto`, `ngram`, `off`, or the file of a draft model. */
  readonly draft: string;
  readonly draftMax?: number;
}

const modes: readonly string[] = ["auto", "ngram", "off"];

/** Adds --draft and --draft-max. */
export function addSpeculationOptions(command: Command): Command {
  return command
    .option(
      "--draft <file>",
      "who guesses ahead: a smaller GGUF with the same vocabulary, ngram (the text itself), auto or off",
      draftMode,
      "auto",
    )
    .option(
      "--draft-max <k>",
      "most tokens guessed ahead (default: 8; as many as pay)",
      integer("--draft-max", { min: 1, max: 15 }),
    );
}

function draftMode(text: string): string {
  if (text === "") throw invalidArgument("--draft", "a GGUF file, ngram, auto or off", text);
  return text;
}

/** The draft model to load, if the options name one. */
export function toDraftOptions({ draft }: SpeculationCliOptions): Pick<LoadModelOptions, "draft"> {
  return modes.includes(draft) ? {} : { draft };
}

/** The library's names for how to speculate. */
export function toSpeculation(options: SpeculationCliOptions): Pick<GenerateOptions, "speculation"> {
  const { draft, draftMax } = options;
  if (draft === "off") return { speculation: "off" };
  return {
    speculation: {
      ...(draft === "ngram" && { proposers: ["ngram"] }),
      ...(draftMax !== undefined && { maxDraftTokens: draftMax }),
    },
  };
}
