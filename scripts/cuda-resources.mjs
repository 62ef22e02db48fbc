// node scripts/cuda-resources.mjs [BUILD] [--write]: registers, spills and stack of every CUDA kernel on sm_87, from what
// ptxas said when BUILD (default: build) was made. Prints the table of docs/cuda.md, or puts it there; fails when a matmul
// or attention kernel spills, or when a log is missing.
import { existsSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import path from "node:path";
import { fileURLToPath } from "node:url";

const root = path.resolve(path.dirname(fileURLToPath(import.meta.url)), "..");
const target = "sm_87";
const begin = "<!-- resources: scripts/cuda-resources.mjs -->";
const end = "<!-- end of resources -->";

/** The kernels of one log of ptxas -v. */
export function readLog(file, text) {
  const kernels = [];
  let current;
  for (const line of text.split("\n")) {
    const entry = /Compiling entry function '(\w+)' for '(sm_\d+)'/.exec(line);
    if (entry !== null) {
      current =
        entry[2] === target
          ? { file, name: entry[1], stack: 0, spills: 0, registers: 0, shared: 0 }
          : undefined;
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

function table(kernels) {
  const head = ["kernel", "registers", "spilled bytes", "stack bytes", "static shared bytes"];
  const rows = kernels.map(({ name, registers, spills, stack, shared }) => [
    `\`${name}\``,
    ...[registers, spills, stack, shared].map(String),
  ]);
  const widths = head.map((title, column) =>
    Math.max(title.length, ...rows.map((row) => row[column].length)),
  );
  const line = (cells) =>
    `| ${cells.map((cell, i) => (i === 0 ? cell.padEnd(widths[i]) : cell.padStart(widths[i]))).join(" | ")} |`;
  const rule = `| ${widths.map((width, i) => (i === 0 ? "-".repeat(width) : `${"-".repeat(width - 1)}:`)).join(" | ")} |`;
  return [line(head), rule, ...rows.map(line)].join("\n");
}

function main(args) {
  const build = path.resolve(root, args.find((arg) => !arg.startsWith("--")) ?? "build");
  const folder = path.join(build, "cuda");
  const sources = readdirSync(path.join(root, "kernels/cuda")).filter((name) => name.endsWith(".cu"));
  const missing = sources.filter((name) => !existsSync(path.join(folder, name.replace(/cu$/, "log"))));
  if (missing.length > 0) {
    console.error(
      `expected a build with CUDA kernels in ${build} but there are no logs of ${missing.join(", ")}`,
    );
    return 1;
  }
  const kernels = sources
    .sort()
    .flatMap((name) => readLog(name, readFileSync(path.join(folder, name.replace(/cu$/, "log")), "utf8")))
    .sort((a, b) => (a.name < b.name ? -1 : 1));
  const text = `${begin}\n\n${table(kernels)}\n\n${end}`;
  if (args.includes("--write")) {
    const file = path.join(root, "docs/cuda.md");
    const old = readFileSync(file, "utf8");
    const [from, to] = [old.indexOf(begin), old.indexOf(end)];
    if (from < 0 || to < 0) throw new Error(`expected ${begin} and ${end} in ${file}`);
    writeFileSync(file, old.slice(0, from) + text + old.slice(to + end.length));
  } else {
    console.log(text);
  }
  const spilling = kernels.filter(({ name, spills }) => spills > 0 && /matmul|attention/.test(name));
  for (const { name, spills } of spilling) console.error(`${name} spills ${spills} bytes on ${target}`);
  return spilling.length === 0 && kernels.length > 0 ? 0 : 1;
}

if (process.argv[1] === fileURLToPath(import.meta.url)) process.exitCode = main(process.argv.slice(2));
