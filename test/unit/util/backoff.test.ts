import { describe, expect, test } from "vitest";

import { parseRetryAfter, retryDelayMs } from "../../../lib/util/backoff.js";
import { uniform } from "../../../lib/util/rng.js";

const settings = { retries: 20, retryBaseMs: 100, retryAfterLimitMs: 3000 };
const state = { attempts: 1, remainingMs: 60_000, random: 0.999 };

describe("retryDelayMs()", () => {
  test("draws from 0 to a bound that doubles, up to 8 s", () => {
    const longest = [1, 2, 3, 7, 8, 20].map((attempts) => retryDelayMs(settings, { ...state, attempts }));
    expect(longest.map((delay) => Math.ceil(delay ?? 0))).toEqual([100, 200, 400, 6394, 7992, 7992]);
    expect(retryDelayMs(settings, { ...state, random: 0 })).toBe(0);
  });

  test("spreads clients evenly (full jitter)", () => {
    const delays = Array.from({ length: 4000 }, (_, position) =>
      retryDelayMs(settings, { ...state, attempts: 4, random: uniform(7, position, "sample") }),
    );
    for (let quarter = 0; quarter < 4; quarter += 1) {
      const share =
        delays.filter((delay) => Math.floor((delay ?? -1) / 200) === quarter).length / delays.length;
      // Binomial with p = 1/4 and n = 4000: the standard deviation is 0.0068; this is 4.4 of them.
      expect(Math.abs(share - 0.25)).toBeLessThan(0.03);
    }
  });

  test("gives up after the retries", () => {
    const few = { ...settings, retries: 2 };
    expect([1, 2, 3].map((attempts) => retryDelayMs(few, { ...state, attempts }) !== undefined)).toEqual([
      true,
      true,
      false,
    ]);
  });

  test("never waits past the time that is left", () => {
    expect(retryDelayMs(settings, { ...state, remainingMs: 50 })).toBeUndefined();
    expect(retryDelayMs(settings, { ...state, remainingMs: -1, random: 0 })).toBeUndefined();
  });

  test("waits at least as long as Retry-After says, or not at all", () => {
    expect(retryDelayMs(settings, { ...state, retryAfterMs: 2000, random: 0 })).toBe(2000);
    expect(retryDelayMs(settings, { ...state, retryAfterMs: 2000, random: 0.5 })).toBe(2050);
    expect(retryDelayMs(settings, { ...state, retryAfterMs: 3001 })).toBeUndefined();
  });
});

describe("parseRetryAfter()", () => {
  const now = Date.parse("Wed, 21 Oct 2015 07:28:00 GMT");

  test.each([
    ["3", 3000],
    [" 0 ", 0],
    ["0.5", 500],
    ["Wed, 21 Oct 2015 07:28:30 GMT", 30_000],
    ["Wed, 21 Oct 2015 07:27:00 GMT", 0],
    ["soon", undefined],
    ["-3", undefined],
    ["", undefined],
    [null, undefined],
  ])("reads %j as %s ms", (header, expected) => {
    expect(parseRetryAfter(header, now)).toBe(expected);
  });
});
