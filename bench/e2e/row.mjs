// Serves a workload with one configuration, one request at a time, and prints what happened as one JSON object. e2e.ts
// runs it, each row in a process of its own, so that peak memory is the row's.
//   echo '{"config": {..}, "requests": [{"prompt": "..", "maxTokens": 32}]}' | node bench/e2e/row.mjs
import { readFileSync } from "node:fs";
import { AirRuntime } from "../../dist/index.js";
import { findEnergyMeter } from "../../dist/benchmark/energy.js";

const { config, requests } = JSON.parse(readFileSync(0, "utf8"));
const runtime = await AirRuntime.create(config);
const bytesOf = (name) =>
  Number(new RegExp(`^${name}:\\s+(\\d+) kB$`, "m").exec(readFileSync("/proc/self/status", "utf8"))[1]) *
  1024;

async function answer({ prompt, maxTokens }) {
  const started = performance.now();
  let firstMs;
  const reply = runtime.generate([{ role: "user", content: prompt }], { maxTokens, ignoreEos: true });
  for await (const { text } of reply) if (text !== "") firstMs ??= performance.now() - started;
  const { tier, decision, tokens, text, promptTokens } = await reply.result;
  const ms = performance.now() - started;
  return {
    tier,
    score: decision.score,
    tokens: tokens.length,
    promptTokens,
    ms,
    firstMs,
    text,
  };
}

for (const tier of runtime.tierNames) {
  // Warm: JavaScript compiled, weights touched, costs of speculation measured.
  const reply = runtime.generate([{ role: "user", content: "What is 3 times 4?" }], {
    tier,
    maxTokens: 32,
    ignoreEos: true,
  });
  await reply.result;
}
const energy = findEnergyMeter()?.start();
const started = performance.now();
const answers = [];
for (const request of requests) {
  answers.push(await answer(request));
  process.stderr.write(".");
}
const seconds = (performance.now() - started) / 1000;
const joules = energy?.();
const report = { answers, seconds, peakRssBytes: bytesOf("VmHWM"), rssBytes: bytesOf("VmRSS"), joules };
process.stdout.write(`${JSON.stringify(report)}\n`);
await runtime.close();
