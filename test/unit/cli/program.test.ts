import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import { PassThrough, Readable } from "node:stream";
import { fileURLToPath } from "node:url";

import { describe, expect, test } from "vitest";

import { runCli } from "../../../lib/cli/program.js";
import { errorCodes } from "../../../lib/errors/air-error.js";

const chatModel = fileURLToPath(new URL("../../../models/air-tiny-chat-q4_0.gguf", import.meta.url));

/** Runs `air` in this process, with text piped in. */
async function air(
  args: readonly string[],
  {
    stdin = "",
    signal = new AbortController().signal,
  }: { readonly stdin?: string | Readable; readonly signal?: AbortSignal } = {},
) {
  const stdout = new PassThrough();
  const stderr = new PassThrough();
  const input = typeof stdin === "string" ? Readable.from([stdin]) : stdin;
  const status = await runCli(args, { stdin: input, stdout, stderr, signal });
  const textOf = (stream: PassThrough) => (stream.read() as Buffer | null)?.toString() ?? "";
  return { status, stdout: textOf(stdout), stderr: textOf(stderr) };
}

const commands = [
  "generate",
  "chat",
  "pull",
  "models",
  "inspect",
  "plan",
  "perplexity",
  "calibrate",
  "bench",
  "tokenize",
  "router",
];

describe("air --help", () => {
  test("names every command", async () => {
    const { status, stdout, stderr } = await air(["--help"]);
    expect(status).toBe(0);
    expect(stderr).toBe("");
    for (const command of commands) expect(stdout).toMatch(new RegExp(`^  ${command} `, "m"));
  });

  test("names the context that perplexity uses, which is not the other commands'", async () => {
    expect((await air(["perplexity", "--help"])).stdout).toContain("context length (default: 512)");
    expect((await air(["generate", "--help"])).stdout).toContain("at most 4096)");
  });

  test.each(commands)("%s explains its options and shows examples", async (command) => {
    const { status, stdout } = await air([command, "--help"]);
    expect(status).toBe(0);
    expect(stdout).toContain(`Usage: air ${command}`);
    expect(stdout).toMatch(new RegExp(`^Examples:\\n(.*\\n)*.*air ${command} `, "m"));
    for (const line of stdout.split("\n")) expect(line.length, line).toBeLessThanOrEqual(120);
  });

  test("goes to stderr, with the status of wrong usage, when nothing was asked", async () => {
    const { status, stdout, stderr } = await air([]);
    expect(status).toBe(2);
    expect(stdout).toBe("");
    expect(stderr).toContain("Usage: air");
  });
});

describe("air help", () => {
  test("shows the overview, with the status of wrong usage, for a command that there is not", async () => {
    const { status, stdout, stderr } = await air(["help", "frobnicate"]);
    expect(status).toBe(2);
    expect(stdout).toBe("");
    expect(stderr).toContain("Usage: air [options] [command]");
    expect(stderr).not.toContain("AIR_ERR_");
  });
});

describe("air --version", () => {
  test("prints the version of the package", async () => {
    expect(await air(["--version"])).toMatchObject({ status: 0, stdout: "0.1.0\n" });
  });
});

describe("air with wrong usage", () => {
  test.each([
    [["frobnicate"], "unknown command 'frobnicate'"],
    [["generate", "--frobnicate", "x"], "unknown option '--frobnicate'"],
    [["generate", "--tmep", "1", "x"], "(Did you mean --temp?)"],
    [["generate", "two", "prompts"], "too many arguments"],
    [["inspect"], "missing required argument 'file'"],
    [["perplexity"], "required option '-f, --file <text>' not specified"],
    [["generate", "-m"], "option '-m, --model <file>' argument missing"],
    [
      ["generate", "-n", "none", "x"],
      'expected a whole number from 1 to 16777216 for -n but received "none"',
    ],
    [["generate", "--kv", "int2", "x"], 'expected int8, f16 or int4 for --kv but received "int2"'],
    [
      ["plan", "--memory", "8G"],
      "expected a size such as 8GiB, 8GB, 512MiB or a number of bytes for --memory",
    ],
    [["plan", "--kv-k", "int2"], 'expected int8, f16 or int4 for --kv-k but received "int2"'],
    [["plan", "--sinks", "4"], "expected --window beside it for --sinks but received 4"],
    [["generate", "--stop", "", "x"], 'expected at least one character for --stop but received ""'],
    [["generate", "--raw", "--system", "s", "x"], "expected no system message with --raw for --system"],
  ])("refuses %j with status 2 and one form of message", async (args, message) => {
    const { status, stdout, stderr } = await air(args);
    expect(status).toBe(2);
    expect(stdout).toBe("");
    const [first, remedy, ...rest] = stderr.split("\n");
    expect(first).toMatch(/^AIR_ERR_ARGUMENT: expected .* but received /);
    expect(first).toContain(message);
    expect(remedy).toBe(errorCodes.AIR_ERR_ARGUMENT.remedy);
    expect(rest).toEqual([""]);
  });

  test("refuses an empty prompt before it loads anything", async () => {
    const { status, stderr } = await air(["generate"], { stdin: "\n" });
    expect(status).toBe(2);
    expect(stderr).toContain('expected at least one character for the prompt but received ""');
  });

  test("answers programs with an object too", async () => {
    const { status, stdout } = await air(["generate", "-n", "0", "--json", "x"]);
    expect(status).toBe(2);
    expect(JSON.parse(stdout)).toEqual({
      error: {
        code: "AIR_ERR_ARGUMENT",
        message: 'expected a whole number from 1 to 16777216 for -n but received "0"',
        remedy: errorCodes.AIR_ERR_ARGUMENT.remedy,
      },
    });
  });
});

