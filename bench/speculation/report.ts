import { table } from "../../lib/cli/text.js";
import type { StepTimes } from "./costs.js";
import type { Provenance } from "./results.js";
import type { SectionRow } from "./sections.js";

/** What the suite measured, as it goes to bench/results/speculation-*.json. */
export interface SpeculationSuiteReport extends Provenance {
  /** File names without ending. */
  readonly target: string;
  readonly draft?: string;
  readonly chat?: string;
  readonly settings: {
    readonly threads: number;
    readonly rounds: number;
    readonly promptsPerDomain: number;
  };
  readonly costs?: StepTimes;
  readonly sections: readonly { readonly title: string; readonly rows: readonly SectionRow[] }[];
}

function formatRow(row: SectionRow): readonly string[] {
  const { speedup, drafted, acceptanceRate, meanAcceptanceLength, predictedSpeedup } = row;
  const ratio = (value: number): string => `${value.toFixed(2)}x`;
  return [
    row.prompts,
    row.name,
    drafted > 0 ? `${(acceptanceRate * 100).toFixed(1)}%` : "-",
    drafted > 0 ? meanAcceptanceLength.toFixed(2) : "-",
    (1000 / row.targetOnly.tokensPerSecond).toFixed(2),
    (1000 / row.speculative.tokensPerSecond).toFixed(2),
    ratio(speedup.median),
    `${speedup.min.toFixed(2)}..${speedup.max.toFixed(2)}`,
    predictedSpeedup === undefined ? "" : ratio(predictedSpeedup),
    ...(row.differentTexts > 0 ? [`${row.differentTexts} texts differ`] : []),
    ...((row.unexpectedTexts ?? 0) > 0 ? ["not the expected answer"] : []),
    ...(row.disabledReason === undefined || row.draftTokens !== undefined
      ? []
      : [`off: ${row.disabledReason}`]),
  ];
}

const header = [
  ...["prompts", "setting", "accepted", "tokens/cycle", "ms/token alone", "ms/token"],
  ...["speed-up", "range", "predicted"],
];

/** The costs of steps, in milliseconds and in units of a step of one row. */
export function formatCosts({ rowMs, draftMs }: StepTimes): string {
  const rows = rowMs.map((ms, index) => `${index + 1}: ${(ms / (rowMs[0] ?? ms)).toFixed(2)}`).join("  ");
  const first = rowMs[0] ?? NaN;
  const draft =
    draftMs === undefined
      ? ""
      : `\na draft token takes ${draftMs.toFixed(3)} ms, c = ${(draftMs / first).toFixed(3)}`;
  return `a step of one row takes ${first.toFixed(2)} ms; v(rows) over it: ${rows}${draft}`;
}

/** Costs and sections as tables for people. */
export function formatReport({
  machine,
  settings,
  costs,
  sections,
  ...models
}: SpeculationSuiteReport): string {
  const { target, draft, chat } = models;
  const alignment = ["left", "left", ...Array.from({ length: 7 }, () => "right" as const)] as const;
  return [
    `${machine.cpu}, ${machine.isa}, ${settings.threads} threads; load average ${machine.loadAverage.toFixed(1)}`,
    `target ${target}, draft ${draft ?? "none"}, chat model ${chat ?? "none"}; medians of ${settings.rounds} rounds`,
    ...(costs === undefined ? [] : ["", formatCosts(costs)]),
    ...sections.flatMap(({ title, rows }) => ["", title, table([header, ...rows.map(formatRow)], alignment)]),
    "",
  ].join("\n");
}
