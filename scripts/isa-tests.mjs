// Runs the tests that reach the kernels once per instruction set that this machine can use, and checks that an
// unusable AIR_FORCE_ISA is refused rather than replaced.
import { spawnSync } from "node:child_process";
import { createRequire } from "node:module";
import path from "node:path";
import { fileURLToPath } from "node:url";

const root = path.resolve(path.dirname(fileURLToPath(import.meta.url)), "..");
const require = createRequire(import.meta.url);

/** What the scalar reference runs of them: it takes ten times as long, and native tests compare every kernel with it. */
const referenceTests = ["generate", "kv-compression", "native", "pruning"];

/** Integration tests whose results come from kernels; the others would test the same thing each time. */
const tests = [
  "generate",
  "inflate",
  "kv-compression",
  "native",
  "own-policy",
  "pack-cache",
  "pruning",
  "sessions",
  "speculation",
  "windows",
];

/** Calls capabilities() in a new process, because an addon reads AIR_FORCE_ISA once. */
function capabilities(forcedIsa) {
  const script = `
    const addon = require(${JSON.stringify(require.resolve("node-gyp-build"))})(${JSON.stringify(root)});
    try {
      console.log(JSON.stringify(addon.capabilities()));
    } catch (error) {
      console.log(JSON.stringify({ code: error.code, message: error.message }));
    }`;
  const env = { ...process.env };
  delete env["AIR_FORCE_ISA"];
  if (forcedIsa !== undefined) env["AIR_FORCE_ISA"] = forcedIsa;
  const { stdout, stderr } = spawnSync(process.execPath, ["-e", script], { env, encoding: "utf8" });
  process.stderr.write(stderr);
  return JSON.parse(stdout);
}

function testOn(isa) {
  const { activeIsa } = capabilities(isa);
  if (activeIsa !== isa) {
    console.log(`${isa}: expected it to be active but received ${activeIsa}`);
    return { passed: 0, failed: 1 };
  }
  const names = isa === "reference" ? referenceTests : tests;
  const files = names.map((name) => `test/integration/${name}.test.ts`);
  const args = [path.join(root, "scripts", "vitest-counts.mjs"), "--project", "integration", ...files];
  const env = { ...process.env, AIR_FORCE_ISA: isa };
  const { status, stdout, stderr } = spawnSync(process.execPath, args, { cwd: root, env, encoding: "utf8" });
  const counted = /(\d+) passed, (\d+) failed\s*$/.exec(stdout);
  if (status !== 0) console.log(stdout, stderr);
  console.log(`${isa}: ${counted?.[0].trim() ?? "no count"}`);
  return counted ? { passed: Number(counted[1]), failed: Number(counted[2]) } : { passed: 0, failed: 1 };
}

function refusesUnknown() {
  const { code, message } = capabilities("no-such-isa");
  const ok = code === "AIR_ERR_UNSUPPORTED" && message.includes("no-such-isa");
  console.log(
    `no-such-isa: ${ok ? "refused" : `expected AIR_ERR_UNSUPPORTED but received ${code ?? "no error"}`}`,
  );
  return ok ? { passed: 1, failed: 0 } : { passed: 0, failed: 1 };
}

const totals = [...capabilities().isas.map(testOn), refusesUnknown()].reduce((sum, one) => ({
  passed: sum.passed + one.passed,
  failed: sum.failed + one.failed,
}));
console.log(`${totals.passed} passed, ${totals.failed} failed`);
process.exitCode = totals.failed === 0 ? 0 : 1;
