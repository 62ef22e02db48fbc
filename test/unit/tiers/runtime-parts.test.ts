import { describe, expect, test } from "vitest";

import type { ComplexityClassifier } from "../../../lib/routing/complexity.js";
import { parseConfig } from "../../../lib/tiers/config.js";
import { createRouter } from "../../../lib/tiers/runtime-parts.js";

const classifier: ComplexityClassifier = {
  kind: "fixed",
  classify: () => ({ score: 0.5, confidence: 1, probabilities: [0, 1, 0] }),
};
const tiers = [
  { name: "small", model: "small.gguf" },
  { name: "medium", model: "medium.gguf" },
];
const absentFile = { kind: "linear" as const, file: "no-such-router.json" };

describe("createRouter", () => {
  test("takes the shipped router, cut for the number of tiers", async () => {
    const router = await createRouter(parseConfig({ tiers }), undefined);
    expect(router.thresholds).toHaveLength(1);
    expect((await router.classifier.classify("What is 2 + 2?")).score).toBeLessThan(
      router.thresholds[0] ?? 0,
    );
  });

  test("reads no file beside a classifier of the caller's with thresholds", async () => {
    const config = parseConfig({ tiers, router: { ...absentFile, thresholds: [0.25] } });
    expect(await createRouter(config, classifier)).toEqual({ classifier, thresholds: [0.25] });
    const own = { ...classifier, thresholds: [0.3, 0.6] };
    expect((await createRouter(parseConfig({ tiers, router: absentFile }), own)).thresholds).toEqual([0.3]);
  });

  test("reads the file where thresholds come from it", async () => {
    const config = parseConfig({ tiers, router: absentFile });
    await expect(createRouter(config, classifier)).rejects.toMatchObject({ code: "AIR_ERR_IO" });
  });

  test("refuses fewer thresholds than tiers need", async () => {
    const config = parseConfig({ tiers: [...tiers, { name: "large", model: "large.gguf" }] });
    await expect(createRouter(config, { ...classifier, thresholds: [0.3] })).rejects.toThrow(
      "expected 2 thresholds for router.thresholds but received 1",
    );
  });
});
