// What scripts/gpu-check.sh can do. Each stage gets its context and returns { ok, summary, .. }, what it measured included.
import { existsSync, mkdtempSync, readdirSync, rmSync, statSync } from "node:fs";
import os from "node:os";
import path from "node:path";

import { build } from "./build.mjs";
import { countTests, inParallel, run } from "./process.mjs";

/** Seconds left of a stage that began just now. */
function timer({ limitSeconds }) {
  const end = performance.now() + limitSeconds * 1000;
  return () => Math.max(1, (end - performance.now()) / 1000);
}

function parseJson(text, what) {
  try {
    return JSON.parse(text);
  } catch {
    throw new Error(`expected JSON of ${what} but received ${JSON.stringify(text.slice(0, 80))}`);
  }
}

function kernelTests({ build: folder }) {
  const tests = path.join(folder, "test/kernels");
  const names = existsSync(tests) ? readdirSync(tests) : [];
  const programs = names.filter((name) => /^kernels_cuda_\w+_test$/.test(name)).sort();
  if (programs.length === 0) throw new Error(`expected kernel tests in ${tests} but there are none`);
  return programs.map((name) => path.join(tests, name));
}

const onDevice = { AIR_KERNEL_TESTS_DEVICE: "cuda" };

/** The kernel tests, on the device instead of the emulator. */
async function kernels(context) {
  const left = timer(context);
  // The fake driver has no probes of single instructions.
  const programs = kernelTests(context).filter((name) => !context.isTrial || !name.includes("_instructions"));
  const results = await inParallel(programs, Math.min(4, context.cores), async (program) => {
    const env = { ...context.env, ...onDevice };
    const result = await run(program, [], { ...context, cwd: context.root, env, limitSeconds: left() });
    return { program: path.basename(program), status: result.status, ...countTests(result) };
  });
  const sum = (key) => results.reduce((total, result) => total + result[key], 0);
  const [passed, failed] = [sum("passed"), sum("failed")];
  const bad = results.filter((result) => result.failed > 0).map(({ program }) => program);
  return {
    ok: failed === 0 && passed > 0,
    summary: [`${passed} passed, ${failed} failed`, ...bad].join(" "),
    passed,
    failed,
    results,
  };
}

/** The Node tests that use a device; without a GPU they fail, in a trial they take the fake driver. */
async function suite(context) {
  const env = { ...context.env, ...(context.isTrial ? {} : { AIR_REQUIRE_GPU: "1" }) };
  const projects = context.isTrial ? ["gpu"] : ["gpu", "gpu-suite"];
  const counts = path.join(context.root, "scripts/vitest-counts.mjs");
  const args = [counts, ...projects.flatMap((name) => ["--project", name])];
  const limitSeconds = context.limitSeconds;
  const result = await run(process.execPath, args, { ...context, cwd: context.root, env, limitSeconds });
  const { passed, failed } = countTests(result);
  return {
    ok: failed === 0 && passed > 0,
    summary: `${passed} passed, ${failed} failed (${result.status})`,
    passed,
    failed,
  };
}

function findSanitizer(env) {
  const toolkits = [env["CUDA_PATH"], env["CUDA_HOME"], "/usr/local/cuda"].filter((folder) => folder);
  const folders = [
    ...(env["PATH"] ?? "").split(path.delimiter),
    ...toolkits.flatMap((folder) => [`${folder}/bin`, `${folder}/compute-sanitizer`]),
  ];
  return folders.map((folder) => path.join(folder, "compute-sanitizer")).find((file) => existsSync(file));
}

/** These test the emulator: on a device they have nothing to do, or kernels that are wrong on purpose. */
const emulatorsOwn = /emulator_faults|planted/;

