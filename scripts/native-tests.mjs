// Configures, builds and runs the C++ tests: node scripts/native-tests.mjs [address|address-cuda|thread|kernels]
// address-cuda: the CUDA backend on the fake driver, with the address sanitizer.
// kernels: those of the CUDA kernels, in the emulator. They share the plain build's folder, where most is compiled.
// The last line counts tests, not binaries; a binary that died before its own count is one failure.
import { spawnSync } from "node:child_process";
import os from "node:os";
import path from "node:path";
import { fileURLToPath } from "node:url";

const root = path.resolve(path.dirname(fileURLToPath(import.meta.url)), "..");
const cpus = String(os.availableParallelism());
const plain = {
  folder: "build-tests",
  type: "Release",
  // The benches of CUDA kernels run on the fake driver, with tiny shapes.
  options: ["-DAIR_BUILD_TESTS=ON", "-DAIR_BUILD_BENCH=ON", "-DAIR_CUDA=FAKE"],
};
const address = {
  folder: "build-asan",
  type: "Debug",
  options: ["-DAIR_BUILD_TESTS=ON", "-DAIR_SANITIZE=address,undefined"],
};
const builds = {
  plain: { ...plain, choice: ["--label-exclude", "kernels"] },
  address: { ...address, options: [...address.options, "-DAIR_CUDA_TESTS=OFF"] },
  "address-cuda": {
    ...address,
    options: [...address.options, "-DAIR_CUDA_TESTS=ON"],
    choice: ["--tests-regex", "^cuda_"],
  },
  thread: { folder: "build-tsan", type: "Debug", options: ["-DAIR_BUILD_TESTS=ON", "-DAIR_SANITIZE=thread"] },
  kernels: {
    ...plain,
    options: [...plain.options, "-DAIR_BUILD_KERNEL_TESTS=ON"],
    choice: ["--label-regex", "kernels"],
  },
};

function run(command, args, options = {}) {
  const result = spawnSync(command, args, { cwd: root, encoding: "utf8", maxBuffer: 1 << 28, ...options });
  if (result.error) console.error(`${command}: ${result.error.message}`);
  return { ok: result.status === 0, output: `${result.stdout ?? ""}${result.stderr ?? ""}` };
}

function build({ folder, type, options }) {
  const ninja = run("ninja", ["--version"]).ok;
  const configure = [
    "-S",
    root,
    "-B",
    folder,
    `-DCMAKE_BUILD_TYPE=${type}`,
    "-DAIR_BUILD_ADDON=OFF",
    ...options,
  ];
  // Kernels run in the emulator; compiling them for GPUs is the addon's build's.
  if (!options.some((option) => option.startsWith("-DAIR_CUDA="))) configure.push("-DAIR_CUDA=OFF");
  if (ninja) configure.push("-G", "Ninja");
  const steps = [configure, ["--build", folder, "--parallel", cpus]];
  for (const args of steps) {
    const { ok, output } = run("cmake", args);
    if (!ok) {
      console.error(output);
      return false;
    }
  }
  return true;
}

/** Each binary ends with "N passed, M failed"; ctest -V prefixes its lines with the test's number. */
function count(output) {
  const totals = { passed: 0, failed: 0 };
  for (const [, passed, failed] of output.matchAll(/^\d+: (\d+) passed, (\d+) failed$/gm)) {
    totals.passed += Number(passed);
    totals.failed += Number(failed);
  }
  const failedBinaries = (output.match(/\*\*\*(Failed|Exception|Timeout|Not Run)/g) ?? []).length;
  totals.failed = Math.max(totals.failed, failedBinaries);
  return totals;
}

function main(name) {
  const chosen = builds[name];
  if (chosen === undefined) {
    console.error(`expected one of ${Object.keys(builds).join(", ")} but received ${name}`);
    return 2;
  }
  if (!build(chosen)) {
    console.log("0 passed, 1 failed");
    return 1;
  }
  const environment = {
    ASAN_OPTIONS: "detect_leaks=1:strict_string_checks=1",
    UBSAN_OPTIONS: "print_stacktrace=1",
    TSAN_OPTIONS: "halt_on_error=1",
  };
  const { ok, output } = run(
    "ctest",
    ["--test-dir", chosen.folder, "-V", "--timeout", "600", "--parallel", cpus, ...(chosen.choice ?? [])],
    {
      env: { ...process.env, ...environment },
    },
  );
  const totals = count(output);
  if (!ok) console.error(output);
  if (!ok && totals.failed === 0) totals.failed = 1;
  console.log(`${totals.passed} passed, ${totals.failed} failed`);
  return ok && totals.passed > 0 ? 0 : 1;
}

process.exitCode = main(process.argv[2] ?? "plain");
