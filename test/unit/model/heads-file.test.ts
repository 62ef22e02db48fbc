import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

import { afterAll, describe, expect, test } from "vitest";

import {
  formatHeadsFile,
  headMaskOf,
  type HeadsFile,
  type HeadsModel,
  kvFraction,
  parseHeadsFile,
  pruningOf,
  readHeadsFile,
} from "../../../lib/model/heads-file.js";

/** Two layers of 4 query heads over 2 KV heads; 80 channels are three groups, the last one partial. */
const model: HeadsModel = {
  fingerprint: "ab".repeat(32),
  spec: { layers: 2, queryHeads: 4, kvHeads: 2, feedForwardLength: 80 },
};

const heads: HeadsFile = {
  format: "air-heads",
  version: 1,
  model: { fingerprint: model.fingerprint, name: "tiny" },
  calibration: { textSha256: "cd".repeat(32), tokens: 5000, contextTokens: 512 },
  window: { windowTokens: 252, sinkTokens: 4 },
  kvHeads: [
    ["full", "dropped"],
    ["stream", "full"],
  ],
  maskedQueryHeads: [[2, 3], [0]],
  prunedChannelGroups: [[], [0, 2]],
  scores: {
    queryHeads: [
      [0.5, null, 1e-7, 0],
      [0.25, 1, 2, 3],
    ],
    kvHeadsStream: [
      [0.1, null],
      [0.2, 0.3],
    ],
    kvHeadsDropped: [
      [null, null],
      [null, null],
    ],
  },
  expected: { perplexityBefore: 10, perplexity: 10.5, meanDivergence: 0.01, tokens: 1000 },
};

const folder = mkdtempSync(join(tmpdir(), "air-heads-"));
afterAll(() => {
  rmSync(folder, { recursive: true });
});

function parse(change: object, other: HeadsModel = model): HeadsFile {
  return parseHeadsFile(JSON.stringify({ ...heads, ...change }), "heads.json", other);
}

/** Message of the refusal. */
function refusal(change: object, other: HeadsModel = model): string {
  let message = "";
  expect(() => {
    try {
      parse(change, other);
    } catch (error) {
      message = error instanceof Error ? error.message : String(error);
      throw error;
    }
  }).toThrow(expect.objectContaining({ code: "AIR_ERR_HEADS_FILE" }));
  return message;
}

describe("a heads file", () => {
  test("comes back as it was written", () => {
    const text = formatHeadsFile(heads);
    expect(parseHeadsFile(text, "heads.json", model)).toEqual(heads);
    expect(text.endsWith("}\n")).toBe(true);
    expect(text).toContain('["full", "dropped"]'); // lists on one line, for people and diffs
    expect(text).toContain("[0.5, null, 1e-7, 0]");
  });

  test("keeps names that look like lists", () => {
    const odd = { ...heads, model: { ...heads.model, name: 'a [ 1,  2 ] "b" \n{}' } };
    expect(parseHeadsFile(formatHeadsFile(odd), "heads.json", model)).toEqual(odd);
  });

  test("is read from disk", async () => {
    const path = join(folder, "heads.json");
    writeFileSync(path, formatHeadsFile(heads));
    expect(await readHeadsFile(path, model)).toEqual(heads);
    await expect(readHeadsFile(join(folder, "missing.json"), model)).rejects.toMatchObject({
      code: "AIR_ERR_IO",
      message: expect.stringContaining("missing.json") as string,
    });
    await expect(readHeadsFile(folder, model)).rejects.toMatchObject({ code: "AIR_ERR_IO" });
  });
});

