import { createHash } from "node:crypto";
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

import { afterEach, beforeEach, describe, expect, test } from "vitest";

import { sinkWindow } from "../../../lib/cache/sink-window.js";
import type { GenerateOptions } from "../../../lib/runtime/options.js";
import type { Session } from "../../../lib/runtime/session.js";
import { createDice } from "../../support/dice.js";
import { createFakeModel, type FakeModelOptions } from "../../support/fake-model.js";

const prompt = "the quick brown fox jumps over the lazy dog. ".repeat(2);
const options: GenerateOptions = { maxTokens: 20, ignoreEos: true };
const damaged = expect.objectContaining({ code: "AIR_ERR_SESSION_FILE" }) as Error;

let folder: string;
let file: string;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "air-session-"));
  file = join(folder, "session.air");
});
afterEach(() => {
  rmSync(folder, { recursive: true });
});

/** A session that has generated a text, and that text. */
async function createUsed(modelOptions: FakeModelOptions = {}): Promise<{ session: Session; text: string }> {
  const session = createFakeModel(modelOptions).model.createSession();
  const { text } = await session.generate(prompt, options).result;
  return { session, text: prompt + text };
}

async function goOn(session: Session, text: string): Promise<{ text: string; reusedTokens: number }> {
  const { text: generated, reusedTokens } = await session.generate(`${text}. and`, options).result;
  return { text: generated, reusedTokens };
}

