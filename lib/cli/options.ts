import { type Command, Option } from "commander";

import { invalidArgument } from "../errors/air-error.js";
import type { DeviceChoice, GenerateOptions, KvType, LoadModelOptions, ThreadPriority } from "../index.js";
import { deviceChoices } from "../runtime/options.js";
import { pickGiven } from "../util/options.js";
import { parseBytes } from "../util/quantities.js";

/** What {@link addKvTypeOptions} adds. */
export interface KvTypeOptions {
  readonly kv: KvType;
  readonly kvK?: KvType;
  readonly kvV?: KvType;
}

/** What {@link addKvLimitOptions} adds. */
export interface KvLimitOptions {
  readonly window?: number;
  readonly sinks?: number;
  readonly heads?: string;
}

/** What {@link addComputeOptions} adds. */
export interface ComputeOptions extends KvTypeOptions {
  readonly rotateKeys?: boolean;
  readonly device?: DeviceChoice;
  readonly gpuLayers?: number | "auto";
  readonly threads?: number;
  readonly cpuList?: readonly number[];
  readonly priority?: ThreadPriority;
  /** Empty: none. */
  readonly packCache?: string;
  readonly force?: boolean;
}

/** Options of every command that loads a model. */
export interface ModelOptions extends ComputeOptions, KvLimitOptions {
  readonly model?: string;
  readonly ctx?: number;
}

/** Options of the commands that sample text. */
export interface SamplingOptions {
  readonly maxTokens: number;
  readonly temp: number;
  readonly topK?: number;
  readonly topP?: number;
  readonly minP?: number;
  readonly repeatPenalty?: number;
  readonly seed?: number;
  readonly stop?: readonly string[];
}

interface Range {
  readonly min: number;
  readonly max: number;
}

/** A parser for a whole number within [min, max]; throws AIR_ERR_ARGUMENT naming the flag. */
export function integer(flag: string, { min, max }: Range): (text: string) => number {
  return (text) => {
    const value = Number(text);
    if (!/^[+-]?\d+$/.test(text.trim()) || value < min || value > max) {
      throw invalidArgument(flag, `a whole number from ${min} to ${max}`, text);
    }
    return value;
  };
}

/** A parser for whole numbers within [min, max], separated by commas; throws AIR_ERR_ARGUMENT naming the flag. */
export function integerList(flag: string, range: Range): (text: string) => readonly number[] {
  const parse = integer(flag, range);
  return (text) => text.split(",").map(parse);
}

/** A parser for a number within [min, max]; throws AIR_ERR_ARGUMENT naming the flag. */
export function decimal(flag: string, { min, max }: Range): (text: string) => number {
  return (text) => {
    const value = text.trim() === "" ? Number.NaN : Number(text);
    if (!(value >= min && value <= max)) throw invalidArgument(flag, `a number from ${min} to ${max}`, text);
    return value;
  };
}

/** A parser for a fraction such as "1%" or "0.01"; throws AIR_ERR_ARGUMENT naming the flag. */
export function fraction(flag: string): (text: string) => number {
  return (text) => {
    const value = text.endsWith("%") ? Number(text.slice(0, -1)) / 100 : Number(text);
    if (text.trim() === "" || !(value >= 0 && value <= 1)) {
      throw invalidArgument(flag, "a fraction such as 1% or 0.01", text);
    }
    return value;
  };
}

/** A parser for one of a few words; `expected` lists them. Throws AIR_ERR_ARGUMENT naming the flag. */
export function oneOf<Word extends string>(
  flag: string,
  words: readonly Word[],
  expected: string,
): (text: string) => Word {
  return (text) => {
    const word = words.find((candidate) => candidate === text);
    if (word === undefined) throw invalidArgument(flag, expected, text);
    return word;
  };
}

/** `0,2-3` as [0, 2, 3]. */
function cpuList(text: string): readonly number[] {
  return text.split(",").flatMap((range) => {
    const [, first, last = first] = /^(\d{1,4})(?:-(\d{1,4}))?$/.exec(range) ?? [];
    const count = Number(last) - Number(first) + 1;
    if (!(count > 0)) throw invalidArgument("--cpu-list", "CPUs such as 0,2-3", text);
    return Array.from({ length: count }, (_, index) => Number(first) + index);
  });
}

/** `auto`, or a number of layers. */
function gpuLayers(text: string): number | "auto" {
  return text === "auto" ? text : integer("--gpu-layers", { min: 0, max: 65536 })(text);
}

/** Most tokens that an option takes. */
export const maxTokens = 1 << 24;

/** A parser for a size in bytes such as 8GiB; throws AIR_ERR_ARGUMENT naming the flag. */
export function byteSize(flag: string): (text: string) => number {
  return (text) => parseBytes(flag, text);
}

/** `-m FILE`, shared by every command that reads a model. */
export function modelFileOption(): Option {
  return new Option("-m, --model <file>", "GGUF file to use (default: the bundled demo model)");
}

/** Adds -m, --ctx and what addComputeOptions() adds. */
export function addModelOptions(
  command: Command,
  defaultContext: number | string = "what the model was trained for, at most 4096",
): Command {
  command
    .addOption(modelFileOption())
    .option(
      "--ctx <tokens>",
      `context length (default: ${defaultContext})`,
      integer("--ctx", { min: 2, max: maxTokens }),
    );
  return addComputeOptions(addKvLimitOptions(command));
}

