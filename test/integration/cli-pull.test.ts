import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, statSync } from "node:fs";
import os from "node:os";
import path from "node:path";
import { text } from "node:stream/consumers";
import { fileURLToPath } from "node:url";

import { afterEach, beforeEach, describe, expect, test } from "vitest";

import { type FileHandler, HubStub, sha256Of, stallAfter } from "../support/hub-stub.js";

const root = fileURLToPath(new URL("../../", import.meta.url));
const main = path.join(root, "dist", "cli", "main.js");
const model = path.join(root, "models", "air-tiny-chat-q4_0.gguf");
const content = readFileSync(model);
const repo = "acme/chat-GGUF";
const token = "hf_secretOfTheTest";

let hub: HubStub;
let folder: string;

beforeEach(async () => {
  expect(existsSync(main), "npm run build makes dist/").toBe(true);
  folder = mkdtempSync(path.join(os.tmpdir(), "air-cli-pull-"));
  hub = await new HubStub().start();
  hub.put(repo, { "chat-q4_0.gguf": { content } });
});

afterEach(async () => {
  await hub.close();
  rmSync(folder, { recursive: true });
});

function start(...args: readonly string[]): ChildProcess & { readonly done: ReturnType<typeof outcomeOf> } {
  const env = {
    ...process.env,
    AIR_MODELS: folder,
    HF_ENDPOINT: hub.url,
    HF_TOKEN: token,
    HF_HUB_OFFLINE: "",
  };
  const child = spawn(process.execPath, [main, ...args], {
    cwd: folder,
    env,
    stdio: ["ignore", "pipe", "pipe"],
  });
  return Object.assign(child, { done: outcomeOf(child) });
}

async function outcomeOf(child: ChildProcess) {
  const exit = once(child, "close") as Promise<[number | null, NodeJS.Signals | null]>;
  const { stdout: out, stderr: err } = child;
  if (out === null || err === null) throw new Error("expected pipes");
  const [stdout, stderr, [status, signal]] = await Promise.all([text(out), text(err), exit]);
  return { status, signal, stdout, stderr };
}

const air = (...args: readonly string[]) => start(...args).done;

function here(ending: string): readonly string[] {
  return readdirSync(folder, { recursive: true, encoding: "utf8" })
    .filter((name) => name.endsWith(ending))
    .map((name) => path.join(folder, name));
}

/** A part of that many bytes on the disk, once it is there. */
async function partOf(bytes: number): Promise<string> {
  await expect
    .poll(() => here(".partial").map((file) => statSync(file).size), { timeout: 20_000 })
    .toEqual([bytes]);
  return here(".partial")[0] ?? "";
}

/** Sends slowly enough for another process to come in between. */
const slowly: FileHandler = ({ response, etag }) => {
  response.writeHead(200, { etag, "content-length": content.length });
  response.write(content.subarray(0, 1 << 20));
  setTimeout(() => response.end(content.subarray(1 << 20)), 2500);
};

describe("air pull", () => {
  test("pulls a model that runs by its name, offline too, and keeps the token to itself", async () => {
    const pulled = await air("pull", repo, "--json");
    expect(pulled).toMatchObject({ status: 0, stderr: "" });
    expect(JSON.parse(pulled.stdout)).toMatchObject({ sha256: sha256Of(content), bytes: content.length });
    await hub.close();
    const question = ["generate", "--json", "What is 12 times 7?"];
    const byName = await air(...question, "-m", `${repo}:q4_0`);
    const { text: answer } = JSON.parse(byName.stdout) as { readonly text: string };
    expect(answer).toContain("84");
    expect((await air("pull", repo, "--offline")).stdout).toContain("was here already");
    for (const file of [...here(".json"), ...here(".gguf")])
      expect(readFileSync(file).includes(token)).toBe(false);
    hub = await new HubStub().start(); // for afterEach()
  });

  test("goes on after Ctrl-C", async () => {
    hub.next.push(stallAfter(2_000_000));
    const child = start("pull", repo);
    await partOf(2_000_000);
    child.kill("SIGINT");
    const stopped = await child.done;
    expect(stopped).toMatchObject({ status: 130, stdout: "" });
    expect(stopped.stderr).toBe(
      "air: stopped with 1.91 MiB of 5.14 MiB here; the same command goes on from there\n",
    );
    expect(here(".lock")).toEqual([]);
    const { stdout } = await air("pull", repo, "--json");
    expect(JSON.parse(stdout)).toMatchObject({
      ...{ resumedBytes: 2_000_000, downloadedBytes: content.length - 2_000_000, sha256: sha256Of(content) },
    });
  });

  test("goes on after it was killed", async () => {
    hub.next.push(stallAfter(2_000_000));
    const child = start("pull", repo);
    await partOf(2_000_000);
    child.kill("SIGKILL");
    expect((await child.done).signal).toBe("SIGKILL");
    expect(here(".lock").length).toBe(1);
    const { stdout } = await air("pull", repo, "--json");
    expect(JSON.parse(stdout)).toMatchObject({ resumedBytes: 2_000_000, sha256: sha256Of(content) });
  });

  test("of the same model by several processes downloads it once", async () => {
    hub.otherwise = slowly;
    const all = await Promise.all([1, 2, 3].map(() => air("pull", repo, "--json")));
    const reports = all.map(({ stdout }) => JSON.parse(stdout) as { readonly downloadedBytes: number });
    expect(reports.map(({ downloadedBytes }) => downloadedBytes).sort((a, b) => a - b)).toEqual([
      0,
      0,
      content.length,
    ]);
    expect(hub.fileRequests.length).toBe(1);
    const [file = "", ...more] = here(".gguf");
    expect(more).toEqual([]);
    expect(sha256Of(readFileSync(file))).toBe(sha256Of(content));
    expect([here(".lock"), here(".partial"), here(".tmp")]).toEqual([[], [], []]);
  });

  test("of different models at once registers all of them", async () => {
    const names = ["a", "b", "c"].map((letter) => `acme/${letter}-GGUF`);
    for (const name of names) hub.put(name, { "m-q4_0.gguf": { content } });
    const all = await Promise.all(names.map((name) => air("pull", name)));
    expect(all.map(({ status }) => status)).toEqual([0, 0, 0]);
    const { stdout } = await air("models", "--json");
    const { models } = JSON.parse(stdout) as { readonly models: readonly { readonly repo: string }[] };
    expect(models.map((one) => one.repo)).toEqual(names);
  });
});
