/** `air serve --canary` with real models: one that does well, one that is unsure of its words, and one that breaks. */
import { copyFileSync, mkdtempSync, rmSync, truncateSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";

import { afterAll, describe, expect, test } from "vitest";

import { readGguf, tensorValues } from "../../bench/models/gguf-tensors.js";
import { writeGguf } from "../../bench/models/gguf-writer.js";
import { loadModel } from "../../lib/index.js";
import type { CanaryReport } from "../../lib/server/canary.js";
import { chatRequest, type ServeProcess, startServe } from "../support/serve-process.js";
import { asUser, largeFile, smallFile, until } from "../support/tier-runtime.js";

const folder = mkdtempSync(path.join(tmpdir(), "air-canary-"));
afterAll(() => {
  rmSync(folder, { recursive: true });
});

const words = [
  "a fruit",
  "a lamp",
  "a river",
  "the moon",
  "a cat",
  "a hat",
  "bread",
  "rain",
  "a boat",
  "a song",
];
/** Prompts that all differ. */
const promptOf = (index: number): string =>
  `Tell me about ${words[index % words.length] ?? ""}, please (${index}).`;

/** An answer, and the fingerprint of the model that gave it. */
interface Answer {
  readonly text: string;
  /** Null where the model is unloaded by the time that the answer is told, which is the last one of a canary. */
  readonly fingerprint: string | null;
}

async function ask(server: ServeProcess, prompt: string, maxTokens: number): Promise<Answer> {
  const response = await fetch(
    `${server.url}/v1/chat/completions`,
    chatRequest(prompt, { max_tokens: maxTokens }),
  );
  const body = (await response.json()) as {
    readonly choices: readonly { readonly message: { readonly content: string } }[];
    readonly system_fingerprint: string | null;
  };
  expect(response.status, JSON.stringify(body)).toBe(200);
  return { text: body.choices[0]?.message.content ?? "", fingerprint: body.system_fingerprint };
}

async function reportOf({ url }: ServeProcess): Promise<CanaryReport> {
  return (await (await fetch(`${url}/canary`)).json()) as CanaryReport;
}

/** Value of a line of /metrics. */
async function metricOf({ url }: ServeProcess, name: string): Promise<number> {
  const lines = (await (await fetch(`${url}/metrics`)).text()).split("\n");
  return Number(lines.find((line) => line.startsWith(`${name} `))?.slice(name.length));
}

/** A model that picks the words of the one at `source` and is much less sure of them: its logits are a tenth as far apart. */
async function writeUnsureModel(source: string, target: string): Promise<void> {
  const model = await readGguf(source);
  await writeGguf(target, {
    // A fingerprint looks at samples of the weights, and may not see the norm.
    metadata: model.metadata.map((entry) =>
      entry.key === "general.name" ? { key: entry.key, type: "string", value: "unsure" } : entry,
    ),
    tensors: [...model.tensors.values()].map((tensor) => {
      const { name, type, shape, bytes } = tensor;
      if (name !== "output_norm.weight") return { name, type, shape, data: bytes };
      expect(type).toBe("F32");
      const scaled = tensorValues(tensor).map((value) => value / 10);
      return { name, type, shape, data: new Uint8Array(scaled.buffer) };
    }),
  });
}

function startTrial(canary: string): Promise<ServeProcess> {
  const trial = ["--canary", canary, "--canary-share", "0.5"];
  return startServe("-m", largeFile, ...trial, "--ctx", "512", "--no-golden", "--port", "0");
}

/** Sends other prompts until the canary is taken back; whose answers they were. */
async function askUntilTakenBack(
  server: ServeProcess,
  maxTokens: number,
): Promise<readonly (string | null)[]> {
  const fingerprints: (string | null)[] = [];
  for (let index = 0; (await reportOf(server)).state === "running"; index += 1) {
    if (index === 300) throw new Error("expected a canary to be taken back but received 300 answers");
    fingerprints.push((await ask(server, promptOf(index), maxTokens)).fingerprint);
  }
  return fingerprints;
}

describe("a canary of another model", () => {
  test("answers its share as it would alone, and its figures are told", async () => {
    using large = await loadModel(largeFile, { contextTokens: 512, threads: 1 });
    using small = await loadModel(smallFile, { contextTokens: 512, threads: 1 });
    await using server = await startTrial(smallFile);
    let byCanary = 0;
    for (let index = 0; index < 24; index += 1) {
      const { text, fingerprint } = await ask(server, promptOf(index), 12);
      const isCanary = fingerprint === `fp_${small.info.fingerprint.slice(0, 12)}`;
      if (isCanary) byCanary += 1;
      using session = (isCanary ? small : large).createSession();
      const options = { maxTokens: 12, temperature: 0 };
      expect(text).toBe((await session.generate(asUser(promptOf(index)), options).result).text);
    }
    expect(byCanary).toBeGreaterThan(4);
    expect(byCanary).toBeLessThan(20);
    const { state, share, current, candidate } = await reportOf(server);
    expect({ state, share }).toEqual({ state: "running", share: 0.5 });
    expect(candidate).toMatchObject({ requests: byCanary, failures: 0 });
    expect(current).toMatchObject({ requests: 24 - byCanary, failures: 0 });
    for (const { meanLogprob, meanTokenMs } of [current, candidate]) {
      expect(meanLogprob).toBeLessThan(0);
      expect(meanTokenMs).toBeGreaterThan(0);
    }
    expect(await metricOf(server, 'air_canary_requests{version="candidate"}')).toBe(byCanary);
    expect(await metricOf(server, 'air_canary_share{version="candidate"}')).toBe(0.5);
  });

  test("is taken back when it is much less sure of its words", async () => {
    const unsure = path.join(folder, "unsure.gguf");
    await writeUnsureModel(largeFile, unsure);
    await using server = await startTrial(unsure);
    const fingerprints = await askUntilTakenBack(server, 4);
    expect(fingerprints.slice(0, -1)).not.toContain(null);
    expect(new Set(fingerprints.slice(0, -1)).size).toBe(2);
    const { reason, share, current, candidate } = await reportOf(server);
    expect(reason).toMatch(/^its mean log-probability is -\d/);
    expect(share).toBe(0);
    expect(current.requests).toBeGreaterThanOrEqual(50);
    expect(candidate.requests).toBeGreaterThanOrEqual(50);
    await until(() => /"kind":"unload".*"version":"candidate"/.test(server.log()));
    expect(server.log()).toContain("the canary is taken back");
    const later = await Promise.all(
      Array.from({ length: 20 }, (_, index) => ask(server, promptOf(index), 4)),
    );
    expect(new Set(later.map(({ fingerprint }) => fingerprint)).size).toBe(1);
    expect(await metricOf(server, 'air_canary_share{version="candidate"}')).toBe(0);
  });

  test("that breaks has the current version answer, and is taken back", async () => {
    const file = path.join(folder, "cut.gguf");
    copyFileSync(smallFile, file);
    await using server = await startTrial(file);
    truncateSync(file, 4096); // in use, so that no step of it can be computed any more
    const fingerprints = await askUntilTakenBack(server, 4);
    expect(new Set(fingerprints).size).toBe(1);
    expect(await reportOf(server)).toMatchObject({
      ...{ state: "rolled_back", reason: "5 of 5 requests failed", share: 0 },
      candidate: { requests: 5, failures: 5 },
    });
    expect(server.log()).toContain("the canary is taken back");
  });
});
