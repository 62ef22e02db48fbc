import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import os from "node:os";
import path from "node:path";
import { PassThrough, Readable } from "node:stream";
import { fileURLToPath } from "node:url";

import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";

import { runCli } from "../../../lib/cli/program.js";
import { contentOf, HubStub, stallAfter } from "../../support/hub-stub.js";

const repo = "acme/tiny-GGUF";
const content = contentOf("tiny", 3 << 19);
const chatModel = fileURLToPath(new URL("../../../models/air-tiny-chat-q4_0.gguf", import.meta.url));

let hub: HubStub;
let folder: string;

beforeEach(async () => {
  folder = mkdtempSync(path.join(os.tmpdir(), "air-cli-pull-"));
  hub = await new HubStub().start();
  hub.put(repo, { "tiny-q4_0.gguf": { content }, "tiny-q8_0.gguf": { content: contentOf("8", 1000) } });
  for (const name of ["HF_TOKEN", "HF_HUB_OFFLINE"]) vi.stubEnv(name, "");
  vi.stubEnv("AIR_MODELS", folder);
  vi.stubEnv("HF_ENDPOINT", hub.url);
});

afterEach(async () => {
  vi.unstubAllEnvs();
  await hub.close();
  rmSync(folder, { recursive: true });
});

interface AirOptions {
  readonly isTTY?: boolean;
  readonly signal?: AbortSignal;
  readonly stdin?: string;
}

/** Runs `air` in this process. */
async function air(args: readonly string[], { isTTY = false, signal, stdin = "" }: AirOptions = {}) {
  const stdout = new PassThrough();
  const stderr = Object.assign(new PassThrough(), { isTTY });
  const status = await runCli(args, {
    ...{ stdin: Readable.from([stdin]), stdout, stderr },
    signal: signal ?? new AbortController().signal,
  });
  const textOf = (stream: PassThrough) => (stream.read() as Buffer | null)?.toString() ?? "";
  return { status, stdout: textOf(stdout), stderr: textOf(stderr) };
}

describe("air pull", () => {
  test("says what came and where it is, and nothing on a stderr that is no terminal", async () => {
    const { status, stdout, stderr } = await air(["pull", repo]);
    expect([status, stderr]).toEqual([0, ""]);
    expect(stdout).toMatch(
      /^acme\/tiny-GGUF:tiny-q4_0[.]gguf \(1[.]50 MiB, commit 0123456789ab\) pulled\n\/.*tiny-q4_0[.]gguf\n$/,
    );
    expect((await air(["pull", repo])).stdout).toContain("was here already");
  });

  test("shows progress on a terminal", async () => {
    const { stderr } = await air(["pull", repo], { isTTY: true });
    expect(stderr).toContain("pulling");
  });

  test("prints one JSON object, of errors too", async () => {
    const { stdout } = await air(["pull", `${repo}:q8_0`, "--revision", "v1", "--json"]);
    expect(JSON.parse(stdout)).toMatchObject({
      file: "tiny-q8_0.gguf",
      revision: "v1",
      downloadedBytes: 1000,
    });
    const failed = await air(["pull", "acme/none", "--json"]);
    expect(failed.status).toBe(1);
    expect(JSON.parse(failed.stdout)).toMatchObject({ error: { code: "AIR_ERR_HUB_NOT_FOUND" } });
  });

  test("with --offline asks nobody", async () => {
    const { status, stderr } = await air(["pull", repo, "--offline"]);
    expect([status, hub.requests.length]).toEqual([1, 0]);
    expect(stderr).toMatch(/^AIR_ERR_OFFLINE: expected a pulled model for acme\/tiny-GGUF while offline/);
  });

  test("that is interrupted says how to go on, and goes on", async () => {
    hub.next.push(stallAfter(1 << 20));
    const controller = new AbortController();
    const pulling = air(["pull", repo], { signal: controller.signal });
    await expect.poll(() => hub.fileRequests.length, { timeout: 5000 }).toBe(1);
    setTimeout(() => {
      controller.abort();
    }, 300);
    const { status, stderr } = await pulling;
    expect(status).toBe(130);
    expect(stderr).toBe("air: stopped with 1.00 MiB of 1.50 MiB here; the same command goes on from there\n");
    expect((await air(["pull", repo])).stdout).toContain("pulled, 1.00 MiB had been left by an earlier pull");
  });

  test("without a model, and with one that is none, is wrong usage", async () => {
    expect((await air(["pull"])).status).toBe(2);
    expect((await air(["pull", "tiny"])).status).toBe(2);
  });
});

