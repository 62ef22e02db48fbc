import { fileURLToPath } from "node:url";

import { expect, test } from "vitest";

import { killSaves } from "../support/kill-mid-save.js";

test("40 writers of a session file are killed at random times: there is a whole file or none", async () => {
  const model = fileURLToPath(new URL("../../models/air-tiny-chat-q4_0.gguf", import.meta.url));
  expect(await killSaves(model, 40)).toBeGreaterThan(3);
});
