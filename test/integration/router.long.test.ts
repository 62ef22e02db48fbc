import { expect, test } from "vitest";

import { expandFamilies } from "../../bench/router/expand.js";
import { judge, mixError, trained } from "../../bench/router/held-out.js";
import { allFamilies } from "../../bench/router/prompts/all.js";
import { splitPrompts } from "../../bench/router/split.js";
import { evaluateRouter } from "../../lib/routing/evaluation.js";
import { LinearClassifier } from "../../lib/routing/linear-classifier.js";

test("a router trained without some topics and families judges them well", () => {
  const { train, heldOutFamilies, heldOutTopics } = splitPrompts(expandFamilies(allFamilies), 0);
  const heldOut = [...heldOutFamilies, ...heldOutTopics];
  expect(heldOut.length).toBeGreaterThan(1500);
  const trainedOn = new Set(train.map(({ family }) => family));
  expect(heldOut.some(({ family }) => trainedOn.has(family))).toBe(false);

  const classifier = new LinearClassifier(trained(train));
  const { accuracy, recalls, underRouted, calibrationError } = evaluateRouter(
    judge(classifier, heldOut),
    classifier.thresholds,
  );
  expect(accuracy).toBeGreaterThan(0.85);
  for (const recall of recalls) expect(recall).toBeGreaterThan(0.75);
  expect(underRouted).toBeLessThan(0.08);
  expect(calibrationError).toBeLessThan(0.05);
  expect(mixError(classifier, heldOut)).toBeLessThan(3);
});
