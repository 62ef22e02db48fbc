import { expect } from "vitest";

/** What came of it. */
export interface StressReport {
  readonly answered: number;
  readonly aborted: number;
  /** Requests by the code that they failed with. */
  readonly failures: ReadonlyMap<string, number>;
  /** Decisions by their reason. */
  readonly reasons: ReadonlyMap<string, number>;
  readonly escalations: number;
  readonly fallbacks: number;
  readonly loads: number;
  readonly unloads: number;
  readonly throttles: number;
  /** Answers whose tokens were compared with those of the model alone. */
  readonly compared: number;
  /** Times that a model that nobody used was found with all its pages. */
  readonly wholePools: number;
  /** Most that all loaded models took at a time, of the budget: as planned, and as measured. */
  readonly plannedShare: number;
  readonly measuredShare: number;
  /** What did not hold; empty is as it should be. */
  readonly complaints: readonly string[];
}

/** Expects that all held, and that enough happened for that to mean something. */
export function expectHeld(report: StressReport, requests: number): void {
  console.log(report);
  expect(report.complaints).toEqual([]);
  const failed = [...report.failures.values()].reduce((sum, value) => sum + value, 0);
  expect(report.answered + report.aborted + failed).toBe(requests);
  expect(report.answered).toBeGreaterThan(requests / 4);
  expect(report.compared).toBeGreaterThan(requests / 10);
  expect(report.wholePools).toBeGreaterThan(requests / 40);
  for (const number of ["aborted", "loads", "unloads", "throttles", "escalations", "fallbacks"] as const)
    expect(report[number], number).toBeGreaterThan(0);
  expect(report.plannedShare).toBeGreaterThan(0.5);
  expect(report.plannedShare).toBeLessThanOrEqual(1);
  expect(report.measuredShare).toBeLessThanOrEqual(1);
}
