// Cross-compiles the kernels and the core for 64-bit ARM and runs their tests under qemu:
// node scripts/arm64-tests.mjs [short]
// Says nothing about speed, but every bit of a result is the one that real hardware gives. Runs twice: as a CPU
// that has every instruction set, and as one without matrix multiplications (i8mm), which must not be offered them.
import { spawnSync } from "node:child_process";
import os from "node:os";
import path from "node:path";
import { fileURLToPath } from "node:url";

const root = path.resolve(path.dirname(fileURLToPath(import.meta.url)), "..");
const folder = "build-arm64";
const cpus = String(os.availableParallelism());
const compiler = "aarch64-linux-gnu-g++";
const emulator = "qemu-aarch64-static";
/** Every kernel alone, and whole models with all of them. */
const shortTests = [
  "isa_test",
  "kernels_matmul_test",
  "kernels_ops_test",
  "kernels_attention_test",
  "runner_test",
  "weights_test",
  "activity_test",
  "hadamard_test",
  "page_mass_test",
  "random_batches_test",
  "selection_test",
];
/** What is the same C++ on every machine, on top of the same kernels. */
const longTests = ["propose_test", "pruning_test", "windows_test"];
const tests = process.argv[2] === "short" ? shortTests : [...shortTests, ...longTests];
const runs = [
  { names: tests, env: { QEMU_CPU: "max", AIR_REQUIRE_ISAS: "1" } },
  { names: ["isa_test", "kernels_matmul_test", "runner_test"], env: { QEMU_CPU: "cortex-a76" } },
];

function run(command, args, env = {}) {
  const options = { cwd: root, encoding: "utf8", maxBuffer: 1 << 28, env: { ...process.env, ...env } };
  const { status, stdout, stderr } = spawnSync(command, args, options);
  return { ok: status === 0, output: `${stdout ?? ""}${stderr ?? ""}` };
}

function build() {
  const configure = ["-S", root, "-B", folder, "-DAIR_BUILD_ADDON=OFF", "-DAIR_BUILD_TESTS=ON"];
  configure.push("-DCMAKE_SYSTEM_NAME=Linux", "-DCMAKE_SYSTEM_PROCESSOR=aarch64");
  configure.push(`-DCMAKE_CXX_COMPILER=${compiler}`);
  configure.push(`-DCMAKE_CROSSCOMPILING_EMULATOR=${emulator};-L;/usr/aarch64-linux-gnu`);
  if (run("ninja", ["--version"]).ok) configure.push("-G", "Ninja");
  const compile = ["--build", folder, "--parallel", cpus, "--target", ...tests];
  for (const args of [configure, compile]) {
    const { ok, output } = run("cmake", args);
    if (!ok) {
      console.error(output);
      return false;
    }
  }
  return true;
}

/** Counts what the binaries printed; one that died before its own count is one failure. */
function runTests({ names, env }) {
  const args = ["--test-dir", folder, "-V", "--timeout", "900", "-R", `^(${names.join("|")})$`];
  args.push("--parallel", cpus);
  const { ok, output } = run("ctest", args, env);
  const counts = [...output.matchAll(/^\d+: (\d+) passed, (\d+) failed$/gm)];
  const sum = (index) => counts.reduce((total, count) => total + Number(count[index]), 0);
  const missing = names.length - counts.length;
  const failed = Math.max(sum(2) + missing, ok ? 0 : 1);
  if (failed > 0) console.error(output);
  return { passed: sum(1), failed };
}

const missing = [compiler, emulator].filter((tool) => !run(tool, ["--version"]).ok);
if (missing.length > 0) {
  console.log(`not checked: arm64 (missing ${missing.join(" and ")})`);
  process.exitCode = process.env["AIR_REQUIRE_TOOLS"] === "1" ? 1 : 0;
} else {
  const counts = build() ? runs.map(runTests) : [{ passed: 0, failed: 1 }];
  const sum = (name) => counts.reduce((total, count) => total + count[name], 0);
  console.log(`${sum("passed")} passed, ${sum("failed")} failed`);
  process.exitCode = sum("failed") === 0 ? 0 : 1;
}
