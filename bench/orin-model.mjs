// node bench/orin-model.mjs [RESULTS.json] [--write]: what AGX Orin should reach, from bytes, launches and efficiency. A
// prediction: no Orin has been measured. Prints the table of docs/cuda.md, or puts it there.
//
//   step = weights / (weight efficiency x read) + keys and values / (attention efficiency x read) + launches x gap
//   read = peak x read share
//
// RESULTS is a file of scripts/gpu-check.sh: its kernels' shares of the read bandwidth and of the matrix ceiling replace
// the assumed ones.
import { readFileSync, writeFileSync } from "node:fs";
import path from "node:path";
import { fileURLToPath } from "node:url";

import { textTable } from "../scripts/gpu-check/text.mjs";

const begin = "<!-- prediction: bench/orin-model.mjs -->";
const end = "<!-- end of prediction -->";

/** AGX Orin 64 GB at full clocks, from its data sheet. */
const orin = { peakGBps: 204.8, multiprocessors: 16, gigahertz: 1.3 };
/** Dense float16 multiplications with float32 sums: 4 tensor cores of 256 a clock on each multiprocessor. */
const peakTflops = (2 * orin.multiprocessors * 4 * 256 * orin.gigahertz) / 1000;

const assumed = {
  readShare: 0.85, // of the peak, by a kernel that only reads
  weights: 0.75, // of that; the target of docs/cuda.md
  attention: 0.7, // likewise
  matrix: 0.5, // of the peak of matrix instructions, 512 rows; the target
  gapMicros: 2, // from one kernel of a graph to the next
};

const shapes = {
  "1.1b": { width: 2048, layers: 22, queryHeads: 32, kvHeads: 4, headDim: 64, feedForward: 5632 },
  "3b": { width: 3072, layers: 28, queryHeads: 24, kvHeads: 8, headDim: 128, feedForward: 8192 },
  "7b": { width: 4096, layers: 32, queryHeads: 32, kvHeads: 8, headDim: 128, feedForward: 14336 },
};
const vocabulary = 32_000;
/** Bits a weight as it lies on the device (kernels/cuda/matmul_params.h): Q4_0 in the layers, Q6_K in the output. */
const layerBits = 4.5;
const outputBits = 9;
/** norm, q k v, rotation and cache, attention, its merge, o, norm, gate and up, down. */
const launchesPerLayer = 9;
/** embedding, gathering of rows, norm, output, likeliest token. */
const otherLaunches = 5;

function modelBytes({ width, layers, queryHeads, kvHeads, headDim, feedForward }) {
  const heads = (2 * queryHeads + 2 * kvHeads) * headDim * width;
  const parameters = layers * (heads + 3 * width * feedForward);
  return {
    parameters: parameters + vocabulary * width,
    weights: (parameters * layerBits + vocabulary * width * outputBits) / 8,
    // int8 with a float16 scale per head
    tokenOfCache: layers * kvHeads * 2 * (headDim + 2),
    launches: layers * launchesPerLayer + otherLaunches,
  };
}

/** The worst of what a run of the benches measured, in place of what is assumed. */
function measuredShares(file) {
  const { stages } = JSON.parse(readFileSync(file, "utf8"));
  const { matmul, attention } = stages.find(({ stage }) => stage === "bench").measured;
  const worst = (results, key) => Math.min(...results.map((result) => result[key]));
  const int4 = matmul.results.filter(({ kind, outputs, k }) => kind === "int4" && outputs * k >= 2 ** 24);
  const deep = attention.results.filter(
    ({ kv, depth, rows }) => kv === "int8" && depth === 8192 && rows === 1,
  );
  return {
    weights: worst(
      int4.filter(({ rows }) => rows === 1),
      "bandwidth_fraction",
    ),
    attention: worst(deep, "bandwidth_fraction"),
    matrix: worst(
      int4.filter(({ rows }) => rows === 512),
      "ceiling_fraction",
    ),
  };
}

/** Milliseconds of a step of one row `depth` tokens deep. */
function stepMs(bytes, depth, shares) {
  const readGBps = orin.peakGBps * shares.readShare;
  const weights = bytes.weights / (readGBps * shares.weights * 1e6);
  const cache = (depth * bytes.tokenOfCache) / (readGBps * shares.attention * 1e6);
  return weights + cache + (bytes.launches * shares.gapMicros) / 1e3;
}

function predict(shares) {
  const head = ["model", "weights GB", "launches", "decode tok/s", "at 8192", "prefill tok/s"];
  const rows = Object.entries(shapes).map(([name, shape]) => {
    const bytes = modelBytes(shape);
    const one = stepMs(bytes, 0, shares);
    return [
      name,
      (bytes.weights / 1e9).toFixed(2),
      bytes.launches,
      (1000 / one).toFixed(0),
      (1000 / stepMs(bytes, 8192, shares)).toFixed(0),
      ((peakTflops * shares.matrix * 1e12) / (2 * bytes.parameters)).toFixed(0),
    ];
  });
  return textTable([head, ...rows], [1, 2, 3, 4, 5]);
}

function main(args) {
  const file = args.find((arg) => !arg.startsWith("--"));
  const shares = { ...assumed, ...(file === undefined ? {} : measuredShares(file)) };
  const list = Object.entries(shares).map(([name, value]) => `${name} ${Number(value.toFixed(2))}`);
  const source = file === undefined ? "assumed" : `measured by ${path.basename(file)}, the rest assumed`;
  const text = `${begin}\n\n\`\`\`text\n${predict(shares)}\n\nshares and gap, ${source}: ${list.join(", ")}\n\`\`\`\n\n${end}`;
  if (!args.includes("--write")) {
    console.log(text);
    return;
  }
  const document = path.resolve(path.dirname(fileURLToPath(import.meta.url)), "../docs/cuda.md");
  const old = readFileSync(document, "utf8");
  const [from, to] = [old.indexOf(begin), old.indexOf(end)];
  if (from < 0 || to < 0) throw new Error(`expected ${begin} and ${end} in ${document}`);
  writeFileSync(document, old.slice(0, from) + text + old.slice(to + end.length));
}

main(process.argv.slice(2));
