// Running commands that print JSON, and summing up what they printed.
import { execFile, spawn } from "node:child_process";
import { cpus, loadavg, totalmem } from "node:os";
import { basename } from "node:path";
import { promisify } from "node:util";

/** Runs node with `args` and parses the JSON object on the last line of its output. */
export async function runJson(args) {
  const { stdout } = await promisify(execFile)(process.execPath, args, { maxBuffer: 1 << 26 });
  return JSON.parse(stdout.trim().split("\n").at(-1) ?? "");
}

/** Awaits `work` while another process keeps one CPU busy. */
export async function besideBusyLoop(work) {
  const loop = spawn(process.execPath, ["-e", "for (;;);"], { stdio: "ignore" });
  try {
    return await work();
  } finally {
    loop.kill("SIGKILL");
  }
}

/** Median and range of a few numbers. */
export function summary(numbers) {
  const sorted = [...numbers].sort((a, b) => a - b);
  const middle = (sorted.length - 1) / 2;
  const median = (sorted[Math.floor(middle)] + sorted[Math.ceil(middle)]) / 2;
  return { median, min: sorted[0], max: sorted.at(-1) };
}

/** When and how a result was made; paths of the command are cut to their last part. */
export function provenance(script) {
  return {
    date: new Date().toISOString().slice(0, 10),
    command: [`node ${script}`, ...process.argv.slice(2).map((word) => basename(word))].join(" "),
    machine: {
      cpu: cpus()[0]?.model,
      cpus: cpus().length,
      memoryBytes: totalmem(),
      loadAverage: loadavg()[0],
    },
  };
}

/** "12.34 (12.00..13.00)" */
export function formatSpread({ median, min, max }) {
  const format = (value) => (value >= 1000 ? value.toFixed(0) : value.toPrecision(4));
  return min === max ? format(median) : `${format(median)} (${format(min)}..${format(max)})`;
}

/** Rows of cells as lines of columns; the first column is left-aligned. */
export function formatColumns(rows) {
  const widths = rows[0].map((_, column) => Math.max(...rows.map((row) => row[column].length)));
  return rows
    .map((row) =>
      row
        .map((cell, column) => (column === 0 ? cell.padEnd(widths[0]) : cell.padStart(widths[column])))
        .join("   ")
        .trimEnd(),
    )
    .join("\n");
}

/** Shows what is being run, where stderr is a terminal. */
export function progress(text) {
  if (process.stderr.isTTY) process.stderr.write(`\r\x1b[K${text}`);
}
