// The stages of scripts/gpu-check.sh, one after the other. Each leaves BUILD/check/STAGE.json and STAGE.log; all that are
// there become one file of results and a table at the end of every call, so stages can be run in calls of their own.
import { existsSync, mkdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import os from "node:os";
import path from "node:path";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";

import { describeMachine, formatReport, resultFile } from "./report.mjs";
import { stages } from "./stages.mjs";

const root = path.resolve(path.dirname(fileURLToPath(import.meta.url)), "../..");
/** One call of the script should end within ten minutes. */
const stageSeconds = 560;

function readOptions() {
  const { values, positionals } = parseArgs({
    allowPositionals: true,
    options: {
      build: { type: "string", default: process.env["AIR_GPU_BUILD"] ?? path.join(root, "build-gpu") },
      out: { type: "string", default: path.join(root, "bench/results") },
      limit: { type: "string", default: String(stageSeconds) },
      trial: { type: "boolean", default: false },
    },
  });
  const names = positionals.length > 0 ? positionals : Object.keys(stages);
  const unknown = names.filter((name) => !(name in stages));
  if (unknown.length > 0) {
    throw new Error(
      `expected stages of ${Object.keys(stages).join(", ")} but received ${unknown.join(", ")}`,
    );
  }
  if (!(Number(values.limit) > 0))
    throw new Error(`expected seconds for --limit but received ${values.limit}`);
  return { ...values, build: path.resolve(values.build), out: path.resolve(values.out), names };
}

/** Runs one stage. What it throws is its failure. */
async function runStage(name, context) {
  const log = path.join(context.state, `${name}.log`);
  rmSync(log, { force: true });
  writeFileSync(log, "");
  const started = performance.now();
  let result;
  try {
    result = await stages[name]({ ...context, log });
  } catch (error) {
    result = { ok: false, summary: error instanceof Error ? error.message : String(error) };
  }
  const seconds = Math.round((performance.now() - started) / 100) / 10;
  const record = { stage: name, ...result, seconds, ended: new Date().toISOString() };
  writeFileSync(path.join(context.state, `${name}.json`), `${JSON.stringify(record, null, 2)}\n`);
  const verdict = record.ok ? "ok" : "FAILED";
  console.log(
    `${name.padEnd(10)} ${verdict.padEnd(7)} ${seconds.toFixed(1).padStart(6)} s  ${record.summary}`,
  );
  return record;
}

async function main() {
  const options = readOptions();
  const state = path.join(options.build, "check");
  mkdirSync(state, { recursive: true });
  mkdirSync(options.out, { recursive: true });
  const env = { ...process.env, AIR_RUNTIME_PREBUILD: path.join(options.build, "package") };
  const context = {
    root,
    build: options.build,
    state,
    env,
    isTrial: options.trial,
    cores: os.availableParallelism(),
    limitSeconds: Number(options.limit),
  };
  for (const name of options.names) await runStage(name, context);

  const records = Object.keys(stages)
    .map((name) => path.join(state, `${name}.json`))
    .filter((file) => existsSync(file))
    .map((file) => JSON.parse(readFileSync(file, "utf8")));
  const machine = await describeMachine(context);
  const report = { machine, isTrial: options.trial, stages: records };
  const file = path.join(options.out, resultFile(report));
  writeFileSync(file, `${JSON.stringify(report, null, 2)}\n`);
  console.log(
    `\n${formatReport(report)}\n\nresults in ${path.relative(process.cwd(), file)}, logs in ${state}`,
  );
  return records.every(({ ok }) => ok) ? 0 : 1;
}

try {
  process.exitCode = await main();
} catch (error) {
  console.error(error instanceof Error ? error.message : error);
  process.exitCode = 2;
}
