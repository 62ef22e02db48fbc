import { afterEach, describe, expect, test } from "vitest";

import { type AirServer, createServer } from "../../../lib/server/server.js";
import { FakeRuntime } from "../../support/fake-runtime.js";

let server: AirServer | undefined;
afterEach(() => server?.close());

function start() {
  const runtime = new FakeRuntime();
  server = createServer(runtime);
  const target = server;
  /** The lines of /metrics that begin with a name, or have it as their subject. */
  const read = async (name: string): Promise<readonly string[]> =>
    (await target.inject("/metrics")).body
      .split("\n")
      .filter((line) => line.replace(/^# TYPE /, "").startsWith(name));
  return { runtime, read, server: target };
}

describe("the figures of a runtime", () => {
  test("have how many sequences shared a step, as a histogram", async () => {
    const { read } = start();
    expect(await read("air_step_sequences")).toEqual([
      "# TYPE air_step_sequences histogram",
      'air_step_sequences_bucket{tier="small",le="1"} 2',
      'air_step_sequences_bucket{tier="small",le="4"} 5',
      'air_step_sequences_bucket{tier="small",le="+Inf"} 5',
      'air_step_sequences_sum{tier="small"} 11',
      'air_step_sequences_count{tier="small"} 5',
    ]);
  });

  test("have what the prefix cache spared, and count nothing twice", async () => {
    const { read } = start();
    for (let round = 0; round < 2; round += 1) {
      expect(await read("air_prefix_")).toEqual([
        "# TYPE air_prefix_lookups_total counter",
        'air_prefix_lookups_total{tier="small"} 4',
        "# TYPE air_prefix_hits_total counter",
        'air_prefix_hits_total{tier="small"} 1',
        "# TYPE air_prefix_hit_tokens_total counter",
        'air_prefix_hit_tokens_total{tier="small"} 16',
      ]);
    }
  });

  test("have the pages that are in use, by class of heads", async () => {
    const { read } = start();
    expect(await read("air_kv_pages_used{")).toEqual(['air_kv_pages_used{tier="small",class="full"} 1']);
  });

  test("have nothing of models that are not loaded", async () => {
    const { read, runtime } = start();
    expect(await read("air_prefix_hits_total{")).toHaveLength(1);
    runtime.isLoaded = false;
    for (const name of ["air_step_sequences_", "air_prefix_hits_total{", "air_kv_pages_used{"])
      expect(await read(name)).toEqual([]);
  });

  test("have temperature and power as long as sensors tell them", async () => {
    const { read, runtime } = start();
    const names = [
      "air_temperature_celsius ",
      "air_temperature_limit_celsius ",
      "air_power_watts ",
      "air_throttling ",
    ];
    const all = async (): Promise<readonly string[]> =>
      (await Promise.all(names.map(read))).flat().filter((line) => !line.startsWith("#"));
    expect(await all()).toEqual([]);
    const hottest = { name: "cpu-thermal", celsius: 61.5, limitCelsius: 99 };
    runtime.machine = { memory: 0.5, heat: 0, hottest, isThrottling: true, watts: 14.2 };
    expect(await all()).toEqual([
      "air_temperature_celsius 61.5",
      "air_temperature_limit_celsius 99",
      "air_power_watts 14.2",
      "air_throttling 1",
    ]);
    runtime.machine = { memory: 0.5, heat: 0, hottest: undefined, isThrottling: false, watts: undefined };
    expect(await all()).toEqual(["air_throttling 0"]);
  });
});

test("answers leave their tokens, times, decisions and guesses in the figures", async () => {
  const { read, server: target } = start();
  const response = await target.inject({
    ...{ method: "POST", url: "/v1/completions", headers: { "content-type": "application/json" } },
    payload: { prompt: "hi" },
  });
  expect(response.statusCode).toBe(200);
  const lines = [
    'air_tokens_total{tier="small",kind="prompt"} 7',
    'air_tokens_total{tier="small",kind="reused"} 2',
    'air_tokens_total{tier="small",kind="generated"} 11',
    'air_time_to_first_token_seconds_count{tier="small"} 1',
    'air_inter_token_seconds_count{tier="small"} 1',
    'air_routed_total{tier="small",reason="score"} 1',
    "air_escalations 3",
    'air_tier_waiting{tier="small"} 2',
  ];
  for (const line of lines) expect(await read(line)).toEqual([line]);
});
