import { readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";

import { fastify, type FastifyInstance } from "fastify";
import { afterEach, describe, expect, test } from "vitest";

import { mount } from "../../examples/fastify-app.js";
import { serveCommand } from "../../lib/cli/serve.js";
import { loadModel } from "../../lib/index.js";
import { createServer } from "../../lib/server/server.js";
import { readConfig } from "../../lib/tiers/config.js";
import { FakeRuntime, hang } from "../support/fake-runtime.js";
import { largeFile } from "../support/tier-runtime.js";

const examples = fileURLToPath(new URL("../../examples/", import.meta.url));

describe("examples/fastify-app", () => {
  let app: FastifyInstance | undefined;
  afterEach(() => app?.close());

  async function start() {
    const runtime = new FakeRuntime();
    app = fastify();
    app.get("/", () => ({ hello: "world" }));
    await mount(app, "/ai", createServer(runtime));
    const url = await app.listen({ host: "127.0.0.1", port: 0 });
    return { runtime, app, url };
  }
  const chat = (url: string, body: object, signal?: AbortSignal) =>
    fetch(`${url}/ai/v1/chat/completions`, {
      ...{ method: "POST", headers: { "content-type": "application/json" } },
      ...{ body: JSON.stringify({ messages: [{ role: "user", content: "hi" }], ...body }) },
      ...(signal !== undefined && { signal }),
    });

  test("answers below its prefix, and the program elsewhere", async () => {
    const { url } = await start();
    expect(await (await fetch(url)).json()).toEqual({ hello: "world" });
    const answer = (await (await chat(url, {})).json()) as { choices: { message: { content: string } }[] };
    expect(answer.choices[0]?.message.content).toBe("hello world");
    expect(await (await chat(url, { stream: true })).text()).toMatch(/data: \[DONE\]\n\n$/);
    const page = await fetch(`${url}/ai`);
    expect(page.url).toBe(`${url}/ai/`);
    expect(await page.text()).toContain('src="air/page/app.js"');
    expect((await fetch(`${url}/ai/air/page/app.js`)).status).toBe(200);
    expect((await fetch(`${url}/ai/none`)).status).toBe(404);
    expect((await fetch(`${url}/v1/models`)).status).toBe(404);
  });

  test("ends an answer whose reader leaves, and streams of figures when it closes", async () => {
    const { runtime, app: target, url } = await start();
    runtime.script = [["text", hang]];
    const leaving = new AbortController();
    const response = await chat(url, { stream: true }, leaving.signal);
    expect(response.status).toBe(200);
    leaving.abort();
    expect(await runtime.requests[0]?.cancelled).toBe(true);
    const live = await fetch(`${url}/ai/air/live`, { headers: { accept: "text/event-stream" } });
    const [text] = await Promise.all([live.text(), target.close()]);
    expect(text).toMatch(/^data: {/);
  });
});

describe("examples/jetson and examples/vllm", () => {
  test.each(["jetson", "vllm"])("%s has a configuration without mistakes", async (name) => {
    const { tiers } = await readConfig(`${examples}${name}/air.config.json`);
    expect(tiers).toHaveLength(2);
  });

  test("the unit starts air serve with options that it has", () => {
    const unit = readFileSync(`${examples}jetson/air.service`, "utf8");
    const [, line = ""] = /^ExecStart=\S+\/air serve (.*)$/m.exec(unit) ?? [];
    const flags = line.split(" ").filter((word) => word.startsWith("--"));
    expect(flags).toContain("--config");
    const io = { ...process, signal: new AbortController().signal };
    const known = serveCommand(io).options.map(({ long }) => long);
    for (const flag of flags) expect(known).toContain(flag);
    const [, drain] = /--drain (\d+)/.exec(line) ?? [];
    const [, stop] = /^TimeoutStopSec=(\d+)$/m.exec(unit) ?? [];
    expect(Number(stop)).toBeGreaterThan(Number(drain));
  });
});

interface Passage {
  readonly name: string;
  readonly text: string;
  readonly vector: Float32Array;
}

/** What examples/edge-rag/rag.mjs exports. */
interface Rag {
  readonly toPassages: (text: string, limit?: number) => readonly string[];
  readonly addDocuments: (model: object, store: object, documents: readonly object[]) => Promise<number>;
  readonly findPassages: (
    model: object,
    store: object,
    question: string,
    count?: number,
  ) => Promise<readonly Passage[]>;
  readonly toMessages: (
    question: string,
    passages: readonly object[],
  ) => readonly { role: string; content: string }[];
}

/** What sqlite-vec does for the example, by looking at all passages. */
class ListStore {
  readonly passages: Passage[] = [];

  add(passages: readonly Passage[]): void {
    this.passages.push(...passages);
  }

  nearest(vector: Float32Array, count: number): readonly Passage[] {
    const nearness = (passage: Passage) =>
      passage.vector.reduce((sum, value, index) => sum + value * (vector[index] ?? 0), 0);
    return [...this.passages].sort((a, b) => nearness(b) - nearness(a)).slice(0, count);
  }
}

describe("examples/edge-rag", () => {
  const load = async () => (await import(`${examples}edge-rag/rag.mjs`)) as Rag;

  test("divides texts into passages of whole paragraphs where it can", async () => {
    const { toPassages } = await load();
    expect(toPassages("a\n\nb\n\n\nc", 6)).toEqual(["a\n\nb", "c"]);
    expect(toPassages("x".repeat(25), 10)).toEqual(["x".repeat(10), "x".repeat(10), "x".repeat(5)]);
    expect(toPassages(" \n\n ")).toEqual([]);
  });

  test("finds the passage that a question repeats, and puts it before the question", async () => {
    const { addDocuments, findPassages, toMessages } = await load();
    using model = await loadModel(largeFile, { contextTokens: 512, threads: 1 });
    const store = new ListStore();
    const documents = [
      "Paris is the capital of France.",
      "git commit saves changes.",
      "7 times 8 is 56.",
    ].map((text, index) => ({ name: `${index}.md`, text }));
    expect(await addDocuments(model, store, documents)).toBe(3);
    const found = await findPassages(model, store, "git commit saves changes.", 2);
    expect(found.map(({ name }) => name)[0]).toBe("1.md");
    expect(found).toHaveLength(2);
    const [message] = toMessages("What saves changes?", found);
    expect(message?.content).toContain("[1] 1.md\ngit commit saves changes.");
    expect(message?.content).toMatch(/Question: What saves changes\?$/);
  });
});
