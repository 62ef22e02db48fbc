#!/usr/bin/env node
import { runCli } from "./program.js";
import { exitStatus } from "./render-error.js";

const controller = new AbortController();

// The first Ctrl-C stops between two layers and closes the model; the second does not wait for that.
process.on("SIGINT", () => {
  if (controller.signal.aborted) process.exit(exitStatus.interrupted);
  controller.abort();
});

// `air generate .. | head` closes our stdout: nothing is left to do, and nothing to complain about.
process.stdout.on("error", (error: NodeJS.ErrnoException) => {
  process.exit(error.code === "EPIPE" ? exitStatus.brokenPipe : exitStatus.failure);
});

const { stdin, stdout, stderr } = process;
process.exitCode = await runCli(process.argv.slice(2), { stdin, stdout, stderr, signal: controller.signal });
