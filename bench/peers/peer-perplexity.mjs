// Perplexity by air-runtime's protocol with node-llama-cpp: windows of ctx - 1 tokens, each after BOS, every one of
// them scored, a trailing partial window dropped.
//   node peer-perplexity.mjs --model FILE --file TEXT [--ctx 512] [--threads T] [--windows N]
import { readFile } from "node:fs/promises";
import { parseArgs } from "node:util";
import {
  createPeerSequence,
  loadPeerModel,
  peerVersion,
  positiveInteger,
  printAndExit,
  usageError,
} from "./peer.mjs";

const { values } = parseArgs({
  options: {
    model: { type: "string" },
    file: { type: "string" },
    ctx: { type: "string", default: "512" },
    threads: { type: "string", default: "2" },
    windows: { type: "string" },
  },
});
if (values.model === undefined || values.file === undefined)
  usageError("expected --model FILE and --file TEXT");
const threads = positiveInteger(values.threads, "--threads");
const ctx = positiveInteger(values.ctx, "--ctx");

const model = await loadPeerModel(values.model, { threads });
const bos = model.tokens.bos;
if (bos === null || !model.tokens.shouldPrependBosToken)
  usageError("expected a model that starts sequences with BOS");
const ids = model.tokenize(await readFile(values.file, "utf8"), false);
const windowTokens = ctx - 1;
const allWindows = Math.floor(ids.length / windowTokens);
const windows =
  values.windows === undefined
    ? allWindows
    : Math.min(allWindows, positiveInteger(values.windows, "--windows"));
const sequence = await createPeerSequence(model, { threads, contextSize: ctx, batchSize: ctx });

const started = performance.now();
let totalNll = 0;
for (let index = 0; index < windows; index++) {
  totalNll += await windowNll(ids.slice(index * windowTokens, (index + 1) * windowTokens));
  if (process.stderr.isTTY) process.stderr.write(`\r${index + 1}/${windows} windows`);
}
if (process.stderr.isTTY) process.stderr.write("\r\x1b[K");
const tokens = windows * windowTokens;
const meanNll = totalNll / tokens;

printAndExit({
  peer: peerVersion(),
  flashAttention: sequence.context.flashAttention,
  perplexity: Math.exp(meanNll),
  meanNll,
  tokens,
  windows,
  seconds: (performance.now() - started) / 1000,
});

/**
 * Sum of -log p over a window. The greedy token's logit is the row's maximum, which the sum of exp(logit - maximum)
 * is relative to; asking for `includeMax` would not do, because version 3.22.1 adds it only when it is listed already.
 * @param {number[]} window
 */
async function windowNll(window) {
  await sequence.clearHistory();
  const inputs = [bos, ...window.slice(0, -1)].map((token, i) => [
    token,
    {
      generateNext: {
        token: true,
        totalLogitWeight: true,
        logits: { filter: { tokens: [window[i]], includeSelected: true } },
      },
    },
  ]);
  const outputs = await sequence.controlledEvaluate(inputs);
  return outputs.reduce((sum, { next }, i) => {
    const maximum = next.logits.get(next.token);
    return sum + Math.log(next.totalLogitWeight) + maximum - next.logits.get(window[i]);
  }, 0);
}
