import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir, totalmem } from "node:os";
import { dirname, join } from "node:path";

import { afterEach, beforeEach, describe, expect, test } from "vitest";

import { availableMemory, ownMemory, takenMemory } from "../../../lib/runtime/available-memory.js";

const mib = 2 ** 20;
let root: string;

beforeEach(() => {
  root = mkdtempSync(join(tmpdir(), "air-available-"));
});
afterEach(() => {
  rmSync(root, { recursive: true });
});

function write(path: string, text: string): void {
  mkdirSync(dirname(join(root, path)), { recursive: true });
  writeFileSync(join(root, path), text);
}

function meminfo(availableMib: number): void {
  write(
    "proc/meminfo",
    `MemTotal: 9000000 kB\nMemFree:  1000 kB\nMemAvailable:  ${availableMib * 1024} kB\n`,
  );
}

/** A version 2 group that uses `used`, of which `cache` is page cache. */
function group2(path: string, max: number | "max", used = 0, cache = 0): void {
  write(`sys/fs/cgroup/${path}/memory.max`, `${max === "max" ? max : max * mib}\n`);
  write(`sys/fs/cgroup/${path}/memory.current`, `${used * mib}\n`);
  const half = (cache * mib) / 2;
  write(
    `sys/fs/cgroup/${path}/memory.stat`,
    `anon 1\nfile ${3 * half}\nactive_file ${half}\ninactive_file ${half}\nworkingset_refault_file 7\n`,
  );
}

describe("availableMemory", () => {
  test("is MemAvailable, which page cache does not lower", () => {
    meminfo(4096);
    expect(availableMemory(root)).toBe(4096 * mib);
  });

  test("is at least half of all memory where there is no /proc, whatever the page cache holds", () => {
    expect(availableMemory(root)).toBeGreaterThanOrEqual(totalmem() / 2);
    expect(availableMemory(root)).toBeLessThanOrEqual(totalmem());
    group2("", 64, 14);
    expect(availableMemory(root)).toBe(50 * mib);
  });

  test("is what the tightest group from the process's up to the root leaves", () => {
    meminfo(4096);
    write("proc/self/cgroup", "0::/service/job\n");
    group2("service", 1000, 400);
    group2("service/job", "max", 300);
    expect(availableMemory(root)).toBe(600 * mib);
    group2("service/job", 500, 300);
    expect(availableMemory(root)).toBe(200 * mib);
    group2("", 900, 850);
    expect(availableMemory(root)).toBe(50 * mib);
  });

  test("counts a group's page cache as available", () => {
    meminfo(4096);
    write("proc/self/cgroup", "0::/job\n");
    group2("job", 1000, 990, 700);
    expect(availableMemory(root)).toBe(710 * mib);
  });

  test("is nothing, not less, for a group above its limit", () => {
    meminfo(4096);
    group2("", 100, 120);
    expect(availableMemory(root)).toBe(0);
  });

  test("reads version 1, mounted by itself or beside other controllers", () => {
    meminfo(4096);
    write("proc/self/cgroup", "4:cpu,cpuacct:/other\n3:memory:/docker/abc\n0::/\n");
    write("sys/fs/cgroup/memory/docker/memory.limit_in_bytes", `${800 * mib}`);
    write("sys/fs/cgroup/memory/docker/memory.usage_in_bytes", `${700 * mib}`);
    write("sys/fs/cgroup/memory/docker/memory.stat", `cache 1\ntotal_inactive_file ${100 * mib}\n`);
    expect(availableMemory(root)).toBe(200 * mib);
    write("sys/fs/cgroup/cpu/other/memory.limit_in_bytes", "1"); // not of the memory controller
    write("sys/fs/cgroup/cpu/other/memory.usage_in_bytes", "0");
    expect(availableMemory(root)).toBe(200 * mib);
  });

  test("takes version 1's default, almost 2^63, for no limit", () => {
    meminfo(4096);
    write("proc/self/cgroup", "3:memory:/\n");
    write("sys/fs/cgroup/memory/memory.limit_in_bytes", "9223372036854771712");
    write("sys/fs/cgroup/memory/memory.usage_in_bytes", "5");
    expect(availableMemory(root)).toBe(4096 * mib);
  });

  test("is held to what exists of a path that is the host's", () => {
    meminfo(4096);
    write("proc/self/cgroup", "0::/host/only/this\n");
    group2("", 512);
    expect(availableMemory(root)).toBe(512 * mib);
    write("proc/self/cgroup", "0::/../outside\n");
    group2("../outside", 1);
    expect(availableMemory(root)).toBe(512 * mib);
  });

  test("reads this machine", () => {
    expect(availableMemory()).toBeGreaterThan(mib);
  });
});

describe("takenMemory", () => {
  test("is the share of the system that is not available", () => {
    write("proc/meminfo", "MemTotal: 8000 kB\nMemFree: 1 kB\nMemAvailable: 2000 kB\n");
    expect(takenMemory(root)).toBeCloseTo(0.75, 9);
    expect(takenMemory(root, 1000 * 1024)).toBeCloseTo(0.625, 9);
    expect(takenMemory(root, 9000 * 1024)).toBe(0);
  });

  test("is that of the tightest group, when that has less left of itself than the system", () => {
    write("proc/meminfo", `MemTotal: ${8192 * 1024} kB\nMemAvailable: ${4096 * 1024} kB\n`);
    group2("", 1000, 900, 100);
    expect(takenMemory(root)).toBeCloseTo(0.8, 9);
    group2("", 1000, 300);
    expect(takenMemory(root)).toBeCloseTo(0.5, 9);
    group2("", 0, 1);
    expect(takenMemory(root)).toBe(1);
  });

  test("is within 0 and 1 on this machine, and where there is no /proc", () => {
    for (const share of [takenMemory(), takenMemory(root)]) {
      expect(share).toBeGreaterThanOrEqual(0);
      expect(share).toBeLessThan(1);
    }
  });
});

describe("ownMemory", () => {
  test("is what no file backs, or all that is resident where that is not known", () => {
    write("proc/self/status", "Name:\tnode\nVmRSS:\t   900 kB\nRssAnon:\t   500 kB\nRssFile:\t 400 kB\n");
    expect(ownMemory(root)).toBe(500 * 1024);
    rmSync(join(root, "proc"), { recursive: true });
    expect(ownMemory(root) / process.memoryUsage.rss()).toBeCloseTo(1, 0);
  });
});
