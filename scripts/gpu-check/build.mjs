// The stage `build`: everything for the device, or a build that was carried here from another machine.
import { copyFileSync, existsSync, mkdirSync, readFileSync } from "node:fs";
import path from "node:path";

import { run } from "./process.mjs";

const settings = [
  "-DCMAKE_BUILD_TYPE=Release",
  "-DAIR_CUDA=ON",
  "-DAIR_BUILD_ADDON=ON",
  "-DAIR_BUILD_KERNEL_TESTS=ON",
  "-DAIR_BUILD_BENCH=ON",
];

/** Prints the devices that the addon finds and what it loads onto the first one. */
const askAddon = `
  const addon = require(process.argv[1]);
  const listed = addon.listCudaDevices();
  if (listed.devices.length === 0) throw new Error(listed.reason);
  console.log(JSON.stringify({ ...listed, loaded: addon.probeCudaDevice(0) }));
`;

/** Whether the folder was configured for another place: then it was carried, and CMake would refuse it. */
function isCarried({ build, root }) {
  const cache = path.join(build, "CMakeCache.txt");
  if (!existsSync(cache)) return existsSync(path.join(build, "air_runtime.node"));
  const home = /^CMAKE_HOME_DIRECTORY:INTERNAL=(.*)$/m.exec(readFileSync(cache, "utf8"))?.[1];
  return home !== root;
}

async function compile(context) {
  const end = performance.now() + context.limitSeconds * 1000;
  const left = () => Math.max(1, (end - performance.now()) / 1000);
  const options = { ...context, cwd: context.root };
  const ninja = (await run("ninja", ["--version"], { ...options, limitSeconds: 20 })).ok;
  const generator = ninja && !existsSync(path.join(context.build, "Makefile")) ? ["-G", "Ninja"] : [];
  const configure = ["-S", context.root, "-B", context.build, ...settings, ...generator];
  const make = ["--build", context.build, "--parallel", String(context.cores)];
  for (const args of [configure, make]) {
    const { ok, status } = await run("cmake", args, { ...options, limitSeconds: left() });
    if (!ok) throw new Error(`expected cmake ${args[0]} to succeed but received ${status}`);
  }
}

/** Builds addon, kernel tests and benches, and asks the addon for its device. */
export async function build(context) {
  const carried = context.isTrial || isCarried(context);
  if (!carried) await compile(context);
  const addon = path.join(context.build, "air_runtime.node");
  if (!existsSync(addon)) throw new Error(`expected ${addon} but there is none`);
  // Where node-gyp-build looks, without touching the package's own build.
  const folder = path.join(context.env["AIR_RUNTIME_PREBUILD"], "build/Release");
  mkdirSync(folder, { recursive: true });
  copyFileSync(addon, path.join(folder, "air_runtime.node"));
  const asked = await run(process.execPath, ["-e", askAddon, addon], {
    ...context,
    cwd: context.root,
    limitSeconds: 120,
  });
  if (!asked.ok) throw new Error(`expected a device of ${addon} but received ${asked.status} (see the log)`);
  const { devices, driverVersion, loaded } = JSON.parse(asked.output);
  const how = carried ? "carried" : "built here";
  return {
    ok: true,
    summary: `${how}; ${loaded.name}, ${loaded.computeCapability}, driver for CUDA ${driverVersion}, ${loaded.image}`,
    carried,
    driverVersion,
    devices,
    loaded,
  };
}
