import { readFileSync } from "node:fs";
import { arch, cpus, release, totalmem, type } from "node:os";

import type { CpuIsa, NativeAddon } from "../native/native.js";

/** Where a measurement was made. */
export interface MachineInfo {
  readonly cpu: string;
  /** Logical CPUs that this process may use. */
  readonly cpus: number;
  readonly isa: CpuIsa;
  readonly memoryBytes: number;
  readonly os: string;
  readonly node: string;
}

/** Boards name themselves here where the kernel knows no CPU model. */
const deviceTreeModel = "/proc/device-tree/model";

function cpuName(): string {
  const name = cpus()[0]?.model.trim() ?? "";
  if (name !== "" && name !== "unknown") return name;
  try {
    return readFileSync(deviceTreeModel, "utf8").replaceAll("\0", "").trim();
  } catch {
    return "unknown";
  }
}

/** Describes the machine that this process runs on. */
export function describeMachine(addon: Pick<NativeAddon, "capabilities">): MachineInfo {
  const { activeIsa, cpus: usableCpus } = addon.capabilities();
  return {
    cpu: cpuName(),
    cpus: usableCpus,
    isa: activeIsa,
    memoryBytes: totalmem(),
    os: `${type()} ${release()} ${arch()}`,
    node: process.version,
  };
}
