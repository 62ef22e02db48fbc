import { Command } from "commander";

import { AirError } from "../errors/air-error.js";
import { loadAddon } from "../native/load.js";
import type { CudaDevices, LoadedDevice, NativeAddon } from "../native/native.js";
import { formatBytes } from "../util/quantities.js";
import { type CliIo, write, writeJson } from "./io.js";

interface DoctorOptions {
  readonly json?: boolean;
}

const examples = `
Examples:
  air doctor
  air doctor --json`;

/** What came of loading the kernels onto a device. */
interface Probe {
  readonly index: number;
  readonly loaded?: LoadedDevice;
  /** Why they did not load. */
  readonly problem?: string;
}

function probe(addon: NativeAddon, index: number): Probe {
  try {
    return { index, loaded: addon.probeCudaDevice(index) };
  } catch (error) {
    if (error instanceof AirError) return { index, problem: error.message };
    throw error;
  }
}

function kernelLine({ loaded, problem }: Probe): string {
  if (loaded === undefined) return `no kernels: ${problem ?? "no reason was given"}`;
  const refused =
    loaded.sassRefused === undefined ? "" : `; compiled ones were refused: ${loaded.sassRefused}`;
  const from = { sass: "compiled kernels", ptx: "kernels from PTX", mixed: "kernels partly from PTX" }[
    loaded.image
  ];
  return `${from}, loaded in ${(loaded.imageMicros / 1000).toFixed(1)} ms${refused}`;
}

function cudaLines(
  { devices, reason, driverVersion }: CudaDevices,
  probes: readonly Probe[],
): readonly string[] {
  if (devices.length === 0) return [`CUDA: none (${reason ?? "the driver has no devices"})`];
  return [
    `CUDA: driver for ${driverVersion ?? "an unknown version"}`,
    ...devices.flatMap((device, index) => [
      `  ${device.index}: ${device.name}, compute capability ${device.computeCapability}, ` +
        `${device.multiprocessors} multiprocessors, ${formatBytes(device.freeBytes)} of ` +
        `${formatBytes(device.totalBytes)} free${device.isIntegrated ? " (the system's memory)" : ""}`,
      `     ${kernelLine(probes[index] ?? { index })}`,
    ]),
  ];
}

async function run(io: CliIo, options: DoctorOptions): Promise<void> {
  const addon = loadAddon();
  const cpu = addon.capabilities();
  const cuda = addon.listCudaDevices();
  const probes = cuda.devices.map(({ index }) => probe(addon, index));
  if (options.json === true) return writeJson(io, { cpu, cuda: { ...cuda, probes } });
  const lines = [
    `Node ${process.version} on ${process.platform}-${process.arch}`,
    `CPU: ${cpu.activeIsa} of ${cpu.isas.join(", ")}; ${cpu.defaultThreads} threads on ${cpu.cpus} CPUs`,
    ...cudaLines(cuda, probes),
  ];
  await write(io.stdout, lines.map((line) => `${line}\n`).join(""));
}

/** `air doctor`: what this machine and this build can do. */
export function doctorCommand(io: CliIo): Command {
  return new Command("doctor")
    .summary("show what this machine can run models on")
    .description(
      "Shows the CPU instruction sets and CUDA devices that models can run on, and why a device cannot be used.",
    )
    .option("--json", "print it as JSON")
    .addHelpText("after", examples)
    .action((options: DoctorOptions) => run(io, options));
}
