import { mkdtempSync, readdirSync, readFileSync, rmSync } from "node:fs";
import os from "node:os";
import path from "node:path";

import { afterEach, beforeEach, expect, vi } from "vitest";

import { AirError } from "../../lib/errors/air-error.js";
import { pullModel } from "../../lib/hub/pull-model.js";
import type { PullOptions } from "../../lib/hub/settings.js";
import { contentOf, cutAfter, HubStub } from "./hub-stub.js";

export const repo = "acme/tiny-GGUF";
export const content = contentOf("tiny", 300_000);
export const token = "hf_secretOfTheTest";

/** Of the test that runs. */
export let hub: HubStub;
/** The model folder of the test that runs. */
export let folder: string;

/** Gives every test of a file a hub and a model folder of its own. */
export function usePulls(): void {
  beforeEach(async () => {
    for (const name of ["HF_TOKEN", "HF_ENDPOINT", "HF_HUB_OFFLINE", "AIR_MODELS"]) vi.stubEnv(name, "");
    folder = mkdtempSync(path.join(os.tmpdir(), "air-pull-"));
    hub = await new HubStub().start();
    hub.put(repo, { "tiny-q4_0.gguf": { content } });
  });

  afterEach(async () => {
    vi.unstubAllEnvs();
    await hub.close();
    rmSync(folder, { recursive: true });
  });
}

/** A pull from the hub into the folder, impatient. */
export function pull(options: PullOptions = {}, reference = repo) {
  return pullModel(reference, {
    ...{ folder, endpoint: hub.url, retries: 2, retryBaseMs: 5, stallSeconds: 5 },
    ...options,
  });
}

/** What a pull fails with. */
export async function failureOf(pulling: Promise<unknown>): Promise<AirError> {
  const thrown: unknown = await pulling.then(
    () => undefined,
    (reason: unknown) => reason,
  );
  expect(thrown).toBeInstanceOf(AirError);
  return thrown as AirError;
}

/** Compares the bytes as such: toEqual() takes seconds for as many. */
export function expectSame(file: string, expected: Buffer | undefined): void {
  expect(readFileSync(file).equals(expected ?? Buffer.alloc(0)), file).toBe(true);
}

/** Every file under the model folder, relative to it. */
export function filesHere(): readonly string[] {
  return readdirSync(folder, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map((entry) => path.join(path.relative(folder, entry.parentPath), entry.name))
    .sort();
}

/** Leaves a part behind, as a pull that was stopped. */
export async function leavePart(bytes: number): Promise<string> {
  hub.next.push(cutAfter(bytes));
  await failureOf(pull({ retries: 0 }));
  const [partial = ""] = filesHere().filter((name) => name.endsWith(".partial"));
  expect(readFileSync(path.join(folder, partial)).length).toBe(bytes);
  return path.join(folder, partial);
}
