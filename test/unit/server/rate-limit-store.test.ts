import { expect, test } from "vitest";

import { SteadyRateStore } from "../../../lib/server/rate-limit-store.js";

function storeWith() {
  const clock = { now: 0 };
  const store = new SteadyRateStore(undefined, () => clock.now);
  const count = (key: string): readonly (number | undefined)[] => {
    let found: readonly (number | undefined)[] = [];
    store.incr(key, (_, result) => (found = [result?.current, result?.ttl]), 1000);
    return found;
  };
  return { clock, store, count };
}

test("counts each client in windows that begin with its first request", () => {
  const { clock, store, count } = storeWith();
  expect(count("a")).toEqual([1, 1000]);
  clock.now = 400;
  expect(count("a")).toEqual([2, 600]);
  expect(count("b")).toEqual([1, 1000]);
  store.read(
    "a",
    (_, result) => {
      expect(result).toEqual({ current: 2, ttl: 600 });
    },
    1000,
  );
  clock.now = 1000;
  expect(count("a")).toEqual([1, 1000]);
  expect(count("b")).toEqual([2, 400]);
});

test("forgets who was not heard of for the longest time", () => {
  const { count } = storeWith();
  for (let client = 0; client < 5000; client += 1) count(String(client));
  expect(count("0")).toEqual([2, 1000]);
  count("another");
  expect(count("0")).toEqual([3, 1000]);
  expect(count("1")).toEqual([1, 1000]); // it had to go
});