describe("a damaged heads file", () => {
  test.each(["", "{", "null", "[]", '"heads"', "{}", formatHeadsFile(heads).slice(0, -20)])(
    "is refused: %j",
    (text) => {
      expect(() => parseHeadsFile(text, "heads.json", model)).toThrow(
        expect.objectContaining({
          code: "AIR_ERR_HEADS_FILE",
          message: expect.stringMatching(/^expected .* for heads\.json but received /u) as string,
        }),
      );
    },
  );

  test.each<[string, object]>([
    ["format", { format: "air-tails" }],
    ["version", { version: 2 }],
    ["extra", { extra: 1 }],
    ["model.fingerprint", { model: { fingerprint: "xyz", name: "" } }],
    ["model", { model: undefined }],
    ["calibration.textSha256", { calibration: { ...heads.calibration, textSha256: "AB".repeat(32) } }],
    ["calibration.tokens", { calibration: { ...heads.calibration, tokens: -1 } }],
    ["window.windowTokens", { window: { windowTokens: 0, sinkTokens: 4 } }],
    ["window.sinkTokens", { window: { windowTokens: 8, sinkTokens: 0.5 } }],
    ["kvHeads", { kvHeads: [] }],
    [
      "kvHeads.1.0",
      {
        kvHeads: [
          ["full", "dropped"],
          ["half", "full"],
        ],
      },
    ],
    ["maskedQueryHeads.0.0", { maskedQueryHeads: [[-1], []] }],
    ["maskedQueryHeads.1.0", { maskedQueryHeads: [[2, 3], ["0"]] }],
    ["prunedChannelGroups.0.0", { prunedChannelGroups: [[0.5], []] }],
    ["scores.queryHeads.0.0", { scores: { ...heads.scores, queryHeads: [[-1]] } }],
    ["scores.kvHeadsStream.0.0", { scores: { ...heads.scores, kvHeadsStream: [["x"]] } }],
    ["expected.perplexity", { expected: { ...heads.expected, perplexity: 0 } }],
    ["expected.meanDivergence", { expected: { ...heads.expected, meanDivergence: null } }],
  ])("is refused, naming %s", (place, change) => {
    const message = refusal(change);
    expect(message).toContain("expected a heads file of format 1 for heads.json but received ");
    expect(message).toContain(place);
  });
});

describe("a heads file for another model", () => {
  test("is refused with both fingerprints and its model's name", () => {
    const message = refusal({}, { ...model, fingerprint: "ef".repeat(32) });
    expect(message).toContain("of this model (efefefefefef..)");
    expect(message).toContain("those of tiny (abababababab..)");
    const nameless = { model: { ...heads.model, name: "" } };
    expect(refusal(nameless, { ...model, fingerprint: "ef".repeat(32) })).toContain("those of a model (");
  });

  test.each<[string, object]>([
    ["too few layers", { kvHeads: heads.kvHeads.slice(1) }],
    [
      "too many KV heads",
      {
        kvHeads: [
          ["full", "dropped", "full"],
          ["stream", "full"],
        ],
      },
    ],
    ["lists of too few layers", { maskedQueryHeads: [[2, 3]] }],
    ["a query head beyond the last one", { maskedQueryHeads: [[2, 3], [4]] }],
    ["query heads that are not ascending", { maskedQueryHeads: [[3, 2], [0]] }],
    [
      "a query head twice",
      {
        maskedQueryHeads: [
          [2, 3],
          [0, 0],
        ],
      },
    ],
    ["a group of channels beyond the last one", { prunedChannelGroups: [[], [0, 3]] }],
    ["channels of too many layers", { prunedChannelGroups: [[], [], []] }],
  ])("is refused for %s", (_name, change) => {
    expect(refusal(change)).toBe(
      "expected layers and heads of this model for heads.json but received others",
    );
  });

  test("is refused when a KV head is dropped although a query head of it is kept", () => {
    expect(refusal({ maskedQueryHeads: [[2], [0]] })).toBe(
      "expected KV heads dropped when all of their query heads are masked for heads.json " +
        "but received dropped for KV head 1 of layer 0",
    );
  });

  test.each(["full", "stream"] as const)(
    "is refused when a KV head is %s although none of its query heads is kept",
    (headClass) => {
      expect(
        refusal({
          kvHeads: [
            ["full", headClass],
            ["stream", "full"],
          ],
        }),
      ).toContain(`but received ${headClass} for KV head 1 of layer 0`);
    },
  );
});

test("headMaskOf() numbers the head groups", () => {
  expect(headMaskOf(heads)).toEqual(Uint8Array.of(0, 255, 1, 0));
});

describe("pruningOf", () => {
  test("flags what is kept", () => {
    expect(pruningOf(heads, model.spec)).toEqual({
      queryHeads: Uint8Array.of(1, 1, 0, 0, 0, 1, 1, 1),
      channelGroups: Uint8Array.of(1, 1, 1, 0, 1, 0),
    });
  });

  test("leaves out what prunes nothing", () => {
    const none = [[], []];
    expect(pruningOf({ maskedQueryHeads: none, prunedChannelGroups: none }, model.spec)).toBeUndefined();
    expect(pruningOf({ ...heads, prunedChannelGroups: none }, model.spec)).not.toHaveProperty(
      "channelGroups",
    );
    expect(pruningOf({ ...heads, maskedQueryHeads: none }, model.spec)).not.toHaveProperty("queryHeads");
  });
});

describe("kvFraction", () => {
  test("counts dropped heads as nothing and windows up to the sinks and the window", () => {
    expect(kvFraction(heads, 100)).toBe(3 / 4); // shorter than the window
    expect(kvFraction(heads, 1024)).toBe((2 + 256 / 1024) / 4);
  });
});
