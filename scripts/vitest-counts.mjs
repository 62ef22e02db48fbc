// Runs vitest and ends with a countable line: node scripts/vitest-counts.mjs [vitest arguments]
// A test file that fails to load counts as one failure.
import { spawnSync } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import os from "node:os";
import path from "node:path";
import { fileURLToPath } from "node:url";

const root = path.resolve(path.dirname(fileURLToPath(import.meta.url)), "..");
const vitest = path.join(root, "node_modules", "vitest", "vitest.mjs");
const folder = mkdtempSync(path.join(os.tmpdir(), "air-vitest-"));
const report = path.join(folder, "report.json");

function count() {
  const { numPassedTests, numFailedTests, numPendingTests, testResults } = JSON.parse(
    readFileSync(report, "utf8"),
  );
  const broken = testResults.filter(
    (file) => file.status === "failed" && file.assertionResults.length === 0,
  ).length;
  return { passed: numPassedTests, failed: numFailedTests + broken, skipped: numPendingTests };
}

const args = ["run", ...process.argv.slice(2), "--reporter=dot", "--reporter=json", `--outputFile=${report}`];
const { status } = spawnSync(process.execPath, [vitest, ...args], { cwd: root, stdio: "inherit" });
let totals;
try {
  totals = count();
} catch {
  totals = { passed: 0, failed: 1, skipped: 0 };
}
rmSync(folder, { recursive: true });
if (totals.skipped > 0) console.log(`${totals.skipped} skipped`);
console.log(`${totals.passed} passed, ${totals.failed} failed`);
process.exitCode = status === 0 ? 0 : 1;
