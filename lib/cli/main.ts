#!/usr/bin/env node
import { AirError } from "../errors/air-error.js";
import { runCli } from "./program.js";
import { exitStatus, renderError } from "./render-error.js";

const controller = new AbortController();

// The first Ctrl-C stops between two layers and closes the model; the second does not wait for that.
process.on("SIGINT", () => {
  if (controller.signal.aborted) process.exit(exitStatus.interrupted);
  controller.abort();
});

// `air generate .. | head` closes our stdout: nothing is left to do, and nothing to complain about.
process.stdout.on("error", (error: NodeJS.ErrnoException) => {
  if (error.code === "EPIPE") process.exit(exitStatus.brokenPipe);
  const failure = new AirError("AIR_ERR_IO", `expected a writable stdout but received ${error.message}`);
  process.stderr.write(renderError(failure).text);
  process.exit(exitStatus.failure);
});

// A closed stderr loses remarks, not the answer.
process.stderr.on("error", () => undefined);

const { stdin, stdout, stderr } = process;
process.exitCode = await runCli(process.argv.slice(2), { stdin, stdout, stderr, signal: controller.signal });
