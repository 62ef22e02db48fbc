// Programs that a stage runs: with a time limit, their output in the stage's log.
import { spawn } from "node:child_process";
import { appendFileSync } from "node:fs";
import { clearTimeout, setTimeout } from "node:timers";

/** A limit that ends a program leaves it this long to end by itself. */
const graceMs = 3000;

/**
 * Runs a program to its end or to its limit. Never throws: what cannot be started has a status of its own.
 *
 * @returns status (an exit code, or "timeout", "signal NAME", "not started"), ok, output (stdout), seconds
 */
export function run(command, args, { cwd, env, log, limitSeconds }) {
  const started = performance.now();
  const note = (text) => {
    appendFileSync(log, text);
  };
  note(`$ ${[command, ...args].join(" ")}\n`);
  return new Promise((resolve) => {
    // A group of its own, so that what it started ends with it.
    const child = spawn(command, args, { cwd, env, stdio: ["ignore", "pipe", "pipe"], detached: true });
    let output = "";
    let ending;
    const end = (signal) => {
      try {
        process.kill(-child.pid, signal);
      } catch {
        // it has ended
      }
    };
    const timer = setTimeout(() => {
      ending = "timeout";
      end("SIGTERM");
      setTimeout(() => end("SIGKILL"), graceMs).unref();
    }, limitSeconds * 1000);
    child.stdout.setEncoding("utf8").on("data", (chunk) => {
      output += chunk;
      note(chunk);
    });
    child.stderr.setEncoding("utf8").on("data", note);
    const finish = (status) => {
      clearTimeout(timer);
      const seconds = (performance.now() - started) / 1000;
      note(`-> ${status}, ${seconds.toFixed(1)} s\n\n`);
      resolve({ status, ok: status === 0, output, seconds });
    };
    child.on("error", ({ message }) => finish(`not started: ${message}`));
    child.on("close", (code, signal) => {
      if (child.pid !== undefined) finish(ending ?? (signal === null ? code : `signal ${signal}`));
    });
  });
}

/** Runs `work` on every item, `width` at a time; the results in the order of the items. */
export async function inParallel(items, width, work) {
  const results = [];
  const queue = [...items.entries()];
  const worker = async () => {
    for (let next = queue.shift(); next !== undefined; next = queue.shift()) {
      results[next[0]] = await work(next[1]);
    }
  };
  await Promise.all(Array.from({ length: width }, worker));
  return results;
}

/** Sums "N passed, M failed" lines; a program that ended badly is one failure at least. */
export function countTests({ output, ok }) {
  let [passed, failed] = [0, 0];
  for (const [, first, second] of output.matchAll(/^(\d+) passed, (\d+) failed$/gm)) {
    passed += Number(first);
    failed += Number(second);
  }
  return { passed, failed: ok ? failed : Math.max(1, failed) };
}
