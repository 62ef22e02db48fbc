import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

import { afterEach, beforeEach, describe, expect, test } from "vitest";

import { ScoreJournal } from "../../../lib/compression/score-journal.js";

let folder: string;
let file: string;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "air-journal-"));
  file = join(folder, "scores");
});
afterEach(() => {
  rmSync(folder, { recursive: true });
});

/** Asks for scores a to d and says which of them were computed. */
async function fill(identity: string, path: string | undefined, names = ["a", "b", "c", "d"]) {
  const journal = await ScoreJournal.open(path, identity);
  const computed: string[] = [];
  const scores = [];
  for (const name of names) {
    const compute = () => {
      computed.push(name);
      return Promise.resolve({
        divergence: names.indexOf(name) + 1 / 3,
        nll: 1e-9,
        nllByHalf: [1, 2] as const,
      });
    };
    scores.push(await journal.score(name, compute));
  }
  return { computed, scores, size: journal.size };
}

describe("ScoreJournal", () => {
  test("computes a score once, in this run and in later ones", async () => {
    const first = await fill("model 1", file, ["a", "b", "a", "b"]);
    expect(first).toMatchObject({ computed: ["a", "b"], size: 2 });
    const second = await fill("model 1", file);
    expect(second).toMatchObject({ computed: ["c", "d"], size: 4 });
    const third = await fill("model 1", file);
    expect(third.computed).toEqual([]);
    expect(third.scores).toEqual(second.scores); // to the bit
  });

  test("computes again what was being written when it was interrupted, and only that", async () => {
    await fill("model 1", file);
    const whole = readFileSync(file, "utf8");
    const lines = whole.split("\n");
    const last = lines[4] ?? "";
    for (let cut = 1; cut < last.length; cut += 1) {
      writeFileSync(file, whole.slice(0, whole.length - 1 - cut));
      expect((await fill("model 1", file)).computed).toEqual(["d"]);
      expect(readFileSync(file, "utf8")).toBe(whole);
    }
  });

  test("takes a last line that lacks only its end for whole, and does not glue the next one to it", async () => {
    await fill("model 1", file, ["a", "b"]);
    writeFileSync(file, readFileSync(file, "utf8").trimEnd());
    expect((await fill("model 1", file)).computed).toEqual(["c", "d"]);
    expect((await fill("model 1", file)).computed).toEqual([]);
  });

  test("starts over for another model, text or setting, and forgets the old scores", async () => {
    await fill("model 1", file);
    expect((await fill("model 2", file)).computed).toEqual(["a", "b", "c", "d"]);
    expect(readFileSync(file, "utf8").split("\n")[0]).toBe("model 2");
    expect((await fill("model 1", file)).computed).toEqual(["a", "b", "c", "d"]);
  });

  test("passes over lines that are no scores", async () => {
    const wrong = ["[]", "null", "{}", '["a"]', '["b", 1, "2", 1, 2]', "[1, 2, 3, 4, 5]", '["d", 1, 2, 3]'];
    writeFileSync(file, ["model 1", ...wrong, '["c", 0.5, 2, 1, 2]', ""].join("\n"));
    const { computed, scores } = await fill("model 1", file);
    expect(computed).toEqual(["a", "b", "d"]);
    expect(scores[2]).toEqual({ divergence: 0.5, nll: 2, nllByHalf: [1, 2] });
  });

  test("keeps scores without a divergence", async () => {
    const score = () => Promise.resolve({ divergence: NaN, nll: 3, nllByHalf: [1, 2] as const });
    await (await ScoreJournal.open(file, "model 1")).score("held out", score);
    const journal = await ScoreJournal.open(file, "model 1");
    const never = () => Promise.reject(new Error("computed again"));
    expect(await journal.score("held out", never)).toEqual({
      divergence: NaN,
      nll: 3,
      nllByHalf: [1, 2] as const,
    });
  });

  test("keeps nothing of a score that failed", async () => {
    const journal = await ScoreJournal.open(file, "model 1");
    await expect(journal.score("a", () => Promise.reject(new Error("no")))).rejects.toThrow("no");
    expect(journal.size).toBe(0);
    expect((await fill("model 1", file)).computed).toEqual(["a", "b", "c", "d"]);
  });

  test("writes no file without a path, and says when it cannot write one", async () => {
    expect((await fill("model 1", undefined)).computed.length).toBe(4);
    await expect(ScoreJournal.open(join(folder, "missing", "scores"), "model 1")).rejects.toMatchObject({
      code: "AIR_ERR_IO",
      message: expect.stringMatching(/^expected a writable file for .*scores but received ENOENT/u) as string,
    });
  });
});
