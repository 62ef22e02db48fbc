// The test runner: node scripts/test.mjs [quick|isa|arm64|long|sanitize|all|step name ..]
// Runs the steps in order, those that only read two at a time, one line each, and the whole output of a step that fails. A step whose output ends in
// "N passed, N failed" counts as that many tests; any other step is one check. The last line is the sum.
import { spawn } from "node:child_process";
import path from "node:path";
import { fileURLToPath } from "node:url";

const root = path.resolve(path.dirname(fileURLToPath(import.meta.url)), "..");
const modules = path.join(root, "node_modules");

const steps = {
  addon: [path.join(modules, "cmake-js", "bin", "cmake-js"), "compile", "--log-level", "warn"],
  dist: ["scripts/build-ts.mjs"],
  lint: [path.join(modules, "eslint", "bin", "eslint.js"), "--max-warnings", "0", "."],
  format: ["scripts/check-format.mjs"],
  types: [path.join(modules, "typescript", "bin", "tsc"), "-p", "tsconfig.json"],
  "types-page": [path.join(modules, "typescript", "bin", "tsc"), "-p", "lib/server/page/tsconfig.json"],
  layering: [path.join(modules, "dependency-cruiser", "bin", "dependency-cruise.mjs"), "lib"],
  unit: ["scripts/vitest-counts.mjs", "--project", "unit"],
  native: ["scripts/native-tests.mjs"],
  cuda: ["scripts/native-tests.mjs", "kernels"],
  "cuda-images": ["scripts/cuda-images.mjs"],
  "cuda-resources": ["scripts/cuda-resources.mjs", "--check"],
  integration: ["scripts/vitest-counts.mjs", "--project", "integration"],
  isa: ["scripts/isa-tests.mjs"],
  arm64: ["scripts/arm64-tests.mjs"],
  "arm64-short": ["scripts/arm64-tests.mjs", "short"],
  long: ["scripts/vitest-counts.mjs", "--project", "long"],
  "sanitize-address": ["scripts/native-tests.mjs", "address"],
  "sanitize-address-cuda": ["scripts/native-tests.mjs", "address-cuda"],
  "sanitize-thread": ["scripts/native-tests.mjs", "thread"],
};
/** Steps of one thread that change nothing: neighbours among them run side by side. */
const readers = new Set(["lint", "format", "types", "types-page", "layering"]);
const lanes = 2;
const quick = [
  ...["addon", "dist", "lint", "format", "types", "types-page", "layering", "unit", "native", "cuda"],
  ...["cuda-images", "cuda-resources", "integration"],
];
const groups = {
  quick,
  isa: ["isa"],
  long: ["long"],
  sanitize: ["sanitize-address", "sanitize-address-cuda", "sanitize-thread"],
  all: [...quick, "isa", "arm64", "long", "sanitize-address", "sanitize-address-cuda", "sanitize-thread"],
};

function run(args) {
  return new Promise((resolve) => {
    const child = spawn(process.execPath, args, { cwd: root, stdio: ["ignore", "pipe", "pipe"] });
    let output = "";
    const collect = (chunk) => {
      output += chunk;
    };
    child.stdout.setEncoding("utf8").on("data", collect);
    child.stderr.setEncoding("utf8").on("data", collect);
    child.on("close", (status) => resolve({ ok: status === 0, output }));
  });
}

function count({ ok, output }) {
  const counted = /(\d+) passed, (\d+) failed\s*$/.exec(output);
  if (counted === null) return { passed: ok ? 1 : 0, failed: ok ? 0 : 1, tests: false };
  const failed = Number(counted[2]);
  return { passed: Number(counted[1]), failed: ok ? failed : Math.max(1, failed), tests: true };
}

/** Lines that a passing step still has to show. */
function notices(output) {
  return output
    .split("\n")
    .filter((line) => /^(not checked:|\d+ skipped$|\S+: (\d+ passed|refused))/.test(line));
}

async function runStep(name) {
  const started = performance.now();
  const result = await run(steps[name]);
  const { passed, failed, tests } = count(result);
  const seconds = ((performance.now() - started) / 1000).toFixed(1).padStart(6);
  const detail = tests ? `  ${passed} passed, ${failed} failed` : "";
  console.log(`${name.padEnd(18)}${failed === 0 ? "ok    " : "FAILED"}${seconds} s${detail}`);
  if (failed === 0) for (const line of notices(result.output)) console.log(`${" ".repeat(18)}${line.trim()}`);
  else console.log(`${result.output.trimEnd()}\n`);
  return { passed, failed };
}

const names = (process.argv.length > 2 ? process.argv.slice(2) : ["quick"]).flatMap(
  (name) => groups[name] ?? [name],
);
const unknown = names.filter((name) => !(name in steps));
if (unknown.length > 0) {
  const known = [...Object.keys(groups), ...Object.keys(steps)].join(", ");
  console.error(`expected one of ${known} but received ${unknown.join(", ")}`);
  process.exit(2);
}
const totals = { passed: 0, failed: 0 };
const queue = [...names];

/** Runs the next step, and goes on with those that may run beside its neighbours. */
async function runLane() {
  let name;
  do {
    name = queue.shift();
    const { passed, failed } = await runStep(name);
    totals.passed += passed;
    totals.failed += failed;
  } while (readers.has(name) && readers.has(queue[0]));
}

while (queue.length > 0) {
  const side = readers.has(queue[0]) && readers.has(queue[1]) ? lanes : 1;
  await Promise.all(Array.from({ length: side }, runLane));
}
console.log(`${totals.passed} passed, ${totals.failed} failed`);
process.exitCode = totals.failed === 0 ? 0 : 1;
