import { randomUUID } from "node:crypto";
import { open, readFile, readlink, rm, stat, utimes } from "node:fs/promises";
import { setTimeout as sleep } from "node:timers/promises";

import { z } from "zod";

import { AirError, ioError } from "../errors/air-error.js";

/** How locks are kept and waited for; tests hurry it. */
export interface LockTiming {
  readonly pollMs: number;
  /** A live owner touches its lock this often. */
  readonly beatMs: number;
  /** A lock that was not touched for so long belongs to a process that is gone. */
  readonly staleMs: number;
}

/** A stale lock is gone after as many milliseconds, once somebody is at it. */
const claimPollMs = 10;

/** What pulls go by. */
export const defaultLockTiming: LockTiming = { pollMs: 500, beatMs: 5000, staleMs: 60_000 };

function isMissing(thrown: unknown): boolean {
  return (thrown as NodeJS.ErrnoException).code === "ENOENT";
}

/** Milliseconds since the lock was touched; undefined when there is none. */
async function ageMs(path: string): Promise<number | undefined> {
  try {
    return Date.now() - (await stat(path)).mtimeMs;
  } catch (thrown) {
    if (isMissing(thrown)) return undefined;
    throw thrown;
  }
}

/**
 * Where process ids mean the same as here: this boot of this machine, and this namespace of processes. Undefined where
 * the system does not say.
 */
async function processSpace(): Promise<string | undefined> {
  try {
    const boot = await readFile("/proc/sys/kernel/random/boot_id", "utf8");
    return `${boot.trim()} ${await readlink("/proc/self/ns/pid")}`;
  } catch {
    return undefined;
  }
}

const ownerSchema = z.object({ name: z.string(), pid: z.int().min(1), space: z.string().optional() });
type Owner = z.output<typeof ownerSchema>;

/** Undefined for a lock that is not there, or not written yet. */
async function ownerOf(path: string): Promise<Owner | undefined> {
  try {
    return ownerSchema.parse(JSON.parse(await readFile(path, "utf8")));
  } catch {
    return undefined;
  }
}

function isRunning(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch (thrown) {
    return (thrown as NodeJS.ErrnoException).code !== "ESRCH";
  }
}

/** Whether there is a lock whose owner is gone: a process that has ended, or one that has not touched it for long. */
async function isStale(path: string, staleMs: number): Promise<boolean> {
  const age = await ageMs(path);
  if (age === undefined || age >= staleMs) return age !== undefined;
  const owner = await ownerOf(path);
  if (owner?.space === undefined || owner.space !== (await processSpace())) return false;
  return !isRunning(owner.pid);
}

/**
 * A lock between processes: a file that its owner touches, because the folder may be shared by containers and machines,
 * among which process ids mean nothing.
 */
export class FolderLock {
  readonly #path: string;
  readonly #name: string;
  readonly #timer: NodeJS.Timeout;

  private constructor(path: string, name: string, beatMs: number) {
    this.#path = path;
    this.#name = name;
    this.#timer = setInterval(() => {
      void this.#beat();
    }, beatMs);
    this.#timer.unref();
  }

  /**
   * Takes the lock, after its owner is done or gone.
   *
   * @param pause - waits that long, and throws when there is nothing to wait for any more
   * @throws {AirError} AIR_ERR_IO, and what `pause` throws
   */
  static async acquire(
    path: string,
    pause: (ms: number) => Promise<void>,
    timing: LockTiming = defaultLockTiming,
  ): Promise<FolderLock> {
    const space = await processSpace();
    const owner: Owner = { name: randomUUID(), pid: process.pid, ...(space !== undefined && { space }) };
    for (;;) {
      try {
        const handle = await open(path, "wx");
        await handle.writeFile(JSON.stringify(owner)).finally(() => handle.close());
        return new FolderLock(path, owner.name, timing.beatMs);
      } catch (thrown) {
        if ((thrown as NodeJS.ErrnoException).code !== "EEXIST")
          throw ioError(path, "a writable file", thrown);
      }
      if (await isStale(path, timing.staleMs)) await removeStale(path, timing.staleMs);
      else if ((await ageMs(path)) !== undefined) await pause(timing.pollMs);
    }
  }

  /** @throws {AirError} AIR_ERR_BUSY when another process took the lock over, say while this machine was asleep */
  async assertOwned(): Promise<void> {
    if ((await ownerOf(this.#path))?.name === this.#name) return;
    throw new AirError(
      "AIR_ERR_BUSY",
      `expected this process to own ${this.#path} but received a lock that another one took over`,
    );
  }

  async release(): Promise<void> {
    clearInterval(this.#timer);
    const isOwned = await this.assertOwned().then(
      () => true,
      () => false,
    );
    if (isOwned) await rm(this.#path, { force: true });
  }

  async #beat(): Promise<void> {
    const now = new Date();
    await this.assertOwned()
      .then(() => utimes(this.#path, now, now))
      .catch(() => undefined); // assertOwned() says so before anything is put in place
  }
}

/**
 * Removes a stale lock. Of several that find it one does so, under a lock of its own: the others could otherwise remove
 * the one that its successor has just made.
 */
async function removeStale(path: string, staleMs: number): Promise<void> {
  const claim = `${path}.claim`;
  try {
    await (await open(claim, "wx")).close();
  } catch (thrown) {
    if ((thrown as NodeJS.ErrnoException).code !== "EEXIST") throw ioError(path, "a writable file", thrown);
    if (((await ageMs(claim)) ?? 0) >= staleMs) await rm(claim, { force: true });
    await sleep(claimPollMs);
    return;
  }
  try {
    if (await isStale(path, staleMs)) await rm(path, { force: true });
  } finally {
    await rm(claim, { force: true });
  }
}
