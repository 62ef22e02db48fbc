import { freemem, totalmem } from "node:os";
import { posix } from "node:path";

import { readNumber, readText } from "../util/system-files.js";

/** "Name: 123 kB" of /proc files, in bytes. */
function readField(text: string | undefined, name: string): number | undefined {
  const kilobytes = new RegExp(`^${name}:\\s+(\\d+) kB$`, "m").exec(text ?? "")?.[1];
  return kilobytes === undefined ? undefined : Number(kilobytes) * 1024;
}

/** Names of a control group's files, by version. */
interface GroupFiles {
  readonly limit: string;
  readonly usage: string;
  /** In memory.stat: file pages that the group may lose. */
  readonly reclaimable: readonly string[];
}
const version1: GroupFiles = {
  limit: "memory.limit_in_bytes",
  usage: "memory.usage_in_bytes",
  reclaimable: ["total_active_file", "total_inactive_file"],
};
const version2: GroupFiles = {
  limit: "memory.max",
  usage: "memory.current",
  reclaimable: ["active_file", "inactive_file"],
};

/** Memory with an end: of the system, or of a control group. */
interface Bound {
  readonly totalBytes: number;
  readonly availableBytes: number;
}

/** A group's limit and what it leaves, page cache not counted as used; none without a limit. */
function groupBounds(group: string, files: GroupFiles): readonly Bound[] {
  const limit = readNumber(`${group}/${files.limit}`);
  const usage = readNumber(`${group}/${files.usage}`);
  if (limit === undefined || usage === undefined) return [];
  const stat = readText(`${group}/memory.stat`) ?? "";
  const reclaimable = files.reclaimable.reduce(
    (sum, name) => sum + Number(new RegExp(`^${name} (\\d+)$`, "m").exec(stat)?.[1] ?? 0),
    0,
  );
  return [{ totalBytes: limit, availableBytes: Math.max(0, limit - usage + Math.min(usage, reclaimable)) }];
}

/**
 * The bounds of the group at mount + path and of all above it, up to the mount. Inside a container the path may be the
 * host's and not exist below the mount: then only what does exist counts.
 */
function boundsAbove(mount: string, path: string, files: GroupFiles): readonly Bound[] {
  let group = path.includes("/..") ? "/" : posix.join("/", path); // ..: of a group outside of what is mounted
  const bounds: Bound[] = [];
  for (;;) {
    bounds.push(...groupBounds(posix.join(mount, group), files));
    if (group === "/") return bounds;
    group = posix.dirname(group);
  }
}

/** The memory limits of this process's control groups. */
function controlGroupBounds(root: string): readonly Bound[] {
  const mount = `${root}/sys/fs/cgroup`;
  const bounds = [...groupBounds(mount, version2)]; // also where /proc is hidden
  for (const line of (readText(`${root}/proc/self/cgroup`) ?? "").split("\n")) {
    // <hierarchy>:<controllers>:<path>; version 2 has no controllers
    const [, controllers, path] = /^\d+:([^:]*):(.+)$/.exec(line) ?? [];
    if (controllers === undefined || path === undefined) continue;
    if (controllers === "") {
      bounds.push(...boundsAbove(mount, path, version2), ...boundsAbove(`${mount}/unified`, path, version2));
    } else if (controllers.split(",").includes("memory")) {
      bounds.push(
        ...boundsAbove(`${mount}/${controllers}`, path, version1),
        ...boundsAbove(`${mount}/memory`, path, version1),
      );
    }
  }
  return bounds;
}

function memoryBounds(root: string): readonly Bound[] {
  const meminfo = readText(`${root}/proc/meminfo`);
  const totalBytes = readField(meminfo, "MemTotal") ?? totalmem();
  const availableBytes = readField(meminfo, "MemAvailable") ?? Math.max(freemem(), totalmem() / 2);
  return [{ totalBytes, availableBytes }, ...controlGroupBounds(root)];
}

/**
 * Bytes that a process can still take before the system swaps or a control group's limit is met. Page cache counts as
 * available in both. Systems without /proc/meminfo call it used, so there at least half of all memory is available.
 *
 * @param root - of the file system that is read, for tests
 */
export function availableMemory(root = ""): number {
  return Math.min(...memoryBounds(root).map(({ availableBytes }) => availableBytes));
}

/**
 * The share of memory that is taken, 0 to 1: of the system's or of a control group's limit, whichever has less left of
 * itself. A small group in a large machine and a large group in a full machine are both strained.
 *
 * @param root - of the file system that is read, for tests
 * @param spareBytes - taken, but can be given back at once; counts as available
 */
export function takenMemory(root = "", spareBytes = 0): number {
  const shares = memoryBounds(root).map(({ totalBytes, availableBytes }) =>
    totalBytes > 0 ? 1 - (availableBytes + spareBytes) / totalBytes : 1,
  );
  return Math.min(1, Math.max(0, ...shares));
}

/** Bytes that this process holds and no file backs: they are missing from availableMemory(). */
export function ownMemory(root = ""): number {
  return readField(readText(`${root}/proc/self/status`), "RssAnon") ?? process.memoryUsage.rss();
}