describe("session.save and session.restore", () => {
  test("go on in another process as without them, computing nothing again", async () => {
    const { session, text } = await createUsed();
    await session.save(file);
    const expected = await goOn(session, text);
    const restored = createFakeModel().model.createSession();
    await restored.restore(file);
    expect(await goOn(restored, text)).toEqual(expected);
    expect(expected.reusedTokens).toBeGreaterThan(100);
    expect(readdirSync(folder)).toEqual(["session.air"]);
  });

  test("keep the messages of a conversation", async () => {
    const session = createFakeModel().model.createSession({ system: "be kind" });
    await session.chat("hello there", options).result;
    await session.save(file);
    const expected = await session.chat("and again", options).result;
    const restored = createFakeModel().model.createSession();
    await restored.restore(file);
    expect(restored.messages).toEqual(session.messages.slice(0, 3));
    const answer = await restored.chat("and again", options).result;
    expect([answer.text, answer.reusedTokens]).toEqual([expected.text, expected.reusedTokens]);
  });

  test("keep what a window left", async () => {
    const policy = sinkWindow({ windowTokens: 20, sinkTokens: 3 });
    const { session, text } = await createUsed({ policy });
    await session.save(file);
    const expected = await goOn(session, text);
    const restored = createFakeModel({ policy }).model.createSession();
    await restored.restore(file);
    expect(await goOn(restored, text)).toEqual(expected);
    expect(expected.reusedTokens).toBeGreaterThan(100);
    const whole = createFakeModel().model.createSession();
    await expect(whole.restore(file)).rejects.toThrow('policy "keep-all"');
  });

  test("save an empty session", async () => {
    await createFakeModel().model.createSession({ system: "be kind" }).save(file);
    const restored = (await createUsed({ prefixCache: false })).session;
    await restored.restore(file);
    expect(restored.messages).toEqual([{ role: "system", content: "be kind" }]);
    expect((await goOn(restored, prompt)).reusedTokens).toBe(0);
  });

  test("take over the text alone where there is no room for its pages", async () => {
    const { session, text } = await createUsed();
    await session.save(file);
    const expected = await goOn(session, text);
    const { model } = createFakeModel({ kvTokens: 80 });
    const restored = model.createSession();
    await restored.restore(file);
    expect(model.stats.freePages).toBe(model.stats.usablePages);
    const { result } = restored.generate(`${text}. and`, options);
    await expect(result).rejects.toMatchObject({ code: "AIR_ERR_KV_EXHAUSTED" });
    const roomy = createFakeModel().model.createSession();
    expect((await goOn(roomy, text)).text).toBe(expected.text);
  });

  test("take pages from idle sessions", async () => {
    const { session, text } = await createUsed();
    await session.save(file);
    const { model } = createFakeModel({ kvTokens: 160, prefixCache: false });
    await model.createSession().generate("a".repeat(100), options).result;
    const restored = model.createSession();
    await restored.restore(file);
    expect((await goOn(restored, text)).reusedTokens).toBeGreaterThan(100);
  });

  test("work between the steps of other sessions", async () => {
    const { session, text } = await createUsed();
    await session.save(file);
    const expected = await goOn(session, text);
    const { model, addon } = createFakeModel({ contextTokens: 512 });
    const other = model.createSession().generate("b", { ...options, maxTokens: 200 });
    while (addon.controls.batches.length < 3) await new Promise((resolve) => setImmediate(resolve));
    const restored = model.createSession();
    await restored.restore(file);
    expect(await goOn(restored, text)).toEqual(expected);
    await restored.save(join(folder, "again"));
    await other.result;
  });

  test("save a text without pages when others take them meanwhile", async () => {
    const { model } = createFakeModel({ kvTokens: 160, prefixCache: false });
    const session = model.createSession();
    await session.generate(prompt, options).result;
    const saving = session.save(file);
    // Takes every page before the first read of the file system comes back.
    await Promise.all([saving, model.createSession().generate("a".repeat(140), options).result]);
    const restored = createFakeModel({ kvTokens: 160 }).model.createSession();
    await restored.restore(file);
    expect((await goOn(restored, prompt)).reusedTokens).toBe(0);
  });

  test("never give restored pages to other sessions", async () => {
    const { session, text } = await createUsed();
    await session.save(file);
    const { model } = createFakeModel();
    const restored = model.createSession();
    await restored.restore(file);
    await goOn(restored, text);
    expect((await goOn(model.createSession(), text)).reusedTokens).toBe(0);
  });

  test("leave no room for a generation meanwhile", async () => {
    const { session } = await createUsed();
    const busy = expect.objectContaining({ code: "AIR_ERR_BUSY" }) as Error;
    const saving = session.save(file);
    expect(() => session.generate(prompt)).toThrow(busy);
    expect(() => session.fork()).toThrow(busy);
    await expect(session.restore(file)).rejects.toThrow(busy);
    await saving;
    const generation = session.generate(prompt, options);
    await expect(session.save(file)).rejects.toThrow(busy);
    await expect(session.restore(file)).rejects.toThrow(busy);
    await generation.result;
    session.close();
    const isClosed = expect.objectContaining({ code: "AIR_ERR_CLOSED" }) as Error;
    await expect(session.save(file)).rejects.toThrow(isClosed);
    await expect(session.restore(file)).rejects.toThrow(isClosed);
  });

  test("reject when the session is closed meanwhile, and leave no pages behind", async () => {
    const { session } = await createUsed();
    await session.save(file);
    const { model } = createFakeModel();
    const other = model.createSession();
    const restoring = other.restore(file);
    other.close();
    await expect(restoring).rejects.toMatchObject({ code: "AIR_ERR_CLOSED" });
    expect(model.stats.freePages).toBe(model.stats.usablePages);
  });

  test("report what the file system refuses as AIR_ERR_IO", async () => {
    const { session } = await createUsed();
    const refused = { code: "AIR_ERR_IO" };
    await expect(session.save(join(folder, "missing", "file"))).rejects.toMatchObject(refused);
    await expect(session.save(folder)).rejects.toMatchObject(refused);
    await expect(session.restore(join(folder, "missing"))).rejects.toMatchObject(refused);
    await expect(session.restore(folder)).rejects.toMatchObject(refused);
    expect(readdirSync(folder)).toEqual([]);
  });
});

