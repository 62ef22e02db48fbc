import { percentile } from "../../lib/benchmark/statistics.js";
import { table } from "../../lib/cli/text.js";
import type { Provenance } from "../speculation/results.js";
import type { BatchingSettings, LatencyRow, MeasuredBatching, ThroughputRow } from "./measured.js";

/** Of the rounds. */
export interface Spread {
  readonly median: number;
  readonly min: number;
  readonly max: number;
}

/** Streams side by side, over the rounds. */
export interface ThroughputSummary {
  readonly streams: number;
  readonly tokensPerSecond: Spread;
  /** Over one stream, by round. */
  readonly overOne: Spread;
  /** Without the prompts. */
  readonly decodeTokensPerSecond: Spread;
  readonly decodeOverOne: Spread;
}

/** Milliseconds between tokens, over the rounds. */
export interface LatencySummary {
  readonly streams: number;
  readonly quietP50: Spread;
  readonly quietP99: Spread;
  readonly loadedP50: Spread;
  readonly loadedP99: Spread;
  readonly loadedMax: Spread;
  /** The 99th percentile beside the long prompt, over the median without it. */
  readonly loadedP99OverQuietP50: Spread;
  /** Of the long prompt. */
  readonly firstTokenMs: Spread;
}

/** What one runtime did, in one way. */
export interface RuntimeSummary {
  readonly name: string;
  readonly throughput: readonly ThroughputSummary[];
  readonly latency: readonly LatencySummary[];
}

/** What goes to bench/results/batching-*.json. */
export interface BatchingReport extends Provenance {
  readonly model: string;
  readonly draft?: string;
  readonly settings: BatchingSettings & { readonly rounds: number };
  readonly runtimes: readonly RuntimeSummary[];
}

function spread(values: readonly number[]): Spread {
  return { median: percentile(values, 0.5), min: Math.min(...values), max: Math.max(...values) };
}

/** Sums up what the rounds of one runtime measured. */
export function summarize(name: string, rounds: readonly MeasuredBatching[]): RuntimeSummary {
  const first = rounds[0];
  if (first === undefined) return { name, throughput: [], latency: [] };
  const throughput = first.throughput.map(({ streams }, index): ThroughputSummary => {
    const of = (rate: (row: ThroughputRow) => number): readonly [Spread, Spread] => {
      const rates = rounds.flatMap((round) => round.throughput.slice(index, index + 1).map(rate));
      const ones = rounds.map(({ throughput: [one] }) => (one === undefined ? NaN : rate(one)));
      return [spread(rates), spread(rates.map((value, round) => value / (ones[round] ?? NaN)))];
    };
    const [tokensPerSecond, overOne] = of((row) => row.tokensPerSecond);
    const [decodeTokensPerSecond, decodeOverOne] = of((row) => row.decodeTokensPerSecond);
    return { streams, tokensPerSecond, overOne, decodeTokensPerSecond, decodeOverOne };
  });
  const latency = first.latency.map(({ streams }, index): LatencySummary => {
    const of = (figure: (row: LatencyRow) => number): Spread =>
      spread(rounds.flatMap((round) => round.latency.slice(index, index + 1).map(figure)));
    return {
      streams,
      quietP50: of(({ quietMs }) => percentile(quietMs, 0.5)),
      quietP99: of(({ quietMs }) => percentile(quietMs, 0.99)),
      loadedP50: of(({ loadedMs }) => percentile(loadedMs, 0.5)),
      loadedP99: of(({ loadedMs }) => percentile(loadedMs, 0.99)),
      loadedMax: of(({ loadedMs }) => percentile(loadedMs, 1)),
      loadedP99OverQuietP50: of(
        ({ quietMs, loadedMs }) => percentile(loadedMs, 0.99) / percentile(quietMs, 0.5),
      ),
      firstTokenMs: of(({ firstTokenMs }) => firstTokenMs),
    };
  });
  return { name, throughput, latency };
}

function shown({ median, min, max }: Spread, digits: number): string {
  return `${median.toFixed(digits)} (${min.toFixed(digits)}..${max.toFixed(digits)})`;
}

/** The report as tables for people. */
export function formatReport({ model, settings, runtimes }: BatchingReport): string {
  const right = Array<"right">(8).fill("right");
  const rates = runtimes.flatMap(({ name, throughput }) =>
    throughput.map(({ streams, ...row }) => [
      name,
      String(streams),
      shown(row.tokensPerSecond, 1),
      shown(row.overOne, 2),
      shown(row.decodeTokensPerSecond, 1),
      shown(row.decodeOverOne, 2),
    ]),
  );
  const times = runtimes.flatMap(({ name, latency }) =>
    latency.map((row) => [
      name,
      String(row.streams),
      shown(row.quietP50, 1),
      shown(row.loadedP50, 1),
      shown(row.loadedP99, 1),
      shown(row.loadedP99OverQuietP50, 2),
      shown(row.loadedMax, 0),
      shown(row.firstTokenMs, 0),
    ]),
  );
  return [
    `${model}, ${settings.threads} threads, ${settings.rounds} rounds: median (range)`,
    "",
    table(
      [["runtime", "streams", "tokens/s", "over one", "without prompts", "over one"], ...rates],
      ["left", ...right],
    ),
    "",
    `milliseconds between tokens, alone and while ${settings.longTokens} tokens are prefilled`,
    table(
      [["runtime", "streams", "quiet p50", "p50", "p99", "p99 / quiet p50", "max", "first token"], ...times],
      ["left", ...right],
    ),
    "",
  ].join("\n");
}
