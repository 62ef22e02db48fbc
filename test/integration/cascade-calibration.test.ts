import { afterAll, beforeAll, expect, test } from "vitest";

import { type AirRuntime, calibrateCascade, type TierInput } from "../../lib/index.js";
import { createRuntime, twoTiers } from "../support/tier-runtime.js";

const prompts = Array.from({ length: 20 }, (_, index): TierInput => [
  { role: "user", content: index % 2 === 0 ? `What is ${index} times 7?` : `Why do ${index} rivers bend?` },
]);
let runtime: AirRuntime;

beforeAll(async () => {
  runtime = await createRuntime(twoTiers());
});
afterAll(() => runtime.close());

test("finds the log-probability that a share of the small tier's answers falls short of", async () => {
  const fractions: number[] = [];
  const onProgress = (fraction: number): void => void fractions.push(fraction);
  const [found, ...others] = await calibrateCascade(runtime, prompts, {
    share: 0.25,
    holdTokens: 12,
    onProgress,
  });
  expect(others).toEqual([]); // the largest has nobody to hand on to
  expect(found?.tier).toBe("small");
  const { minLogprob = 0, meanLogprobs = [] } = found ?? {};
  expect(meanLogprobs).toHaveLength(prompts.length);
  expect(meanLogprobs.filter((mean) => mean < minLogprob)).toHaveLength(5);
  expect(Math.max(...meanLogprobs)).toBeLessThan(0);
  expect(fractions.at(-1)).toBe(1);
});

test("a cascade with that threshold escalates that share of them", async () => {
  const [found] = await calibrateCascade(runtime, prompts, { share: 0.25, holdTokens: 12 });
  const cascade = { minLogprob: { small: found?.minLogprob ?? 0 }, holdTokens: 12 };
  await using judged = await createRuntime({ ...twoTiers(), cascade });
  let escalated = 0;
  for (const prompt of prompts) {
    const { attempts } = await judged.generate(prompt, { maxTokens: 12 }).result;
    if (attempts.some(({ reason }) => reason === "confidence")) escalated += 1;
  }
  expect(escalated).toBe(5);
});

test("refuses too few prompts and shares that are none, and stops when aborted", async () => {
  const calibrate = (share: number, count: number, signal?: AbortSignal) =>
    calibrateCascade(runtime, prompts.slice(0, count), { share, ...(signal && { signal }) });
  await expect(calibrate(0.1, 9)).rejects.toMatchObject({ code: "AIR_ERR_ARGUMENT" });
  await expect(calibrate(1.1, 20)).rejects.toMatchObject({ code: "AIR_ERR_ARGUMENT" });
  await expect(calibrate(0.1, 20, AbortSignal.abort())).rejects.toMatchObject({ code: "AIR_ERR_CANCELLED" });
});