describe("a session file that cannot be used", () => {
  let session: Session;
  let text: string;
  let bytes: Buffer;
  beforeEach(async () => {
    ({ session, text } = await createUsed());
    await session.save(file);
    bytes = readFileSync(file);
  });

  /** Restoring these bytes fails and changes nothing. */
  async function expectRefused(changed: Uint8Array, message?: RegExp): Promise<void> {
    writeFileSync(file, changed);
    await expect(session.restore(file)).rejects.toThrow(damaged);
    if (message !== undefined) await expect(session.restore(file)).rejects.toThrow(message);
  }

  /** A file of this header that is whole otherwise. */
  function withHeader(change: (header: Record<string, unknown>) => void, pageBytes?: number): Buffer {
    const length = bytes.readUInt32LE(12);
    const header = JSON.parse(bytes.subarray(24, 24 + length).toString()) as Record<string, unknown>;
    change(header);
    const pages = bytes.subarray(24 + length, -32).subarray(0, pageBytes);
    return assemble(Buffer.from(JSON.stringify(header)), pages);
  }

  function assemble(header: Buffer, pages: Buffer, version = 1): Buffer {
    const prologue = Buffer.from(bytes.subarray(0, 24));
    prologue.writeUInt32LE(version, 8);
    prologue.writeUInt32LE(header.length, 12);
    prologue.writeBigUInt64LE(BigInt(pages.length), 16);
    const whole = Buffer.concat([prologue, header, pages]);
    return Buffer.concat([whole, createHash("sha256").update(whole).digest()]);
  }

  test("is detected after any change of one byte, and the session goes on as before", async () => {
    const dice = createDice(1);
    const headerEnd = 24 + bytes.readUInt32LE(12);
    const sampled = Array.from({ length: 600 }, () => dice(bytes.length));
    const structure = [...Array(24).keys(), headerEnd - 1, headerEnd, bytes.length - 33];
    const offsets = new Set([
      ...structure,
      ...Array.from({ length: 60 }, (_, i) => bytes.length - 1 - i),
      ...sampled,
    ]);
    expect(offsets.size).toBeGreaterThan(500);
    for (const offset of offsets) {
      const changed = Buffer.from(bytes);
      changed[offset] = (changed[offset] ?? 0) ^ (1 << dice(8));
      await expectRefused(changed);
    }
    const untouched = (await createUsed()).session;
    expect(await goOn(session, text)).toEqual(await goOn(untouched, text));
  });

  test("is detected when its pages are damaged, also where there is no room for them", async () => {
    const changed = Buffer.from(bytes);
    changed[bytes.length - 40] = (changed[bytes.length - 40] ?? 0) ^ 1;
    writeFileSync(file, changed);
    const small = createFakeModel({ kvTokens: 80 }).model.createSession();
    await expect(small.restore(file)).rejects.toThrow(damaged);
  });

  test("is detected when cut anywhere, or longer than it should be", async () => {
    const headerEnd = 24 + bytes.readUInt32LE(12);
    const page = (bytes.length - 32 - headerEnd) / Math.ceil((bytes.length - 32 - headerEnd) / 192);
    const cuts = [0, 1, 7, 8, 12, 16, 23, 24, 25, 55, 56, headerEnd - 1, headerEnd, headerEnd + page];
    for (const cut of [...cuts, bytes.length - 33, bytes.length - 32, bytes.length - 31, bytes.length - 1]) {
      await expectRefused(bytes.subarray(0, cut));
    }
    await expectRefused(Buffer.concat([bytes, Buffer.of(0)]));
    await expectRefused(Buffer.concat([bytes, bytes]));
  });

  test("is one of another kind, or of another version", async () => {
    await expectRefused(
      Buffer.from("a text file that is long enough to be something else, ".repeat(4)),
      /another kind/,
    );
    const length = bytes.readUInt32LE(12);
    const parts = [bytes.subarray(24, 24 + length), bytes.subarray(24 + length, -32)] as const;
    await expectRefused(assemble(...parts, 0), /version 0/);
    await expectRefused(assemble(...parts, 2), /version 2/);
    writeFileSync(file, assemble(...parts));
    await session.restore(file);
  });

  test("is one of another model, or of other settings", async () => {
    const identity = (change: Record<string, unknown>) => (header: Record<string, unknown>) => {
      header["identity"] = { ...(header["identity"] as object), ...change };
    };
    await expectRefused(withHeader(identity({ model: "another" })), /this model .* another/);
    await expectRefused(withHeader(identity({ keys: "f16" })), /int8 keys.*f16 keys/);
    await expectRefused(withHeader(identity({ values: "f16" })), /f16 values/);
    await expectRefused(withHeader(identity({ heads: "abc" })), /no heads file.*heads file abc/);
    const { session: other } = await createUsed({ pageTokens: 32 });
    writeFileSync(file, bytes);
    await expect(other.restore(file)).rejects.toThrow(/pages of 32.*pages of 16/);
  });

  test.each<[string, (header: Record<string, unknown>) => void, number?]>([
    ["an unknown field", (header) => (header["more"] = 1)],
    ["a missing field", (header) => delete header["tokens"]],
    ["a token that is none", (header) => ((header["tokens"] as unknown[])[3] = "a")],
    ["a token past the vocabulary", (header) => ((header["tokens"] as number[])[3] = 1e6)],
    ["fewer tokens than entries", (header) => (header["tokens"] as number[]).pop()],
    ["a role that is none", (header) => (header["messages"] = [{ role: "admin", content: "" }])],
    ["a table longer than its pages", (header) => ((header["table"] as { length: number }).length += 100)],
    ["a negative length", (header) => ((header["table"] as { length: number }).length = -1)],
    ["pages of another size", (header) => (header["bytesPerPage"] = [96])],
    ["pages of more groups", (header) => (header["bytesPerPage"] = [192, 192])],
    [
      "more pages than there are bytes",
      (header) => (header["table"] as { pagePositions: number[][] }).pagePositions[0]?.push(4096),
    ],
    ["fewer bytes than pages", () => undefined, 192],
  ])("is one with %s, whatever its checksum says", async (_name, change, pageBytes) => {
    await expectRefused(withHeader(change, pageBytes));
  });

  test("is one whose header is no JSON", async () => {
    await expectRefused(assemble(Buffer.from("{"), Buffer.alloc(0)), /JSON/);
  });
});

