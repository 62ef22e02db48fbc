import { describe, expect, test } from "vitest";

import { countAcceptance } from "../../../bench/speculation/acceptance-count.js";

describe("countAcceptance", () => {
  test("counts drafts from the first token on, each cut at its first wrong token", () => {
    // K = 2: [1, 0] has none right, [0, 0] two, and after the target's own token [0] is one
    expect(countAcceptance([[1, 0, 0, 4, 0]], 2)).toEqual({ accepted: 3, proposed: 5 });
  });

  test("proposes no more than the text still has", () => {
    expect(countAcceptance([[0, 0, 0]], 8)).toEqual({ accepted: 3, proposed: 3 });
  });

  test("adds texts up", () => {
    expect(countAcceptance([[0], [3], []], 1)).toEqual({ accepted: 1, proposed: 2 });
  });
});
