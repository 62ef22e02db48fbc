import { spawnSync } from "node:child_process";
import {
  existsSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  utimesSync,
  writeFileSync,
} from "node:fs";
import os from "node:os";
import path from "node:path";
import { setTimeout as sleep } from "node:timers/promises";

import { afterEach, beforeEach, describe, expect, test } from "vitest";

import { FolderLock } from "../../../lib/hub/folder-lock.js";

let folder: string;
let file: string;

beforeEach(() => {
  folder = mkdtempSync(path.join(os.tmpdir(), "air-lock-"));
  file = path.join(folder, "x.lock");
});

afterEach(() => {
  rmSync(folder, { recursive: true });
});

const timing = { pollMs: 5, beatMs: 20, staleMs: 1000 };
const pause = (ms: number): Promise<void> => sleep(ms);
const giveUp = (): Promise<void> => Promise.reject(new Error("taken"));

function age(ms: number): void {
  const then = new Date(Date.now() - ms);
  utimesSync(file, then, then);
}

describe("FolderLock", () => {
  test("belongs to one at a time", async () => {
    let owners = 0;
    let most = 0;
    const work = async (): Promise<void> => {
      const lock = await FolderLock.acquire(file, pause, timing);
      owners += 1;
      most = Math.max(most, owners);
      await sleep(5);
      owners -= 1;
      await lock.release();
    };
    await Promise.all(Array.from({ length: 8 }, work));
    expect(most).toBe(1);
    expect(readdirSync(folder)).toEqual([]);
  });

  test("is not waited for when there is nothing to wait for", async () => {
    const lock = await FolderLock.acquire(file, pause, timing);
    await expect(FolderLock.acquire(file, giveUp, timing)).rejects.toThrow("taken");
    await lock.release();
  });

  test("is taken over from a process that is gone, by one only", async () => {
    writeFileSync(file, "gone");
    age(5000);
    const taken = await Promise.allSettled(
      Array.from({ length: 6 }, () => FolderLock.acquire(file, giveUp, timing)),
    );
    const locks = taken.flatMap((one) => (one.status === "fulfilled" ? [one.value] : []));
    expect(locks.length).toBe(1);
    await locks[0]?.assertOwned();
    await locks[0]?.release();
    expect(readdirSync(folder)).toEqual([]);
  });

  test("is taken over at once from a process of this machine that has ended, and from no other", async () => {
    const { pid } = spawnSync(process.execPath, ["--version"]);
    const lock = await FolderLock.acquire(file, pause, timing);
    const own = JSON.parse(readFileSync(file, "utf8")) as { readonly pid: number; readonly space: string };
    await lock.release();
    expect(own).toMatchObject({ pid: process.pid, space: expect.any(String) as string });
    for (const live of [own, { ...own, pid, space: "another machine" }, { ...own, pid, space: undefined }]) {
      writeFileSync(file, JSON.stringify(live));
      await expect(FolderLock.acquire(file, giveUp, timing)).rejects.toThrow("taken");
    }
    writeFileSync(file, JSON.stringify({ ...own, pid }));
    await (await FolderLock.acquire(file, giveUp, timing)).release();
  });

  test("is touched while its owner lives", async () => {
    const lock = await FolderLock.acquire(file, pause, timing);
    age(900);
    await expect.poll(() => Date.now() - statSync(file).mtimeMs, { timeout: 5000 }).toBeLessThan(500);
    await lock.release();
    expect(existsSync(file)).toBe(false);
  });

  test("that another one took over is neither owned nor released", async () => {
    const lock = await FolderLock.acquire(file, pause, timing);
    writeFileSync(file, "another");
    await expect(lock.assertOwned()).rejects.toMatchObject({ code: "AIR_ERR_BUSY" });
    await lock.release();
    expect(existsSync(file)).toBe(true);
  });

  test("in a folder that is not there is AIR_ERR_IO", async () => {
    const acquiring = FolderLock.acquire(path.join(folder, "none", "x.lock"), pause, timing);
    await expect(acquiring).rejects.toMatchObject({ code: "AIR_ERR_IO" });
  });
});