describe("session.fork", () => {
  test("gives a session that goes on from the same text and messages, by itself", async () => {
    const { model } = createFakeModel();
    const session = model.createSession({ system: "be kind" });
    await session.chat("hello there", options).result;
    const fork = session.fork();
    const [one, other] = await Promise.all([
      session.chat("one way", options).result,
      fork.chat("the other", options).result,
    ]);
    expect(session.messages.map(({ content }) => content).slice(3, 4)).toEqual(["one way"]);
    expect(fork.messages.map(({ content }) => content).slice(3, 4)).toEqual(["the other"]);
    for (const [messages, answer] of [
      [session.messages, one],
      [fork.messages, other],
    ] as const) {
      const alone = createFakeModel().model.createSession();
      expect((await alone.generate(messages.slice(0, 4), options).result).text).toBe(answer.text);
      expect(answer.reusedTokens).toBeGreaterThan(30);
    }
    session.close();
    expect((await fork.chat("once more", options).result).text).not.toBe("");
    fork.close();
    expect(model.stats.freePages).toBe(model.stats.usablePages);
    expect(() => fork.fork()).toThrow(expect.objectContaining({ code: "AIR_ERR_CLOSED" }));
  });

  test("keeps to the tenant's salt", async () => {
    const { model } = createFakeModel();
    const session = model.createSession({ cacheSalt: "tenant" });
    await session.generate(prompt, options).result;
    const fork = session.fork();
    session.close();
    fork.close();
    const stranger = await model.createSession().generate(prompt, options).result;
    expect(stranger.reusedTokens).toBe(0);
    const same = await model.createSession({ cacheSalt: "tenant" }).generate(prompt, options).result;
    expect(same.reusedTokens).toBeGreaterThan(60);
    expect(same.text).toBe(stranger.text);
  });
});
