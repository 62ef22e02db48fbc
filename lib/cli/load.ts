import { fileURLToPath } from "node:url";

import { Presets, SingleBar } from "cli-progress";

import {
  loadModel,
  type LoadModelOptions,
  type Model,
  type PackCacheReport,
  resolveModel,
} from "../index.js";
import { abortedError } from "../runtime/model-core.js";
import { type CliIo, note } from "./io.js";
import { type ModelOptions, toLoadOptions } from "./options.js";

const bundledModel = fileURLToPath(new URL("../../models/air-tiny-chat-q4_0.gguf", import.meta.url));

/**
 * The file of -m, which may be a pulled model's name, or the bundled model with a word on stderr about what to expect.
 * @throws {AirError} AIR_ERR_NOT_PULLED, AIR_ERR_ARGUMENT for a name of several models
 */
export async function modelFile(io: CliIo, model: string | undefined): Promise<string> {
  if (model !== undefined) return resolveModel(model);
  note(
    io,
    "using the bundled demo model: good at times tables, capitals, short definitions and device commands to " +
      "JSON, not at much else (-m FILE runs your own GGUF)",
  );
  return bundledModel;
}

/** Options of which the draft model is a file, as with {@link modelFile}. */
export async function withDraftFile<Options extends { readonly draft?: string }>(
  options: Options,
): Promise<Options> {
  return options.draft === undefined ? options : { ...options, draft: await resolveModel(options.draft) };
}

/** Shows how far something is, from 0 to 1, and what is going on. */
export interface ProgressBar {
  readonly update: (fraction: number, remark?: string) => void;
  readonly stop: () => void;
}

/** A progress bar on stderr where that is a terminal; silent elsewhere. */
export function progressBar(io: CliIo, label: string): ProgressBar {
  if (io.stderr.isTTY !== true) return { update: () => undefined, stop: () => undefined };
  const format = `${label} {bar} {percentage}%{remark}`;
  // With cursor and wrapping left alone there is nothing to restore, so the bar needs no handlers for signals.
  const untouched = { hideCursor: false, linewrap: true, gracefulExit: false };
  const bar = new SingleBar(
    { format, stream: io.stderr, clearOnComplete: true, ...untouched },
    Presets.shades_classic,
  );
  bar.start(1, 0, { remark: "" });
  return {
    update: (fraction, remark = "") => {
      bar.update(fraction, { remark: remark === "" ? "" : ` ${remark}` });
    },
    stop: () => {
      bar.stop();
    },
  };
}

/** Says so on stderr when a model has fewer threads than the options ask for. */
export function noteFewerThreads(io: CliIo, options: Omit<ModelOptions, "ctx">, threads: number): void {
  const asked = options.threads ?? options.cpuList?.length ?? 0;
  if (threads < asked)
    note(io, `using ${threads} of ${asked} threads: the cgroup's CPU quota allows no more`);
}

/** Says what came of --pack-cache, if it was given. */
export function notePackCache(io: CliIo, report: PackCacheReport | undefined): void {
  if (report === undefined) return;
  const { outcome, file, reason } = report;
  if (outcome === "hit") note(io, `weights mapped from ${file}`);
  else if (outcome === "unwritten") note(io, `packed weights were not kept: ${reason ?? file}`);
  else note(io, `packed weights written to ${file}${reason === undefined ? "" : ` (${reason})`}`);
}

/**
 * Loads the model that the options name and its draft model, showing progress, and says how long it took.
 * @throws {AirError} as loadModel() does, and AIR_ERR_CANCELLED after Ctrl-C
 */
export async function openModel(
  io: CliIo,
  options: ModelOptions,
  extra: Pick<LoadModelOptions, "draft"> = {},
): Promise<{ readonly model: Model; readonly loadMs: number }> {
  const file = await modelFile(io, options.model);
  const { draft } = await withDraftFile(extra);
  const bar = progressBar(io, "loading");
  const started = performance.now();
  let model: Model;
  try {
    model = await loadModel(file, {
      ...toLoadOptions(options),
      ...(draft !== undefined && { draft }),
      onProgress: bar.update,
    });
  } finally {
    bar.stop();
  }
  const loadMs = performance.now() - started;
  if (io.signal.aborted) {
    model.close();
    throw abortedError(io.signal);
  }
  noteFewerThreads(io, options, model.info.threads);
  notePackCache(io, model.info.packCache);
  return { model, loadMs };
}
