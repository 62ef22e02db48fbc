import { expect, test } from "vitest";

import { createServer } from "../../lib/server/server.js";
import { AirRuntime } from "../../lib/tiers/air-runtime.js";
import { fuzzServer } from "../support/fuzz-server.js";
import { calmSensors, smallFile } from "../support/tier-runtime.js";

test("6,000 spoilt bodies are refused with an error object, or answered", async () => {
  await using runtime = await AirRuntime.create(
    {
      tiers: [
        { name: "tiny", model: smallFile, contextTokens: 512, threads: 1, preload: true, maxTokens: 4 },
      ],
    },
    { sensors: calmSensors },
  );
  const server = createServer(runtime);
  const { answered, refused } = await fuzzServer(server, 11, 6000);
  // Else the bodies were spoilt too much, or too little, to say anything.
  expect(answered).toBeGreaterThan(200);
  expect(refused).toBeGreaterThan(200);
  const stats = runtime.model("tiny")?.stats;
  expect(stats?.freePages).toBe(stats?.usablePages);
  await server.close();
});
