// node scripts/cuda-resources.mjs [BUILD] [--write | --check]: registers, spills and shared memory of every CUDA kernel on
// sm_87, from what ptxas said when BUILD (default: build, the addon's) was made, and from the launches that the host
// chooses, which a program of the kernel tests prints. Prints the table of docs/cuda.md; --write puts it there, --check
// compares it with what is there. A build without nvcc is not checked, unless AIR_REQUIRE_TOOLS=1 (CI).
//
// Fails when a matmul or attention kernel spills, when a block takes more shared memory than Orin has, when a log is
// missing, and with --check when the table is stale. Another nvcc than the table's gives other numbers of registers: then
// only its kernels' names are compared.
import { spawnSync } from "node:child_process";
import { existsSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import path from "node:path";
import { fileURLToPath } from "node:url";

const root = path.resolve(path.dirname(fileURLToPath(import.meta.url)), "..");
const target = "sm_87";
const begin = "<!-- resources: scripts/cuda-resources.mjs -->";
const end = "<!-- end of resources -->";
/** The most that a block of sm_87 may have. */
const mostShared = 163 * 1024;

/** The kernels of one log of ptxas -v. */
export function readLog(text) {
  const kernels = [];
  let current;
  for (const line of text.split("\n")) {
    const entry = /Compiling entry function '(\w+)' for '(sm_\d+)'/.exec(line);
    if (entry !== null) {
      current =
        entry[2] === target ? { name: entry[1], stack: 0, spills: 0, registers: 0, shared: 0 } : undefined;
      if (current !== undefined) kernels.push(current);
    }
    if (current === undefined) continue;
    const stack = /(\d+) bytes stack frame, (\d+) bytes spill stores, (\d+) bytes spill loads/.exec(line);
    if (stack !== null)
      Object.assign(current, { stack: Number(stack[1]), spills: Number(stack[2]) + Number(stack[3]) });
    const registers = /Used (\d+) registers/.exec(line);
    if (registers !== null) current.registers = Number(registers[1]);
    const shared = /(\d+) bytes smem/.exec(line);
    if (shared !== null) current.shared = Number(shared[1]);
  }
  return kernels;
}

/** Adds the most dynamic shared memory to kernels, from lines of "kernel bytes". */
export function addDynamicShared(kernels, text) {
  const bytes = new Map(
    text
      .trim()
      .split("\n")
      .map((line) => line.split(" "))
      .map(([name, count]) => [name, Number(count)]),
  );
  return kernels.map((kernel) => ({ ...kernel, dynamic: bytes.get(kernel.name) }));
}

/** What is wrong with these kernels, in sentences. */
export function findFaults(kernels) {
  const heavy = kernels.filter(({ name }) => /matmul|attention/.test(name));
  return [
    ...heavy
      .filter(({ spills }) => spills > 0)
      .map(({ name, spills }) => `${name} spills ${spills} bytes on ${target}`),
    ...kernels
      .filter(({ shared, dynamic = 0 }) => shared + dynamic > mostShared)
      .map(({ name, shared, dynamic = 0 }) => `${name} takes ${shared + dynamic} bytes of shared memory`),
    ...(heavy.length === 0 ? ["there are no matmul and attention kernels"] : []),
  ];
}

/** The table with its markers; `compiler` is "13.0". */
export function renderTable(kernels, compiler) {
  const head = ["kernel", "registers", "spilled bytes", "stack bytes", "static shared", "dynamic shared"];
  const rows = kernels.map(({ name, registers, spills, stack, shared, dynamic }) => [
    `\`${name}\``,
    ...[registers, spills, stack, shared].map(String),
    dynamic === undefined ? "" : String(dynamic),
  ]);
  const widths = head.map((title, column) =>
    Math.max(title.length, ...rows.map((row) => row[column].length)),
  );
  const line = (cells) =>
    `| ${cells.map((cell, i) => (i === 0 ? cell.padEnd(widths[i]) : cell.padStart(widths[i]))).join(" | ")} |`;
  const rule = `| ${widths.map((width, i) => (i === 0 ? "-".repeat(width) : `${"-".repeat(width - 1)}:`)).join(" | ")} |`;
  return [begin, "", `By nvcc ${compiler}.`, "", line(head), rule, ...rows.map(line), "", end].join("\n");
}

/** Whether a document's table says what `wanted` says; of another compiler's, whether it has the same kernels. */
export function isFresh(document, wanted) {
  const [from, to] = [document.indexOf(begin), document.indexOf(end)];
  const written = document.slice(from, to + end.length);
  if (from < 0 || to < 0) return false;
  const compilerOf = (text) => /^By nvcc (\S+)\.$/m.exec(text)?.[1];
  const names = (text) => [...text.matchAll(/^\| `(\w+)`/gm)].map(([, name]) => name).join(" ");
  return compilerOf(written) === compilerOf(wanted) ? written === wanted : names(written) === names(wanted);
}

/** Where ptxas of the target says what it made of each source. */
function logsOf(build) {
  const sources = readdirSync(path.join(root, "kernels/cuda")).filter((name) => name.endsWith(".cu"));
  return sources.map((name) => path.join(build, "cuda", name.replace(/cu$/, `${target}.log`)));
}

function output(command, args) {
  const { status, stdout, error } = spawnSync(command, args, { encoding: "utf8" });
  if (status !== 0) throw new Error(`expected ${command} to run but received ${error?.message ?? status}`);
  return stdout;
}

function readKernels(build) {
  const logs = logsOf(build);
  const missing = logs.filter((log) => !existsSync(log));
  if (missing.length > 0)
    throw new Error(`expected a build with CUDA kernels but there is no ${missing.join(", ")}`);
  const kernels = logs
    .flatMap((log) => readLog(readFileSync(log, "utf8")))
    .sort((a, b) => (a.name < b.name ? -1 : 1));
  const programs = [build, path.join(root, "build-tests")].map((folder) =>
    path.join(folder, "test/kernels/cuda_dynamic_shared"),
  );
  const program = programs.find((file) => existsSync(file));
  if (program === undefined)
    throw new Error(
      `expected ${programs.join(" or ")} but there is none: node scripts/native-tests.mjs kernels`,
    );
  return addDynamicShared(kernels, output(program, []));
}

/** "13.0", of the compiler that made the build. */
function compilerOf(build) {
  const cache = readFileSync(path.join(build, "CMakeCache.txt"), "utf8");
  const nvcc = /^AIR_NVCC:FILEPATH=(.*)$/m.exec(cache)?.[1] ?? "nvcc";
  return /release ([\d.]+)/.exec(output(nvcc, ["--version"]))?.[1];
}

function main(args) {
  const build = path.resolve(root, args.find((arg) => !arg.startsWith("--")) ?? "build");
  const isChecked = process.env["AIR_REQUIRE_TOOLS"] === "1" || !args.includes("--check");
  if (!isChecked && !logsOf(build).some((log) => existsSync(log))) {
    console.log("not checked: resources of CUDA kernels, which were built without nvcc");
    return 0;
  }
  const kernels = readKernels(build);
  const text = renderTable(kernels, compilerOf(build));
  const file = path.join(root, "docs/cuda.md");
  const document = readFileSync(file, "utf8");
  const faults = findFaults(kernels);
  if (args.includes("--write")) {
    const [from, to] = [document.indexOf(begin), document.indexOf(end)];
    if (from < 0 || to < 0) throw new Error(`expected ${begin} and ${end} in ${file}`);
    writeFileSync(file, document.slice(0, from) + text + document.slice(to + end.length));
  } else if (args.includes("--check")) {
    if (!isFresh(document, text))
      faults.push("the table of docs/cuda.md is stale: node scripts/cuda-resources.mjs --write");
  } else {
    console.log(text);
  }
  for (const fault of faults) console.error(fault);
  return faults.length === 0 ? 0 : 1;
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  try {
    process.exitCode = main(process.argv.slice(2));
  } catch (error) {
    console.error(error instanceof Error ? error.message : error);
    process.exitCode = 1;
  }
}
