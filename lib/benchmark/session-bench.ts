import type { NativeRunner } from "../native/native.js";
import { Model, type ModelParts } from "../runtime/model.js";
import { at } from "../util/array-access.js";
import type { SessionMeasurement } from "./report.js";
import { percentile, percentiles, sum } from "./statistics.js";

/** When a forward pass was asked for, and how long it computed. */
interface ForwardTime {
  readonly startMs: number;
  readonly computeMs: number;
}

/** The same runner, noting every forward pass in `times`. */
function recordingRunner(runner: NativeRunner, times: ForwardTime[]): NativeRunner {
  return {
    threads: runner.threads,
    workspaceBytes: runner.workspaceBytes,
    forward: async (batch, output) => {
      const startMs = performance.now();
      const stats = await runner.forward(batch, output);
      times.push({ startMs, computeMs: stats.computeMicros / 1000 });
      return stats;
    },
    forwardSync: (batch, output) => runner.forwardSync(batch, output),
    propose: (batch, options) => runner.propose(batch, options),
    limitThreads: (threads) => {
      runner.limitThreads(threads);
    },
    cancel: () => {
      runner.cancel();
    },
    close: () => {
      runner.close();
    },
  };
}

/** Short, so that decoding starts near depth 0; of characters that every vocabulary has. */
const prompt = "a";

/** Tokens before the timed ones: what a program that runs for a while sees is compiled JavaScript. */
const warmupTokens = 48;

/** Tokens of context that measuring `tokens` tokens takes, with room for a prompt of some tokens. */
export function sessionContextTokens(tokens: number): number {
  return warmupTokens + tokens + 16;
}

/** Generates text greedily through the public API and times `tokens` tokens from forward pass to forward pass. */
export async function measureSession(
  parts: ModelParts,
  tokens: number,
  signal: AbortSignal | undefined,
): Promise<SessionMeasurement> {
  const times: ForwardTime[] = [];
  // The parts stay the caller's: the model is dropped without close(), its session without pages.
  const model = new Model({ ...parts, runner: recordingRunner(parts.runner, times) });
  using session = model.createSession();
  await session.generate(prompt, {
    speculation: "off",
    // One more, because the last token's time ends with the start of the next forward.
    maxTokens: warmupTokens + tokens + 1,
    ignoreEos: true,
    ...(signal && { signal }),
  }).result;
  const timed = times.slice(warmupTokens);
  const tokenMs = timed.slice(1).map(({ startMs }, index) => startMs - at(timed, index).startMs);
  const overheadMs = tokenMs.map((ms, index) => ms - at(timed, index).computeMs);
  return {
    tokensPerSecond: (tokenMs.length * 1000) / sum(tokenMs),
    ms: percentiles(tokenMs),
    overheadMs: percentile(overheadMs, 0.5),
  };
}
