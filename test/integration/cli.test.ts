import { type ChildProcessWithoutNullStreams, spawn } from "node:child_process";
import { once } from "node:events";
import {
  closeSync,
  copyFileSync,
  existsSync,
  mkdtempSync,
  openSync,
  readFileSync,
  rmSync,
  truncateSync,
  writeFileSync,
} from "node:fs";
import os from "node:os";
import path from "node:path";
import { PassThrough, Readable } from "node:stream";
import { text } from "node:stream/consumers";
import { fileURLToPath } from "node:url";

import { afterAll, beforeAll, describe, expect, test } from "vitest";

import { runCli } from "../../lib/cli/program.js";

const root = fileURLToPath(new URL("../../", import.meta.url));
const main = path.join(root, "dist", "cli", "main.js");
const textModel = path.join(root, "models", "air-tiny-large-q4_0.gguf");
const folder = mkdtempSync(path.join(os.tmpdir(), "air-cli-"));

beforeAll(() => {
  expect(existsSync(main), "npm run build makes dist/").toBe(true);
});

afterAll(() => {
  rmSync(folder, { recursive: true });
});

function start(...args: readonly string[]): ChildProcessWithoutNullStreams {
  return spawn(process.execPath, [main, ...args], { cwd: folder });
}

/** Runs the built command in a process of its own. */
async function air(args: readonly string[], stdin = "") {
  const child = start(...args);
  const exit = once(child, "close") as Promise<[number | null]>;
  child.stdin.end(stdin);
  const [stdout, stderr, [status]] = await Promise.all([text(child.stdout), text(child.stderr), exit]);
  return { status, stdout, stderr };
}

interface GenerateObject {
  readonly text: string;
  readonly tokens: readonly number[];
  readonly promptTokens: number;
  readonly finishReason: string;
  readonly timings: Readonly<Record<string, number>>;
  readonly memory: Readonly<Record<string, number>>;
}

async function generateJson(...args: readonly string[]): Promise<GenerateObject> {
  const { status, stdout, stderr } = await air(["generate", "--json", ...args]);
  expect(status, stderr).toBe(0);
  return JSON.parse(stdout) as GenerateObject;
}

describe("air generate", () => {
  test("answers with the bundled model and says on stderr that it is a demo", async () => {
    const { status, stdout, stderr } = await air(["generate", "What is 12 times 7?"]);
    expect({ status, stdout }).toEqual({ status: 0, stdout: "12 times 7 is 84.\n" });
    expect(stderr).toMatch(/^air: using the bundled demo model.*\n$/);
  });

  test("reads the prompt from stdin when there is no argument", async () => {
    const { stdout } = await air(["generate"], "What is the capital of France?\n");
    expect(stdout).toBe("The capital of France is Paris.\n");
  });

  test("prints one object with --json", async () => {
    const result = await generateJson("What is 12 times 7?");
    expect(Object.keys(result)).toEqual([
      "text",
      "tokens",
      "promptTokens",
      "finishReason",
      "timings",
      "memory",
      "speculative",
    ]);
    expect(result).toMatchObject({ text: "12 times 7 is 84.", finishReason: "stop" });
    expect(result.promptTokens).toBeGreaterThan(5);
    expect(Object.keys(result.timings)).toEqual([
      ...["loadMs", "prefillTokensPerSecond", "decodeTokensPerSecond", "timeToFirstTokenMs"],
    ]);
    expect(Object.keys(result.memory)).toEqual(["weightBytes", "kvBytes", "peakRssBytes"]);
    for (const value of Object.values({ ...result.timings, ...result.memory }))
      expect(value).toBeGreaterThan(0);
  });

  test("generates exactly -n tokens of a text that goes on", async () => {
    const args = ["-m", textModel, "--raw", "-n", "7", "The function returns"];
    const { tokens, finishReason } = await generateJson(...args);
    expect(tokens.length).toBe(7);
    expect(finishReason).toBe("length");
  });

  test("feeds a raw prompt as it is, and a templated one in its turn", async () => {
    const raw = await generateJson("--raw", "-n", "1", "Hello");
    const templated = await generateJson("-n", "1", "Hello");
    const withSystem = await generateJson("-n", "1", "--system", "Be brief.", "Hello");
    expect(templated.promptTokens).toBeGreaterThan(raw.promptTokens);
    expect(withSystem.promptTokens).toBeGreaterThan(templated.promptTokens);
  });

  test("repeats itself for a seed, whatever the number of threads, and not for another seed", async () => {
    const sample = (seed: string, threads: string) =>
      generateJson(
        "-m",
        textModel,
        "--raw",
        "-n",
        "24",
        "--temp",
        "1",
        "--seed",
        seed,
        "--threads",
        threads,
        "The",
      );
    const [first, again, other] = [await sample("1", "1"), await sample("1", "2"), await sample("2", "1")];
    expect(again.tokens).toEqual(first.tokens);
    expect(other.tokens).not.toEqual(first.tokens);
  });

  test("ends before a stop string", async () => {
    const { text: answer, finishReason } = await generateJson("--stop", " is", "What is 12 times 7?");
    expect(answer).toBe("12 times 7");
    expect(finishReason).toBe("stop");
  });

  test("halves the KV memory with int8 pages", async () => {
    const int8 = await generateJson("-n", "1", "Hello");
    const f16 = await generateJson("-n", "1", "--kv", "f16", "Hello");
    const ratio = (f16.memory["kvBytes"] ?? 0) / (int8.memory["kvBytes"] ?? 1);
    expect(ratio).toBeGreaterThan(1.8);
    expect(ratio).toBeLessThan(2);
  });
});