/** Adds --window, --sinks and --heads. */
export function addKvLimitOptions(command: Command): Command {
  return command
    .option(
      "--window <tokens>",
      "see only the sinks and this many last tokens; memory stays bounded, texts do not",
      integer("--window", { min: 1, max: maxTokens }),
    )
    .option(
      "--sinks <tokens>",
      "first tokens that stay visible with --window (default: 4)",
      integer("--sinks", { min: 0, max: maxTokens }),
    )
    .option("--heads <file>", "what `air calibrate` found out about this model's heads");
}

const kvTypes = ["int8", "f16", "int4"] as const;

/** Adds --kv, --kv-k and --kv-v. */
export function addKvTypeOptions(command: Command): Command {
  const expected = "int8, f16 or int4";
  return command
    .option("--kv <type>", `precision of the KV cache: ${expected}`, oneOf("--kv", kvTypes, expected), "int8")
    .option("--kv-k <type>", "precision of the keys alone", oneOf("--kv-k", kvTypes, expected))
    .option("--kv-v <type>", "precision of the values alone", oneOf("--kv-v", kvTypes, expected));
}

/** Adds what addKvTypeOptions() adds, --rotate-keys, --device, --gpu-layers, --threads, --cpu-list, --priority, --pack-cache and --force. */
export function addComputeOptions(command: Command): Command {
  return addKvTypeOptions(command)
    .option("--rotate-keys", "spread outliers of keys before rounding (int4 keys always are)")
    .option(
      "--device <device>",
      "where to run: cpu, cuda (an NVIDIA GPU) or auto (default: cpu)",
      oneOf("--device", deviceChoices, "cpu, cuda or auto"),
    )
    .option(
      "--gpu-layers <n>",
      "layers that the GPU computes, the last ones, or auto: as many as fit (default: auto)",
      gpuLayers,
    )
    .option(
      "--threads <n>",
      "compute threads (default: one per physical core)",
      integer("--threads", { min: 1, max: 1024 }),
    )
    .option("--cpu-list <list>", "pin a thread to each of these CPUs, such as 0,2-3", cpuList)
    .option(
      "--priority <level>",
      "of the compute threads: low, normal or high",
      oneOf("--priority", ["low", "normal", "high"], "low, normal or high"),
    )
    .addOption(
      new Option("--pack-cache <dir>", "keep packed weights there for the next load").env("AIR_PACK_CACHE"),
    )
    .option("--force", "load even if the memory plan says that it does not fit");
}

function collectStops(text: string, previous: readonly string[] | undefined): readonly string[] {
  if (text === "") throw invalidArgument("--stop", "at least one character", text);
  return [...(previous ?? []), text];
}

/** Adds -n, --temp and the other sampling options. */
export function addSamplingOptions(command: Command): Command {
  return command
    .option("-n, --max-tokens <n>", "most tokens to generate", integer("-n", { min: 1, max: maxTokens }), 512)
    .option(
      "--temp <t>",
      "temperature; 0 takes the likeliest token",
      decimal("--temp", { min: 0, max: 100 }),
      0,
    )
    .option(
      "--top-k <k>",
      "sample among the k likeliest tokens",
      integer("--top-k", { min: 1, max: maxTokens }),
    )
    .option(
      "--top-p <p>",
      "sample among the likeliest with this total",
      decimal("--top-p", { min: 0, max: 1 }),
    )
    .option(
      "--min-p <p>",
      "drop tokens below this share of the likeliest",
      decimal("--min-p", { min: 0, max: 1 }),
    )
    .option(
      "--repeat-penalty <r>",
      "above 1 discourages repeats",
      decimal("--repeat-penalty", { min: 0.01, max: 100 }),
    )
    .option(
      "--seed <s>",
      "make sampling repeatable",
      integer("--seed", { min: 0, max: Number.MAX_SAFE_INTEGER }),
    )
    .option("--stop <text>", "end before this text; may be given more than once", collectStops);
}

/** The library's names for what the command line asked; absent options stay absent, so its defaults hold. */
export function toGenerateOptions(options: SamplingOptions, signal: AbortSignal): GenerateOptions {
  return {
    temperature: options.temp,
    signal,
    ...pickGiven(options, ["maxTokens", "topK", "topP", "minP", "seed", "stop"]),
    ...(options.repeatPenalty !== undefined && { repetitionPenalty: options.repeatPenalty }),
  };
}

/** The library's names for the precisions of keys and values. */
export function toKvTypes(options: KvTypeOptions): Pick<LoadModelOptions, "kv" | "kvKeys" | "kvValues"> {
  return {
    kv: options.kv,
    ...(options.kvK !== undefined && { kvKeys: options.kvK }),
    ...(options.kvV !== undefined && { kvValues: options.kvV }),
  };
}

/** The library's names for what addComputeOptions() adds. */
export function toComputeOptions(
  options: ComputeOptions,
): Pick<
  LoadModelOptions,
  | "kv"
  | "kvKeys"
  | "kvValues"
  | "rotateKeys"
  | "device"
  | "gpuLayers"
  | "threads"
  | "cpuList"
  | "priority"
  | "packCache"
  | "force"
> {
  return {
    ...toKvTypes(options),
    ...pickGiven(options, ["rotateKeys", "device", "gpuLayers", "threads", "cpuList", "priority", "force"]),
    ...(options.packCache !== "" && pickGiven(options, ["packCache"])),
  };
}

/** The library's names for the options that load a model. */
export function toLoadOptions(options: ModelOptions): LoadModelOptions {
  return {
    ...toComputeOptions(options),
    ...pickGiven(options, ["window", "sinks", "heads"]),
    ...(options.ctx !== undefined && { contextTokens: options.ctx }),
  };
}
