// Results of scripts/gpu-check.sh as a file and as tables.
import os from "node:os";

import { benchTables } from "./tables.mjs";
import { checkTargets } from "./targets.mjs";
import { run } from "./process.mjs";
import { textTable } from "./text.mjs";

/** The machine, by what the stage `build` found, else by nvidia-smi. */
export async function describeMachine({ state, root, env }) {
  const options = { cwd: root, env, log: `${state}/machine.log`, limitSeconds: 20 };
  const query = ["--query-gpu=name,compute_cap,driver_version,memory.total", "--format=csv,noheader"];
  const smi = await run("nvidia-smi", query, options);
  const [gpu, computeCapability, driver, memory] = smi.ok
    ? (smi.output.split("\n")[0] ?? "").split(",").map((part) => part.trim())
    : [];
  return {
    gpu,
    computeCapability,
    driver,
    memory,
    cpu: os.cpus()[0]?.model.trim(),
    cpus: os.availableParallelism(),
    os: `${os.type()} ${os.release()} ${os.arch()}`,
    node: process.version,
  };
}

/** gpu-h100-80gb-hbm3-2026-11-21.json */
export function resultFile({ machine, stages, isTrial }) {
  const loaded = stages.find(({ stage }) => stage === "build")?.loaded?.name;
  const name = (loaded ?? machine.gpu ?? "unknown").replace(/^NVIDIA /, "").toLowerCase();
  const slug = name.replaceAll(/[^a-z0-9]+/g, "-").replaceAll(/^-|-$/g, "");
  return `gpu-${slug}-${new Date().toISOString().slice(0, 10)}${isTrial ? "-trial" : ""}.json`;
}

const percent = (value) => `${(value * 100).toFixed(0)}%`;

/** The stages, the speeds beside PyTorch's, and whether the targets are met. */
export function formatReport({ stages, machine }) {
  const stageRows = stages.map(({ stage, ok, seconds, summary }) => [
    stage,
    ok ? "ok" : "FAILED",
    `${seconds.toFixed(1)} s`,
    summary,
  ]);
  const targets = checkTargets(stages).map(({ what, measured, target, isMet, unit }) => [
    what,
    measured === undefined ? "not measured" : unit === "fraction" ? percent(measured) : measured.toFixed(2),
    `${unit === "at most" ? "at most" : "at least"} ${unit === "fraction" ? percent(target) : target.toFixed(2)}`,
    measured === undefined ? "" : isMet ? "ok" : "MISSED",
  ]);
  return [
    machine.gpu ?? "no nvidia-smi here",
    textTable([["stage", "", "time", ""], ...stageRows]),
    ...benchTables(stages),
    textTable([["target", "measured", "wanted", ""], ...targets]),
  ].join("\n\n");
}