describe("air generate with bad input", () => {
  test("names a file that is not there", async () => {
    const { status, stdout, stderr } = await air(["generate", "-m", "missing.gguf", "Hello"]);
    expect(status).toBe(1);
    expect(stdout).toBe("");
    expect(stderr).toMatch(/^AIR_ERR_IO: expected .*missing\.gguf.*\nCheck that the path exists .*\n$/);
  });

  test("refuses a truncated file", async () => {
    const file = path.join(folder, "truncated.gguf");
    copyFileSync(textModel, file);
    truncateSync(file, 1_000_000);
    const { status, stderr } = await air(["generate", "-m", file, "Hello"]);
    expect(status).toBe(1);
    expect(stderr).toMatch(/^AIR_ERR_MODEL_FORMAT: expected /);
  });

  test("refuses a prompt that does not fit the context, with the object too", async () => {
    const { status, stdout } = await air([
      "generate",
      "--json",
      "--ctx",
      "8",
      "A rather long question, is it not?",
    ]);
    expect(status).toBe(1);
    expect(JSON.parse(stdout)).toMatchObject({ error: { code: "AIR_ERR_CONTEXT" } });
  });
});

describe("air generate on a model without a chat template", () => {
  const file = path.join(folder, "no-template.gguf");
  beforeAll(() => {
    const bytes = readFileSync(path.join(root, "models", "air-tiny-chat-q4_0.gguf"));
    bytes.write("tokenizer.chat_formula_", bytes.indexOf("tokenizer.chat_template"));
    writeFileSync(file, bytes);
  });

  test("continues the prompt as it is, and says so", async () => {
    const { status, stderr } = await air(["generate", "-m", file, "-n", "1", "Hello"]);
    expect(status).toBe(0);
    expect(stderr).toBe("air: this model has no chat template; the prompt is continued as it is\n");
  });

  test("refuses a system message, which would be lost", async () => {
    const { status, stderr } = await air(["generate", "-m", file, "--system", "Be brief.", "Hello"]);
    expect(status).toBe(1);
    expect(stderr).toMatch(/^AIR_ERR_TEMPLATE: expected a chat template for --system /);
  });
});

describe("air generate while interrupted", () => {
  const endless = ["generate", "-m", textModel, "--raw", "-n", "900", "--ctx", "1024", "The"];

  test("stops on Ctrl-C with status 130 and without a message", async () => {
    const child = start(...endless);
    const stderr = text(child.stderr);
    child.stdin.end();
    await once(child.stdout, "data");
    child.kill("SIGINT");
    expect(await once(child, "close")).toEqual([130, null]);
    expect(await stderr).toBe("");
  });

  test("ends quietly when nobody reads its output any more", async () => {
    const child = start(...endless);
    const stderr = text(child.stderr);
    child.stdin.end();
    await once(child.stdout, "data");
    child.stdout.destroy();
    expect(await once(child, "close")).toEqual([141, null]);
    expect(await stderr).toBe("");
  });
});

describe("air generate with broken outputs", () => {
  test("answers without its remarks when nobody reads stderr", async () => {
    const child = start("generate", "What is 12 times 7?");
    const exit = once(child, "close");
    child.stderr.destroy();
    child.stdin.end();
    expect(await text(child.stdout)).toBe("12 times 7 is 84.\n");
    expect(await exit).toEqual([0, null]);
  });

  test.runIf(existsSync("/dev/full"))("says that the answer could not be written", async () => {
    const full = openSync("/dev/full", "w");
    const child = spawn(process.execPath, [main, "generate", "Hello"], { stdio: ["ignore", full, "pipe"] });
    const [stderr, [status]] = await Promise.all([
      text(child.stderr ?? Readable.from([])),
      once(child, "close"),
    ]);
    closeSync(full);
    expect(status).toBe(1);
    expect(stderr).toMatch(/^AIR_ERR_IO: expected a writable stdout but received .*ENOSPC/m);
  });
});