describe("air inspect", () => {
  test("shows what is in the file", async () => {
    const { status, stdout } = await air(["inspect", chatModel]);
    expect(status).toBe(0);
    expect(stdout).toMatch(/^architecture +llama$/m);
    expect(stdout).toMatch(/^context +1024 tokens$/m);
    expect(stdout).toMatch(/^Q4_0 +57 +7\.34M +3\.94 MiB$/m);
    expect(stdout).not.toMatch(/undefined|NaN/);
  });

  test("gives programs the same facts", async () => {
    const { stdout } = await air(["inspect", chatModel, "--json"]);
    expect(JSON.parse(stdout)).toMatchObject({
      architecture: "llama",
      parameterCount: 8392960,
      problem: null,
    });
  });

  test("says what stands in the way of a file whose tokenizer is not known", async () => {
    const bytes = readFileSync(chatModel);
    const name = bytes.indexOf("gpt-2", bytes.indexOf("tokenizer.ggml.pre"));
    bytes.write("gpt-9", name);
    const file = path.join(mkdtempSync(path.join(tmpdir(), "air-inspect-")), "model.gguf");
    writeFileSync(file, bytes);
    try {
      const { status, stdout } = await air(["inspect", file, "--json"]);
      expect(status).toBe(0);
      expect(JSON.parse(stdout)).toMatchObject({
        architecture: "llama",
        problem: { code: "AIR_ERR_TOKENIZER", message: expect.stringContaining('received "gpt-9"') },
      });
    } finally {
      rmSync(path.dirname(file), { recursive: true });
    }
  });

  test("fails with status 1 for a file that is not there", async () => {
    const { status, stdout, stderr } = await air(["inspect", "/nowhere/model.gguf", "--json"]);
    expect(status).toBe(1);
    expect(stderr).toContain("/nowhere/model.gguf");
    expect(JSON.parse(stdout)).toMatchObject({ error: { code: "AIR_ERR_IO" } });
  });

  test("fails with AIR_ERR_MODEL_FORMAT for a file that is no model", async () => {
    const { status, stderr } = await air(["inspect", fileURLToPath(import.meta.url)]);
    expect(status).toBe(1);
    expect(stderr).toMatch(/^AIR_ERR_MODEL_FORMAT: expected /);
  });
});

describe("air tokenize", () => {
  test("prints ids that decode to the text, read from stdin as it is", async () => {
    const text = "What is 12 times 7?\n";
    const { status, stdout } = await air(["tokenize", "-m", chatModel, "--json"], { stdin: text });
    expect(status).toBe(0);
    const { tokens } = JSON.parse(stdout) as { readonly tokens: readonly number[] };
    expect(tokens.length).toBeGreaterThan(3);
    const plain = await air(["tokenize", "-m", chatModel], { stdin: text });
    const lines = plain.stdout.trimEnd().split("\n");
    expect(lines.map((line) => Number(line.slice(0, 7)))).toEqual(tokens);
    expect(lines.map((line) => JSON.parse(line.slice(9)) as string).join("")).toBe(text);
  });

  test("takes special tokens for text unless asked", async () => {
    const plain = await air(["tokenize", "-m", chatModel, "--json", "<|end|>"]);
    const special = await air(["tokenize", "-m", chatModel, "--json", "--special", "<|end|>"]);
    expect(JSON.parse(special.stdout)).toEqual({ tokens: [4095] });
    expect(
      (JSON.parse(plain.stdout) as { readonly tokens: readonly number[] }).tokens.length,
    ).toBeGreaterThan(1);
  });

  test("puts BOS first only when asked", async () => {
    const { stdout } = await air(["tokenize", "-m", chatModel, "--json", "--bos", "a"]);
    expect(JSON.parse(stdout)).toMatchObject({ tokens: [4091, expect.any(Number)] });
  });

  test("says that the bundled model is a demo when it stands in", async () => {
    const { stderr } = await air(["tokenize", "a"]);
    expect(stderr).toContain("bundled demo model");
  });
});

describe("air after Ctrl-C", () => {
  test.each(["generate", "tokenize"])("%s does not wait for the end of stdin", async (command) => {
    const controller = new AbortController();
    const running = air([command], { stdin: new PassThrough(), signal: controller.signal });
    setImmediate(() => {
      controller.abort();
    });
    expect(await running).toMatchObject({ status: 130, stdout: "", stderr: "" });
  });

  test("still reports a failure that the signal did not cause", async () => {
    const signal = AbortSignal.abort();
    const { status } = await air(["inspect", "/nowhere/model.gguf"], { signal });
    expect(status).toBe(1);
  });
});