describe("air models", () => {
  test("says where models would be when there are none", async () => {
    const { status, stdout, stderr } = await air(["models"]);
    expect([status, stdout]).toEqual([0, ""]);
    expect(stderr).toContain(folder);
  });

  test("lists what was pulled, and names entries that are damaged", async () => {
    await air(["pull", repo]);
    const { stdout } = await air(["models"]);
    expect(stdout).toMatch(
      /^model +size +commit +pulled\nacme\/tiny-GGUF:tiny-q4_0[.]gguf +1[.]50 MiB +0123456789ab +\d{4}-\d\d-\d\d\n$/,
    );
    const json = JSON.parse((await air(["models", "--json"])).stdout) as {
      readonly models: readonly object[];
    };
    expect(json).toMatchObject({ folder, models: [{ repo, isPresent: true }] });
    writeFileSync(path.join(folder, "registry", "x.json"), "");
    expect((await air(["models"])).stderr).toContain("x.json is damaged");
  });

  test("rm removes one by any of its names", async () => {
    await air(["pull", repo]);
    expect((await air(["models", "rm", "tiny-q4_0"])).stdout).toBe(
      `removed ${repo}:tiny-q4_0.gguf (1.50 MiB)\n`,
    );
    const again = await air(["models", "rm", "tiny-q4_0", "--json"]);
    expect(again.status).toBe(1);
    expect(JSON.parse(again.stdout)).toMatchObject({ error: { code: "AIR_ERR_NOT_PULLED" } });
  });

  test("prune removes what newer commits have replaced", async () => {
    await air(["pull", repo]);
    hub.commit = "e".repeat(40);
    hub.put(repo, { "tiny-q4_0.gguf": { content: contentOf("new", 2000) } });
    await air(["pull", repo]);
    expect((await air(["models", "prune"])).stdout).toBe("removed 1.50 MiB in 1 folders\n");
    expect((await air(["models", "prune", "--json"])).stdout).toBe('{"folders":[],"bytes":0}\n');
    expect((await air(["models"])).stdout).toContain("1.95 KiB");
  });
});

describe("the name of a pulled model", () => {
  test("is as good as its file for -m and inspect", async () => {
    hub.put(repo, { "chat-q4_0.gguf": { content: readFileSync(chatModel) } });
    await air(["pull", repo]);
    const byPath = await air(["tokenize", "-m", chatModel, "--json"], { stdin: "Hello" });
    expect(byPath.status).toBe(0);
    for (const name of [repo, `${repo}:Q4_0`, "chat-q4_0"])
      expect(await air(["tokenize", "-m", name, "--json"], { stdin: "Hello" })).toEqual(byPath);
    expect((await air(["inspect", "chat-q4_0"])).stdout).toBe((await air(["inspect", chatModel])).stdout);
    const plan = ["plan", "--memory", "8GiB", "--json"];
    const planned = await air([...plan, "-m", "chat-q4_0", "--draft", `${repo}:q4_0`]);
    expect(planned.stdout).toBe((await air([...plan, "-m", chatModel, "--draft", chatModel])).stdout);
  });

  test.each([
    ["tokenize", "-m"],
    ["plan", "-m"],
    ["generate", "-m"],
    ["bench", "-m"],
    ["serve", "-m"],
    ["chat", "-m"],
    ["inspect"],
  ])("that is not here is an error of %s that says what to pull", async (...args) => {
    const { status, stderr } = await air([...args, `${repo}:Q5_K_M`], { stdin: "Hello" });
    expect(status).toBe(1);
    expect(stderr).toContain("AIR_ERR_NOT_PULLED");
    expect(stderr).toContain(`air pull ${repo}:Q5_K_M`);
  });
});