describe("air plan", () => {
  interface PlanObject {
    readonly totalBytes: number;
    readonly neededBytes: number;
    readonly maxContext: number;
    readonly fits: boolean;
  }
  const plan = async (...args: readonly string[]): Promise<PlanObject> => {
    const { status, stdout, stderr } = await air(["plan", "-m", textModel, "--json", ...args]);
    expect(status, stderr).toBe(0);
    return JSON.parse(stdout) as PlanObject;
  };

  test("plans a context that fits exactly", async () => {
    const { fits, maxContext } = await plan("--memory", "500MB", "--ctx", "1000000");
    expect(fits).toBe(false);
    expect(await plan("--memory", "500MB", "--ctx", String(maxContext))).toMatchObject({
      fits: true,
      maxContext,
    });
    expect(await plan("--memory", "500MB", "--ctx", String(maxContext + 1))).toMatchObject({ fits: false });
  });

  test("foresees what generate refuses to load, unless forced", async () => {
    const large = ["--kv", "f16", "--ctx", String(1 << 24)];
    const { neededBytes } = await plan(...large);
    expect(neededBytes).toBeGreaterThan(64e9);
    if (neededBytes < os.totalmem()) return;
    const args = ["generate", "-m", textModel, "--raw", "-n", "1", ...large];
    const refused = await air([...args, "The"]);
    expect(refused.status).toBe(1);
    expect(refused.stderr).toMatch(
      /^AIR_ERR_MEMORY: expected \d+\.\d GiB of free memory .* \(--ctx \d+\) saves .* and fits\n/,
    );
    // Forced, it is up to the system, which may refuse so much address space or count on its not being used.
    const forced = await air([...args, "--force", "The"]);
    if (forced.status !== 0) expect(forced.stderr).toMatch(/^AIR_ERR_OUT_OF_MEMORY: /);
  });
});

describe("air chat", () => {
  test("does not wait for a turn after a Ctrl-C during loading", async () => {
    const [stdin, stdout, stderr] = [new PassThrough(), new PassThrough(), new PassThrough()];
    const io = { stdin, stdout, stderr, signal: AbortSignal.abort() };
    expect(await runCli(["chat"], io)).toBe(130);
  });

  test("takes every line of piped stdin as a turn", async () => {
    const { status, stdout } = await air(["chat"], "What is 3 times 4?\n\nWhat is 5 times 6?\n");
    expect({ status, stdout }).toEqual({ status: 0, stdout: "3 times 4 is 12.\n5 times 6 is 30.\n" });
  });

  test("leaves at /exit and starts over at /reset", async () => {
    const { status, stdout } = await air(
      ["chat"],
      "What is 3 times 4?\n/reset\nWhat is 3 times 4?\n/exit\nHello\n",
    );
    expect({ status, stdout }).toEqual({ status: 0, stdout: "3 times 4 is 12.\n3 times 4 is 12.\n" });
  });

  test("keeps its history until the context is full, which is an error when piped", async () => {
    const turns = "What is 3 times 4?\n".repeat(20);
    const { status, stdout, stderr } = await air(["chat", "--ctx", "64"], turns);
    expect(status).toBe(1);
    expect(stdout.split("\n").length).toBeGreaterThan(2);
    expect(stderr).toContain("AIR_ERR_CONTEXT");
  });
});

describe("air perplexity", () => {
  const file = path.join(folder, "text.txt");
  const paragraph =
    "The list of arguments is passed to the function, which returns a new object for each call. ";
  writeFileSync(file, paragraph.repeat(12));
  const score = async (...args: readonly string[]) => {
    const { status, stdout, stderr } = await air([
      "perplexity",
      "-m",
      textModel,
      "-f",
      file,
      "--json",
      ...args,
    ]);
    expect(status, stderr).toBe(0);
    return JSON.parse(stdout) as {
      readonly perplexity: number;
      readonly tokens: number;
      readonly meanNll: number;
    };
  };

  test("scores every token of every whole window", async () => {
    const result = await score("--ctx", "64");
    expect(Object.keys(result)).toEqual(["perplexity", "tokens", "meanNll"]);
    expect(result.tokens % 63).toBe(0);
    expect(result.tokens).toBeGreaterThan(0);
    expect(result.perplexity).toBeCloseTo(Math.exp(result.meanNll), 6);
  });

  test("predicts better with more context, which a smaller stride gives", async () => {
    const [apart, overlapping] = [await score("--ctx", "64"), await score("--ctx", "64", "--stride", "16")];
    expect(overlapping.meanNll).toBeLessThan(apart.meanNll);
  });

  test("refuses a text that is shorter than a window", async () => {
    const { status, stderr } = await air(
      ["perplexity", "-m", textModel, "-f", "-", "--ctx", "64"],
      "Too short.",
    );
    expect(status).toBe(2);
    expect(stderr).toMatch(/^AIR_ERR_ARGUMENT: expected at least 63 tokens /);
  });
});