/** memcheck and racecheck of every kernel test. */
async function sanitizer(context) {
  const left = timer(context);
  const program = findSanitizer(context.env);
  if (program === undefined)
    throw new Error("expected compute-sanitizer in PATH or the toolkit but found none");
  const runs = ["memcheck", "racecheck"].flatMap((tool) =>
    kernelTests(context)
      .filter((test) => !emulatorsOwn.test(test))
      .map((test) => ({ tool, test })),
  );
  const results = await inParallel(runs, Math.min(4, context.cores), async ({ tool, test }) => {
    const env = { ...context.env, ...onDevice };
    const args = ["--tool", tool, "--error-exitcode", "9", "--report-api-errors", "no", test];
    const result = await run(program, args, { ...context, cwd: context.root, env, limitSeconds: left() });
    const errors = /ERROR SUMMARY: (\d+)|RACECHECK SUMMARY: (\d+)/.exec(result.output);
    const found = Number(errors?.[1] ?? errors?.[2] ?? NaN);
    return { tool, test: path.basename(test), status: result.status, errors: found };
  });
  const bad = results.filter(({ status, errors }) => status !== 0 || errors !== 0);
  const list = bad.map(({ tool, test, status, errors }) => `${tool} ${test}: ${errors} errors, ${status}`);
  return {
    ok: bad.length === 0,
    summary: [`${results.length - bad.length} of ${results.length} clean`, ...list].join("; "),
    results,
  };
}

/** The kernels' speeds beside what the device can do and, where PyTorch is installed, PyTorch's. */
async function bench(context) {
  const left = timer(context);
  const trial = context.isTrial ? ["--trial"] : [];
  const measured = {};
  const missing = [];
  for (const name of ["matmul", "attention"]) {
    const program = path.join(context.build, `cuda_${name}_bench`);
    const options = { ...context, cwd: context.root, limitSeconds: left() };
    const result = await run(program, ["--json", ...trial], options);
    if (result.ok) measured[name] = parseJson(result.output, program);
    else missing.push(`${name}: ${result.status}`);
  }
  const script = path.join(context.root, "bench/kernels/torch_bench.py");
  const options = { ...context, cwd: context.root, limitSeconds: left() };
  const torch = await run("python3", [script, ...trial], options);
  if (torch.ok) measured.torch = parseJson(torch.output, script);
  const names = Object.keys(measured).join(", ") || "nothing";
  const without = torch.ok ? [] : [`no PyTorch (${torch.status})`];
  return {
    ok: missing.length === 0,
    summary: [`measured ${names}`, ...missing, ...without].join("; "),
    measured,
  };
}

const shape = "7b";

/** A file of a 7B model's shape, made from the bundled model; the caller removes it. */
async function inflate(context, folder, limitSeconds) {
  const file = path.join(folder, `${shape}-q4_0.gguf`);
  const source = path.join(context.root, "models/air-tiny-large-q4_0.gguf");
  const args = ["--import", "tsx", "bench/models/inflate.ts", source, file, "--shape", shape];
  const result = await run(process.execPath, args, { ...context, cwd: context.root, limitSeconds });
  if (!result.ok)
    throw new Error(`expected ${file} of bench/models/inflate.ts but received ${result.status}`);
  return file;
}

/** `air bench` on the device, of AIR_GPU_MODEL or of a 7B shape; in a trial of the bundled model. */
async function model(context) {
  const left = timer(context);
  const folder = mkdtempSync(path.join(os.tmpdir(), "air-gpu-"));
  try {
    const bundled = path.join(context.root, "models/air-tiny-chat-draft-q8_0.gguf");
    const given = context.env["AIR_GPU_MODEL"] ?? (context.isTrial ? bundled : undefined);
    const file = given ?? (await inflate(context, folder, left()));
    const sizes = context.isTrial
      ? ["-p", "3", "-n", "1", "-d", "0", "-b", "1"]
      : ["-p", "512", "-n", "64", "-d", "0,2048,8192", "-b", "1,2,4,8,16"];
    const cli = ["--import", "tsx", "lib/cli/main.ts", "bench", "-m", file, "--device", "cuda", "--json"];
    // The bandwidth is measured on a part of the free memory, of which the fake driver had better have little.
    const env = { ...context.env, ...(context.isTrial ? { AIR_FAKE_CUDA: `memory=${2 ** 28}` } : {}) };
    const options = { ...context, env, cwd: context.root, limitSeconds: left() };
    const result = await run(process.execPath, [...cli, ...sizes], options);
    if (!result.ok) throw new Error(`expected a report of air bench but received ${result.status}`);
    const report = parseJson(result.output, "air bench");
    const decode = report.results.find(({ test }) => test === "decode");
    return {
      ok: true,
      summary: `decode ${decode.tokensPerSecond.toFixed(1)} tok/s, ${(report.bandwidth.decodeFraction * 100).toFixed(0)}% of the bandwidth`,
      fileBytes: statSync(file).size,
      report,
    };
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

export const stages = { build, kernels, suite, sanitizer, bench, model };
