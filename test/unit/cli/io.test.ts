import { PassThrough, Readable, Writable } from "node:stream";

import { describe, expect, test } from "vitest";

import { type CliIo, readStdin, readText, textArgument, write } from "../../../lib/cli/io.js";

function ioWith(stdin: Readable & { isTTY?: boolean }, signal = new AbortController().signal): CliIo {
  const sink = new PassThrough();
  return { stdin, stdout: sink, stderr: sink, signal };
}

describe("readStdin", () => {
  test("joins a character that was split between chunks", async () => {
    const [first, second] = [Buffer.from([0xe2, 0x82]), Buffer.from([0xac])];
    expect(await readStdin(ioWith(Readable.from([first, second])))).toBe("\u20ac");
  });

  test("replaces bytes that are not UTF-8", async () => {
    const stdin = Readable.from([Buffer.from([0x61, 0xff, 0x62])]);
    expect(await readStdin(ioWith(stdin))).toBe("a\ufffdb");
  });

  test("stops waiting for the rest on Ctrl-C", async () => {
    const controller = new AbortController();
    const reading = readStdin(ioWith(new PassThrough(), controller.signal));
    controller.abort();
    await expect(reading).rejects.toMatchObject({ code: "AIR_ERR_CANCELLED" });
  });

  test("reports a stdin that cannot be read with AIR_ERR_IO", async () => {
    const broken = new Readable({
      read() {
        this.destroy(new Error("EISDIR"));
      },
    });
    await expect(readStdin(ioWith(broken))).rejects.toMatchObject({
      code: "AIR_ERR_IO",
      message: "expected readable text for stdin but received EISDIR",
    });
  });
});

describe("textArgument", () => {
  test("prefers the argument and leaves stdin alone", async () => {
    const stdin = Readable.from(["piped"]);
    expect(await textArgument(ioWith(stdin), "argument")).toBe("argument");
    expect(stdin.readableDidRead).toBe(false);
  });

  test("takes an empty argument for what it is", async () => {
    expect(await textArgument(ioWith(Readable.from(["piped"])), "")).toBe("");
  });

  test("reads piped stdin as it is", async () => {
    expect(await textArgument(ioWith(Readable.from(["one\n", "two\n"])), undefined)).toBe("one\ntwo\n");
  });

  test("does not wait for somebody to type", async () => {
    const stdin = Object.assign(new PassThrough(), { isTTY: true });
    expect(await textArgument(ioWith(stdin), undefined)).toBeUndefined();
  });
});

describe("readText", () => {
  test("names the file that it could not read", async () => {
    const promise = readText(ioWith(Readable.from([])), "/nowhere/text.txt");
    await expect(promise).rejects.toMatchObject({
      code: "AIR_ERR_IO",
      message: expect.stringContaining("/nowhere/text.txt"),
    });
  });

  test("reads stdin for a dash", async () => {
    expect(await readText(ioWith(Readable.from(["abc"])), "-")).toBe("abc");
  });
});

describe("write", () => {
  test("waits for a slow reader", async () => {
    const release: (() => void)[] = [];
    const slow = new Writable({
      highWaterMark: 1,
      write: (_chunk, _encoding, done) => {
        release.push(done);
      },
    });
    let finished = false;
    const writing = write(slow, "text").then(() => {
      finished = true;
    });
    await new Promise(setImmediate);
    expect(finished).toBe(false);
    release[0]?.();
    await writing;
    expect(finished).toBe(true);
  });

  test("leaves no listeners behind, however often it waits", async () => {
    const slow = new Writable({
      highWaterMark: 1,
      write: (_chunk, _encoding, done) => {
        setImmediate(done);
      },
    });
    const count = () => slow.eventNames().reduce((sum, name) => sum + slow.listenerCount(name), 0);
    const before = count();
    for (let index = 0; index < 3; index += 1) await write(slow, "text");
    expect(count()).toBe(before);
  });

  test("gives up when the reader is gone", async () => {
    const gone = new Writable({ write: () => undefined });
    gone.destroy();
    await expect(write(gone, "text")).resolves.toBeUndefined();
  });
});
