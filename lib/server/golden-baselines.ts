import { createHash } from "node:crypto";
import { readFile } from "node:fs/promises";

import { z } from "zod";

import { AirError, ioError } from "../errors/air-error.js";
import { writeWhole } from "../util/text-file.js";

/** What models have to say to the golden prompt: ids of tokens by who says them. */
const fileSchema = z.object({
  version: z.literal(1),
  baselines: z.record(z.string(), z.array(z.number().int().min(0))),
});

/** Baselines of the golden prompt. Where texts do not depend on the machine, a file of them holds for all machines. */
export class GoldenBaselines {
  readonly #file: string | undefined;
  readonly #tokens: Map<string, readonly number[]>;

  private constructor(file: string | undefined, tokens: Map<string, readonly number[]>) {
    this.#file = file;
    this.#tokens = tokens;
  }

  /**
   * Reads a file of baselines; one that is missing is made with the first baseline. Without a file they last as long as
   * the process.
   *
   * @throws {AirError} AIR_ERR_IO, AIR_ERR_CONFIG
   */
  static async open(file: string | undefined): Promise<GoldenBaselines> {
    if (file === undefined) return new GoldenBaselines(file, new Map());
    let text: string;
    try {
      text = await readFile(file, "utf8");
    } catch (cause) {
      if ((cause as NodeJS.ErrnoException).code === "ENOENT") return new GoldenBaselines(file, new Map());
      throw ioError(file, "a readable file of golden baselines", cause);
    }
    const parsed = fileSchema.safeParse(parseOrUndefined(text));
    if (!parsed.success) {
      throw new AirError(
        "AIR_ERR_CONFIG",
        `expected JSON with version 1 and baselines for ${file} but received something else`,
      );
    }
    return new GoldenBaselines(file, new Map(Object.entries(parsed.data.baselines)));
  }

  /** What is to be compared with; undefined before the first run. */
  get(key: string): readonly number[] | undefined {
    return this.#tokens.get(key);
  }

  /**
   * Keeps a baseline.
   *
   * @throws {AirError} AIR_ERR_IO; it is kept in memory all the same
   */
  async set(key: string, tokens: readonly number[]): Promise<void> {
    this.#tokens.set(key, tokens);
    if (this.#file === undefined) return;
    const json = `${JSON.stringify({ version: 1, baselines: Object.fromEntries(this.#tokens) })}\n`;
    await writeWhole(this.#file, json, "a file of golden baselines that can be written");
  }
}

/** The key of a baseline: who speaks, about what, and for how long. */
export function baselineKey(identity: string, prompt: string, maxTokens: number): string {
  return createHash("sha256")
    .update(JSON.stringify([identity, prompt, maxTokens]))
    .digest("hex");
}

function parseOrUndefined(text: string): unknown {
  try {
    return JSON.parse(text) as unknown;
  } catch {
    return undefined;
  }
}
