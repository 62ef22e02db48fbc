// The npm "install" script: makes sure a native addon for this machine is there. A prebuilt or already built
// one is used when it loads; otherwise CMake builds one, without downloading anything.
import { spawnSync } from "node:child_process";
import { existsSync } from "node:fs";
import { createRequire } from "node:module";
import os from "node:os";
import path from "node:path";
import { fileURLToPath } from "node:url";

const root = path.resolve(path.dirname(fileURLToPath(import.meta.url)), "..");
const require = createRequire(import.meta.url);

const compilers = [process.env["CXX"], "c++", "g++", "clang++"].filter(Boolean);
const hints = {
  linux: { cmake: "apt-get install cmake", compiler: "apt-get install g++ make" },
  darwin: { cmake: "brew install cmake", compiler: "xcode-select --install" },
};

function say(line) {
  console.log(`air-runtime: ${line}`);
}

function runs(command) {
  return spawnSync(command, ["--version"], { stdio: "ignore" }).status === 0;
}

/** True when node-gyp-build's choice of addon (build/Release first, then prebuilds/) loads in a new process. */
function addonLoads() {
  const loader = JSON.stringify(require.resolve("node-gyp-build"));
  const script = `require(${loader})(${JSON.stringify(root)})`;
  return spawnSync(process.execPath, ["-e", script], { stdio: "ignore" }).status === 0;
}

function missingTools() {
  const hint = hints[process.platform] ?? { cmake: "see https://cmake.org", compiler: "any C++17 compiler" };
  const missing = [];
  if (!runs("cmake")) missing.push({ name: "CMake 3.20 or newer", install: hint.cmake });
  if (process.platform !== "win32" && !compilers.some(runs)) {
    missing.push({ name: "a C++17 compiler", install: hint.compiler });
  } else if (process.platform === "linux" && !runs("ninja") && !runs("make")) {
    missing.push({ name: "make or ninja", install: "apt-get install make" });
  }
  return missing;
}

function build() {
  const cmakeJs = path.join(path.dirname(require.resolve("cmake-js/package.json")), "bin", "cmake-js");
  const parallel = String(os.availableParallelism());
  const args = [cmakeJs, "compile", "--directory", root, "--parallel", parallel, "--log-level", "warn"];
  return spawnSync(process.execPath, args, { cwd: root, stdio: "inherit" }).status === 0;
}

function main() {
  if (process.env["AIR_SKIP_BUILD"] === "1") {
    say("AIR_SKIP_BUILD=1, leaving the native addon alone");
    return 0;
  }
  if (addonLoads()) {
    say("the native addon is there and loads");
    return 0;
  }
  const missing = missingTools();
  if (missing.length > 0) {
    const platform = `${process.platform}-${process.arch}`;
    console.error(`air-runtime: no prebuilt addon for ${platform} loads here, and building one needs:`);
    for (const tool of missing) console.error(`  - ${tool.name}   (${tool.install})`);
    console.error("Install these and run the command again; AIR_SKIP_BUILD=1 installs without the addon.");
    return 1;
  }
  say("building the native addon with CMake, which takes a minute or two");
  const started = Date.now();
  if (!build()) {
    console.error("air-runtime: the build failed; the compiler's message is above.");
    return 1;
  }
  const seconds = Math.round((Date.now() - started) / 1000);
  if (!existsSync(path.join(root, "build", "Release")) || !addonLoads()) {
    console.error("air-runtime: the build finished, but the addon does not load. Please report this.");
    return 1;
  }
  say(`built the native addon in ${seconds} s`);
  return 0;
}

process.exitCode = main();
