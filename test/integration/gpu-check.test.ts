/** scripts/gpu-check.sh with a build whose programs are scripts: what becomes of results when things go wrong. */
import { spawnSync } from "node:child_process";
import { chmodSync, mkdirSync, mkdtempSync, readFileSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";

import { afterEach, beforeEach, describe, expect, test } from "vitest";

const root = fileURLToPath(new URL("../../", import.meta.url));
let folder: string;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "air-gpu-check-"));
});
afterEach(() => {
  rmSync(folder, { recursive: true });
});

/** A program of the build, in shell. */
function program(name: string, text: string): void {
  const file = join(folder, "build", name);
  mkdirSync(dirname(file), { recursive: true });
  writeFileSync(file, `#!/bin/sh\n${text}\n`);
  chmodSync(file, 0o755);
}

interface Stage {
  readonly stage: string;
  readonly ok: boolean;
  readonly summary: string;
  readonly passed?: number;
  readonly failed?: number;
}

function check(...args: readonly string[]) {
  const { status, stdout, stderr } = spawnSync(
    join(root, "scripts/gpu-check.sh"),
    [...args, "--build", join(folder, "build"), "--out", join(folder, "out")],
    { encoding: "utf8", env: { ...process.env, NODE: process.execPath, CUDA_PATH: join(folder, "toolkit") } },
  );
  const read = (): { readonly stages: readonly Stage[] } => {
    const [name = "none"] = readdirSync(join(folder, "out"));
    return JSON.parse(readFileSync(join(folder, "out", name), "utf8")) as {
      readonly stages: readonly Stage[];
    };
  };
  return { status, stdout, stderr, read };
}

const fractions = { micros: 10, gbps: 1, tflops: 1, worst_error: 0 };
const matmul = (rows: number, bandwidth: number, ceiling: number) => ({
  ...{ kind: "int4", outputs: 4096, k: 4096, rows, kernel: "x", ...fractions },
  ...{ bandwidth_fraction: bandwidth, ceiling_fraction: ceiling },
});

describe("scripts/gpu-check.sh", () => {
  test("keeps the result of every stage when others fail, also over several calls", () => {
    program("test/kernels/kernels_cuda_norm_test", 'echo "3 passed, 0 failed"');
    program("test/kernels/kernels_cuda_matmul_test", 'echo "2 passed, 1 failed"; exit 1');
    program("test/kernels/kernels_cuda_crash_test", "kill -SEGV $$");
    const first = check("kernels", "build", "--trial"); // which compiles nothing
    expect(first.status).toBe(1);
    expect(first.stdout).toMatch(/^kernels +FAILED .* 5 passed, 2 failed .*crash_test .*matmul_test$/m);
    expect(first.stdout).toMatch(/^build +FAILED/m);

    program("test/kernels/kernels_cuda_matmul_test", 'echo "3 passed, 0 failed"');
    rmSync(join(folder, "build/test/kernels/kernels_cuda_crash_test"));
    const second = check("kernels", "--trial");
    expect(second.status).toBe(1); // the build is still known to have failed
    const { stages } = second.read();
    expect(stages).toMatchObject([
      { stage: "build", ok: false },
      { stage: "kernels", ok: true, passed: 6, failed: 0 },
    ]);
    expect(readFileSync(join(folder, "build/check/kernels.log"), "utf8")).toContain("3 passed, 0 failed");
  });

  test("ends what takes too long, and records that", () => {
    program("test/kernels/kernels_cuda_slow_test", 'sleep 60; echo "1 passed, 0 failed"');
    const { status, read } = check("kernels", "--limit", "1");
    expect(status).toBe(1);
    expect(read().stages).toMatchObject([{ stage: "kernels", ok: false, passed: 0, failed: 1 }]);
    expect(readFileSync(join(folder, "build/check/kernels.log"), "utf8")).toContain("-> timeout");
  });

  test("runs both tools of the sanitizer over tests of kernels, and counts what they find", () => {
    for (const name of ["norm", "matmul", "emulator_faults", "matmul_planted"])
      program(`test/kernels/kernels_cuda_${name}_test`, "exit 0");
    const found = `case "$*" in *racecheck*matmul*) echo "RACECHECK SUMMARY: 2 hazards"; exit 9;; esac; echo "ERROR SUMMARY: 0 errors"`;
    program("../toolkit/bin/compute-sanitizer", found);
    const { status, read } = check("sanitizer");
    expect(status).toBe(1);
    const [stage] = read().stages;
    expect(stage?.summary).toBe("3 of 4 clean; racecheck kernels_cuda_matmul_test: 2 errors, 9");
  });

  test("sets speeds beside their targets", () => {
    const head = { device: "GPU", read_gbps: 100, copy_gbps: 100, matrix_tflops: 10 };
    const results = [matmul(1, 0.8, 0.1), matmul(8, 0.7, 0.2), matmul(512, 0.1, 0.6)];
    program("cuda_matmul_bench", `echo '${JSON.stringify({ ...head, results })}'`);
    const deep = { case: "8B decode", kv: "int8", depth: 8192, rows: 1, ...fractions };
    const attention = [{ ...deep, bandwidth_fraction: 0.72, ceiling_fraction: 0.1 }];
    program("cuda_attention_bench", `echo '${JSON.stringify({ ...head, results: attention })}'`);
    const { stdout } = check("bench");
    expect(stdout).toMatch(/^int4 matmul of 1 to 8 rows.* 70% +at least 75% +MISSED$/m);
    expect(stdout).toMatch(/^int4 matmul of 512 rows.* 60% +at least 50% +ok$/m);
    expect(stdout).toMatch(/^int8 attention .* 72% +at least 70% +ok$/m);
    expect(stdout).toMatch(/^8-row verification.* not measured +at most 1\.15$/m);
    expect(stdout).toMatch(/^int4 4096 x 4096 +512 /m);
  });

  test("refuses a stage that it does not know", () => {
    const { status, stderr } = check("kernel");
    expect(status).toBe(2);
    expect(stderr).toContain("expected stages of build, kernels");
  });
});
