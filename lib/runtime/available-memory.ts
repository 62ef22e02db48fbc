import { readFileSync } from "node:fs";
import { freemem, totalmem } from "node:os";
import { posix } from "node:path";

/** A text file of the system's, or undefined where there is none. */
function readSystem(path: string): string | undefined {
  try {
    return readFileSync(path, "utf8");
  } catch {
    return undefined;
  }
}

/** Bytes in a file of one number; undefined for "max", and where there is no file. */
function readBytes(path: string): number | undefined {
  const bytes = Number(readSystem(path)?.trim() ?? Number.NaN);
  return Number.isFinite(bytes) ? bytes : undefined;
}

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

/** What a group's limit leaves, page cache not counted as used; Infinity without a limit. */
function groupRoom(group: string, files: GroupFiles): number {
  const limit = readBytes(`${group}/${files.limit}`);
  const usage = readBytes(`${group}/${files.usage}`);
  if (limit === undefined || usage === undefined) return Infinity;
  const stat = readSystem(`${group}/memory.stat`) ?? "";
  const reclaimable = files.reclaimable.reduce(
    (sum, name) => sum + Number(new RegExp(`^${name} (\\d+)$`, "m").exec(stat)?.[1] ?? 0),
    0,
  );
  return Math.max(0, limit - usage + Math.min(usage, reclaimable));
}

/**
 * The least that the group at mount + path and all above it leave, down to the mount. Inside a container the path may be
 * the host's and not exist below the mount: then only what does exist counts.
 */
function leastRoomAbove(mount: string, path: string, files: GroupFiles): number {
  let group = path.includes("/..") ? "/" : posix.join("/", path); // ..: of a group outside of what is mounted
  let least = Infinity;
  for (;;) {
    least = Math.min(least, groupRoom(posix.join(mount, group), files));
    if (group === "/") return least;
    group = posix.dirname(group);
  }
}

/** What the memory limits of this process's control groups leave; Infinity without any. */
function controlGroupRoom(root: string): number {
  const mount = `${root}/sys/fs/cgroup`;
  let least = groupRoom(mount, version2); // also where /proc is hidden
  for (const line of (readSystem(`${root}/proc/self/cgroup`) ?? "").split("\n")) {
    // <hierarchy>:<controllers>:<path>; version 2 has no controllers
    const [, controllers, path] = /^\d+:([^:]*):(.+)$/.exec(line) ?? [];
    if (controllers === undefined || path === undefined) continue;
    if (controllers === "") {
      least = Math.min(
        least,
        leastRoomAbove(mount, path, version2),
        leastRoomAbove(`${mount}/unified`, path, version2),
      );
    } else if (controllers.split(",").includes("memory")) {
      least = Math.min(
        least,
        leastRoomAbove(`${mount}/${controllers}`, path, version1),
        leastRoomAbove(`${mount}/memory`, path, version1),
      );
    }
  }
  return least;
}

/**
 * Bytes that a process can still take before the system swaps or a control group's limit is met. Page cache counts as
 * available in both. Systems without /proc/meminfo call it used, so there at least half of all memory is available.
 *
 * @param root - of the file system that is read, for tests
 */
export function availableMemory(root = ""): number {
  const available = readField(readSystem(`${root}/proc/meminfo`), "MemAvailable");
  return Math.min(available ?? Math.max(freemem(), totalmem() / 2), controlGroupRoom(root));
}

/** Bytes that this process holds and no file backs: they are missing from availableMemory(). */
export function ownMemory(root = ""): number {
  return readField(readSystem(`${root}/proc/self/status`), "RssAnon") ?? process.memoryUsage.rss();
}
