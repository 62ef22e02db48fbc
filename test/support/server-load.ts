/** Many clients at once, some of whom leave in the middle, and what a server looks like meanwhile. */
import { Agent, request as httpRequest } from "node:http";
import { text as readText } from "node:stream/consumers";
import { setTimeout as sleep } from "node:timers/promises";

import { createDice } from "./dice.js";

/** How much of it. */
export interface LoadPlan {
  readonly url: string;
  readonly clients: number;
  readonly seconds: number;
  /** Part of the requests whose client leaves. */
  readonly leaving: number;
}

/** Figures of the server at one time. */
export interface ServerSample {
  readonly seconds: number;
  readonly residentMiB: number;
  readonly heapMiB: number;
  readonly externalMiB: number;
  readonly openFiles: number;
  readonly handles: number;
  readonly pages: number;
  readonly freePages: number;
  readonly inFlight: number;
}

/** What came of it. */
export interface LoadReport {
  finished: number;
  left: number;
  busy: number;
  /** What should not have happened, in words. */
  readonly faults: string[];
  readonly samples: ServerSample[];
}

const prompts = [
  "What is the capital of France?",
  "Write a function that reverses a string.",
  "one two three four ".repeat(20),
  "Turn on the lamp in the kitchen.",
  "What is 12 times 7?",
];

/** Reads figures off /metrics. */
export async function sampleServer(url: string, startedMs: number): Promise<ServerSample> {
  const text = await (await fetch(`${url}/metrics`)).text();
  const read = (pattern: string): number => {
    const found = new RegExp(`^${pattern}(?:\\{[^}]*\\})? ([\\d.e+-]+)`, "m").exec(text)?.[1];
    return Number(found ?? NaN);
  };
  return {
    seconds: (performance.now() - startedMs) / 1000,
    residentMiB: read("process_resident_memory_bytes") / 2 ** 20,
    heapMiB: read("nodejs_heap_size_used_bytes") / 2 ** 20,
    externalMiB: read("nodejs_external_memory_bytes") / 2 ** 20,
    openFiles: read("process_open_fds"),
    handles: read("nodejs_active_handles_total"),
    pages: read("air_kv_pages"),
    freePages: read("air_kv_pages_free"),
    inFlight: read("air_requests_in_flight"),
  };
}

/** Sends a request over a connection of `agent`, which is closed when the signal aborts. */
function post(
  url: string,
  body: object,
  agent: Agent,
  signal: AbortSignal,
): Promise<{ readonly status: number | undefined; readonly text: string }> {
  return new Promise((resolve, reject) => {
    const headers = { "content-type": "application/json" };
    const request = httpRequest(url, { method: "POST", agent, headers, signal }, (response) => {
      readText(response).then((text) => {
        resolve({ status: response.statusCode, text });
      }, reject);
    });
    request.once("error", reject);
    request.end(JSON.stringify(body));
  });
}

/** What is wrong with a finished stream; undefined where nothing is. */
export function faultOfStream(body: string, choices: number): string | undefined {
  const events = body.split("\n\n");
  if (events.pop() !== "" || events.pop() !== "data: [DONE]")
    return `a stream without an end: ${body.slice(-200)}`;
  const ended = new Set<number>();
  for (const event of events) {
    if (!event.startsWith("data: ")) return `no event: ${event.slice(0, 200)}`;
    const chunk = JSON.parse(event.slice(6)) as {
      readonly choices?: readonly { readonly index: number; readonly finish_reason: string | null }[];
    };
    if (chunk.choices === undefined) return `no chunk: ${event.slice(0, 200)}`;
    for (const { index, finish_reason: reason } of chunk.choices) {
      if (ended.has(index)) return "text after the end";
      if (reason !== null) ended.add(index);
    }
  }
  return ended.size === choices ? undefined : `expected ${choices} ends but received ${ended.size}`;
}

/** Runs the clients for as long as the plan says, and then waits for those who are left. */
export async function runLoad({ url, clients, seconds, leaving }: LoadPlan): Promise<LoadReport> {
  const report: LoadReport = { finished: 0, left: 0, busy: 0, faults: [], samples: [] };
  const agent = new Agent({ keepAlive: true });
  const startedMs = performance.now();
  const isOver = (): boolean => performance.now() - startedMs > seconds * 1000;

  async function one(dice: (below: number) => number, client: number): Promise<void> {
    const stream = dice(3) > 0;
    const n = dice(5) === 0 ? 2 : 1;
    const controller = new AbortController();
    const leaves = dice(1000) < leaving * 1000;
    const body = {
      ...{ model: "auto", max_tokens: 4 + dice(60), temperature: dice(2), seed: dice(1000), stream, n },
      messages: [{ role: "user", content: `${prompts[dice(prompts.length)] ?? ""} (${dice(50)})` }],
      user: `user ${client % 20}`,
    };
    const timer = leaves
      ? setTimeout(() => {
          controller.abort();
        }, dice(1500))
      : undefined;
    try {
      const { status, text } = await post(`${url}/v1/chat/completions`, body, agent, controller.signal);
      if (status === 200) {
        const fault = stream ? faultOfStream(text, n) : faultOfWhole(text, n);
        if (fault !== undefined) report.faults.push(fault);
        report.finished += 1;
      } else if (status === 503 && text.includes('"type":"overloaded_error"')) {
        report.busy += 1;
        await sleep(50 + dice(400));
      } else report.faults.push(`${status} ${text.slice(0, 200)}`);
    } catch (error) {
      if (controller.signal.aborted) report.left += 1;
      else report.faults.push(String(error));
    } finally {
      clearTimeout(timer);
    }
  }

  async function client(index: number): Promise<void> {
    const dice = createDice(index);
    while (!isOver()) await one(dice, index);
  }

  const sampling = (async () => {
    while (!isOver()) {
      report.samples.push(await sampleServer(url, startedMs));
      await sleep(1000);
    }
  })();
  await Promise.all([sampling, ...Array.from({ length: clients }, (_, index) => client(index))]);
  agent.destroy();
  return report;
}

function faultOfWhole(text: string, choices: number): string | undefined {
  const whole = JSON.parse(text) as { readonly choices?: readonly object[]; readonly usage?: object };
  if (whole.choices?.length === choices && whole.usage !== undefined) return undefined;
  return `no answer: ${text.slice(0, 200)}`;
}

/** Slope of a figure over time by least squares, per second, of the samples after a time. */
export function slopeOf(
  samples: readonly ServerSample[],
  figure: "residentMiB" | "heapMiB" | "externalMiB",
  afterSeconds: number,
): number {
  const points = samples.filter(({ seconds }) => seconds >= afterSeconds);
  const mean = (read: (sample: ServerSample) => number): number =>
    points.reduce((sum, sample) => sum + read(sample), 0) / points.length;
  const [meanX, meanY] = [mean(({ seconds }) => seconds), mean((sample) => sample[figure])];
  let products = 0;
  let squares = 0;
  for (const sample of points) {
    products += (sample.seconds - meanX) * (sample[figure] - meanY);
    squares += (sample.seconds - meanX) ** 2;
  }
  return products / squares;
}
