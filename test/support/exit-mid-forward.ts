/**
 * Leaves in the middle of a forward: `exit` the process, terminate the `worker` (or `worker-sync`, which calls
 * forwardSync without a break), or let `gc` take the handles.
 */
import { setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";
import { isMainThread, parentPort, Worker, workerData } from "node:worker_threads";

import { loadAddon } from "../../lib/native/load.js";
import { makeRawModel } from "./raw-model.js";

const count = 128;

/** Starts forwards: the promise of one, boxed, so that awaiting the start does not await the forward; and more. */
async function startForward(): Promise<{ readonly done: Promise<unknown>; readonly again: () => void }> {
  const addon = loadAddon();
  const raw = makeRawModel(400);
  const model = await addon.loadModel(raw.directory, raw.spec, { backend: "cpu" });
  raw.remove();
  const arena = addon.createArena(model, {
    headMask: new Uint8Array(400),
    pageTokens: 16,
    pageCounts: [9],
    keyType: "int8",
    valueType: "int8",
  });
  const runner = addon.createRunner(model, arena, { maxTokens: count, threads: 2 });
  const order = Int32Array.from({ length: count }, (_, i) => i);
  const batch = {
    tokens: order.map((i) => i % 40),
    positions: order,
    slots: order.map((i) => 16 + i),
    sequenceStarts: Int32Array.of(0, count),
    pageTables: Int32Array.of(1, 2, 3, 4, 5, 6, 7, 8),
    contextLengths: Int32Array.of(count),
    logitRows: order,
  };
  const output = { logits: addon.allocateShared(40 * count) };
  const done = runner.forward(batch, output);
  return { done, again: () => runner.forwardSync(batch, output) };
}

if (!isMainThread) {
  const { done, again } = await startForward();
  if (workerData === "worker-sync") await done;
  parentPort?.postMessage("started");
  while (workerData === "worker-sync") again();
} else if (process.argv[2]?.startsWith("worker")) {
  // A worker thread of Node 20 does not inherit the loader that reads TypeScript.
  const url = JSON.stringify(import.meta.url);
  const worker = new Worker(`import("tsx/esm/api").then(({ tsImport }) => tsImport(${url}, ${url}))`, {
    eval: true,
    workerData: process.argv[2],
  });
  await new Promise((resolve) => worker.once("message", resolve));
  await worker.terminate();
  console.log("left");
} else if (process.argv[2] === "gc") {
  setFlagsFromString("--expose-gc");
  const collect = runInNewContext("gc") as () => void;
  const { done } = await startForward();
  collect();
  await done;
  collect();
  console.log("left");
} else {
  await startForward();
  console.log("left");
  process.exit(0);
}
