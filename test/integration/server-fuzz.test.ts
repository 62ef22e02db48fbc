import { test } from "vitest";

import { fuzzSmallServer } from "../support/fuzz-server.js";

test("600 spoilt bodies are refused with an error object, or answered", async () => {
  await fuzzSmallServer(7, 600);
});
