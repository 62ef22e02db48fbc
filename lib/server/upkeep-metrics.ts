import { Gauge, type Registry } from "prom-client";

import type { Canary } from "./canary.js";
import type { VersionFigures } from "./canary-figures.js";
import { type GoldenCheck, type GoldenReport, isTrusted } from "./golden-check.js";
import type { RequestLog } from "./request-log.js";

/** What figures are read of. */
interface Watched {
  readonly golden: Pick<GoldenCheck, "reports"> | undefined;
  readonly canary: Pick<Canary, "report"> | undefined;
  readonly requestLog: Pick<RequestLog, "stats"> | undefined;
}

/** Figures of the golden check, the canary and the request log, read whenever somebody asks. */
export function addUpkeepMetrics(registry: Registry, context: Watched): void {
  const gauge = (
    name: string,
    help: string,
    label: string,
    read: () => Readonly<Record<string, number | null>> | undefined,
  ): void => {
    new Gauge({
      ...{ name, help, labelNames: [label], registers: [registry] },
      collect() {
        this.reset();
        for (const [value, count] of Object.entries(read() ?? {})) {
          if (count !== null) this.set({ [label]: value }, count);
        }
      },
    });
  };
  const byTier = (read: (report: GoldenReport) => number) => (): Record<string, number> =>
    Object.fromEntries(
      Object.entries(context.golden?.reports ?? {}).map(([tier, report]) => [tier, read(report)]),
    );
  gauge(
    "air_golden_healthy",
    "1 while the model says what it always said",
    "tier",
    byTier((report) => (isTrusted(report) ? 1 : 0)),
  );
  gauge(
    "air_golden_checks",
    "Comparisons with the baseline, so far",
    "tier",
    byTier(({ checks }) => checks),
  );
  gauge(
    ...(["air_golden_divergences", "Comparisons that found a difference, so far", "tier"] as const),
    byTier(({ divergences }) => divergences),
  );
  gauge(
    "air_golden_reloads",
    "Models loaded again for it, so far",
    "tier",
    byTier(({ reloads }) => reloads),
  );
  const { canary, requestLog } = context;
  if (canary !== undefined) {
    const byVersion = (read: (figures: VersionFigures) => number | null) => () => ({
      current: read(canary.report.current),
      candidate: read(canary.report.candidate),
    });
    const versions: readonly [string, string, (figures: VersionFigures) => number | null][] = [
      ["air_canary_requests", "Requests that were compared, so far", ({ requests }) => requests],
      ["air_canary_failures", "Those that failed", ({ failures }) => failures],
      ["air_canary_mean_logprob", "Mean log-probability of tokens", ({ meanLogprob }) => meanLogprob],
      ["air_canary_token_ms", "Mean milliseconds between tokens", ({ meanTokenMs }) => meanTokenMs],
      [
        "air_canary_first_token_ms",
        "Mean milliseconds to the first token",
        ({ meanFirstTokenMs }) => meanFirstTokenMs,
      ],
    ];
    for (const [name, help, read] of versions) gauge(name, help, "version", byVersion(read));
    gauge("air_canary_share", "Part of the requests that a version gets", "version", () => ({
      candidate: canary.report.share,
    }));
  }
  if (requestLog !== undefined) {
    gauge("air_request_log_records", "Records of the request log, so far", "fate", () => ({
      written: requestLog.stats.written,
      dropped: requestLog.stats.dropped,
    }));
  }
}
