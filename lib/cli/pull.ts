import { Command } from "commander";

import { AirError } from "../errors/air-error.js";
import { pullModel, type PullProgress, type PullResult } from "../index.js";
import { type CliIo, note, write, writeJson } from "./io.js";
import { progressBar } from "./load.js";
import { formatBytes } from "./text.js";

interface PullCommandOptions {
  readonly revision?: string;
  readonly offline?: boolean;
  readonly json?: boolean;
}

const examples = `
FILE is a file of the repository, its name without ending, or a quantisation. Without it the only file is taken,
or Q4_0, or Q4_K_M. What was interrupted goes on where it stopped. Models are kept in AIR_MODELS (default:
air-runtime/models in XDG_DATA_HOME, ~/.local/share); HF_TOKEN opens gated repositories, HF_ENDPOINT names a
mirror, HF_HUB_OFFLINE=1 is --offline.

Examples:
  air pull bartowski/SmolLM2-135M-Instruct-GGUF
  air pull bartowski/SmolLM2-135M-Instruct-GGUF:Q8_0
  air generate -m bartowski/SmolLM2-135M-Instruct-GGUF:Q8_0 "Hello"`;

/** Progress for people: how much of how much, and how fast over the last seconds. */
class PullMeter {
  #sinceMs: number;
  #sinceBytes: number | undefined;
  #bytesPerSecond: number | undefined;

  constructor(nowMs: number) {
    this.#sinceMs = nowMs;
  }

  /** What to show beside the bar. */
  remark({ phase, doneBytes, totalBytes }: PullProgress, nowMs: number): string {
    if (phase === "waiting") return "another process pulls this model";
    const amount = `${formatBytes(doneBytes)} of ${formatBytes(totalBytes)}`;
    if (phase === "verifying") return `${amount}, verifying`;
    this.#sinceBytes ??= doneBytes;
    const seconds = (nowMs - this.#sinceMs) / 1000;
    if (seconds >= 1) {
      this.#bytesPerSecond = Math.max(0, doneBytes - this.#sinceBytes) / seconds;
      this.#sinceMs = nowMs;
      this.#sinceBytes = doneBytes;
    }
    const speed = this.#bytesPerSecond;
    return speed === undefined ? amount : `${amount}, ${formatBytes(Math.round(speed))}/s`;
  }
}

/** What came of a pull, for people. */
export function formatPull({ name, path, bytes, downloadedBytes, resumedBytes, commit }: PullResult): string {
  const resumed = resumedBytes > 0 ? `, ${formatBytes(resumedBytes)} had been left by an earlier pull` : "";
  const came = downloadedBytes === 0 && resumedBytes === 0 ? "was here already" : `pulled${resumed}`;
  return `${name} (${formatBytes(bytes)}, commit ${commit.slice(0, 12)}) ${came}\n${path}\n`;
}

async function run(io: CliIo, reference: string, options: PullCommandOptions): Promise<void> {
  const bar = progressBar(io, "pulling");
  const meter = new PullMeter(performance.now());
  let reached: PullProgress | undefined;
  let result: PullResult;
  try {
    result = await pullModel(reference, {
      signal: io.signal,
      onProgress: (progress) => {
        if (progress.phase === "downloading") reached = progress;
        const { doneBytes, totalBytes } = progress;
        bar.update(doneBytes / Math.max(1, totalBytes), meter.remark(progress, performance.now()));
      },
      ...(options.revision !== undefined && { revision: options.revision }),
      ...(options.offline === true && { offline: true }),
    });
  } catch (thrown) {
    bar.stop();
    if (reached !== undefined && thrown instanceof AirError && thrown.code === "AIR_ERR_CANCELLED") {
      const { doneBytes, totalBytes } = reached;
      const here = `${formatBytes(doneBytes)} of ${formatBytes(totalBytes)}`;
      note(io, `stopped with ${here} here; the same command goes on from there`);
    }
    throw thrown;
  } finally {
    bar.stop();
  }
  if (options.json === true) await writeJson(io, result);
  else await write(io.stdout, formatPull(result));
}

/** `air pull`: get a model from the Hugging Face Hub. */
export function pullCommand(io: CliIo): Command {
  return new Command("pull")
    .summary("download a model from the Hugging Face Hub")
    .description("Downloads a GGUF model from the Hugging Face Hub, verified, for -m to use by its name.")
    .argument("<model>", "owner/repo or owner/repo:file")
    .option("--revision <revision>", "branch, tag or commit (default: main)")
    .option("--offline", "use no network: say where the model is, or fail")
    .option("--json", "print one JSON object")
    .addHelpText("after", examples)
    .action((reference: string, options: PullCommandOptions) => run(io, reference, options));
}
