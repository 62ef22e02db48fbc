import { readdirSync, readFileSync } from "node:fs";
import { getPriority } from "node:os";
import { setImmediate } from "node:timers/promises";
import { fileURLToPath } from "node:url";

import { beforeAll, beforeEach, describe, expect, test } from "vitest";

import { loadModel } from "../../lib/index.js";
import { loadAddon } from "../../lib/native/load.js";

const model = fileURLToPath(new URL("../../models/air-tiny-chat-draft-q8_0.gguf", import.meta.url));

interface SystemThread {
  readonly id: number;
  readonly nice: number;
  /** The kernel's list of CPUs, such as "0-3". */
  readonly cpus: string;
}

/** What Linux says about the threads of this process. */
function systemThreads(): readonly SystemThread[] {
  return readdirSync("/proc/self/task").map((id) => {
    const read = (name: string): string => readFileSync(`/proc/self/task/${id}/${name}`, "utf8");
    // After the name in parentheses comes field 3, the state; the nice value is field 19.
    const fields = read("stat")
      .replace(/^.*\) /s, "")
      .split(" ");
    const cpus = /^Cpus_allowed_list:\s*(\S+)/m.exec(read("status"))?.[1] ?? "";
    return { id: Number(id), nice: Number(fields[16]), cpus };
  });
}

/** "0,2-3" as [0, 2, 3]. */
function expand(list: string): readonly number[] {
  return list.split(",").flatMap((range) => {
    const [first = 0, last = first] = range.split("-").map(Number);
    return Array.from({ length: last - first + 1 }, (_, index) => first + index);
  });
}

describe("the compute threads of a model", () => {
  const usable = expand(systemThreads()[0]?.cpus ?? "");
  let before: readonly SystemThread[];

  beforeAll(async () => {
    (await loadModel(model)).close(); // Node's own threads have started by then
    await setImmediate();
    before = systemThreads();
  });
  beforeEach(() => setImmediate()); // the model of the test before is closed by then

  const started = (): readonly SystemThread[] => {
    const known = new Set(before.map(({ id }) => id));
    return systemThreads().filter(({ id }) => !known.has(id));
  };

  test("are as many as the addon says, on the CPUs of the process, where nothing was asked", async () => {
    using loaded = await loadModel(model);
    expect(loaded.info.threads).toBe(loadAddon().capabilities().defaultThreads);
  });

  test("are pinned to one CPU each, and no other thread is", async () => {
    using loaded = await loadModel(model, { cpuList: usable });
    expect(loaded.info.threads).toBe(usable.length);
    expect(
      started()
        .map(({ cpus }) => Number(cpus))
        .sort((a, b) => a - b),
    ).toEqual(usable);
    expect(systemThreads()).toEqual(expect.arrayContaining([...before]));
  });

  test("are fewer than the listed CPUs where fewer were asked for", async () => {
    using loaded = await loadModel(model, { cpuList: usable, threads: 1 });
    expect(loaded.info.threads).toBe(1);
    expect(started().map(({ cpus }) => cpus)).toEqual([String(usable[0])]);
  });

  test("have the priority that was asked for, and no other thread has", async () => {
    const nice = Math.max(getPriority(), 10);
    using loaded = await loadModel(model, { priority: "low", threads: 2 });
    expect(loaded.info.threads).toBe(2);
    expect(started().map((thread) => thread.nice)).toEqual([nice, nice]);
    expect(systemThreads()).toEqual(expect.arrayContaining([...before]));
  });

  test("compute the same text wherever they are", async () => {
    const texts: string[] = [];
    for (const options of [{}, { cpuList: usable, priority: "low" as const }]) {
      using loaded = await loadModel(model, options);
      texts.push((await loaded.createSession().generate("The", { maxTokens: 12 }).result).text);
    }
    expect(texts[0]?.length).toBeGreaterThan(0);
    expect(texts[1]).toBe(texts[0]);
  });

  test("cannot be pinned to a CPU that the process may not use, nor be more than listed", async () => {
    await expect(loadModel(model, { cpuList: [usable[0] ?? 0, 65535] })).rejects.toMatchObject({
      code: "AIR_ERR_ARGUMENT",
      message: expect.stringMatching(
        /^expected CPUs that this process may use \(.*\) for cpuList but received 65535$/,
      ),
    });
    await expect(loadModel(model, { cpuList: usable, threads: usable.length + 1 })).rejects.toMatchObject({
      code: "AIR_ERR_ARGUMENT",
      message:
        `expected at most as many threads as cpuList has CPUs (${usable.length}) ` +
        `but received ${usable.length + 1}`,
    });
    expect(started()).toEqual([]);
  });
});
