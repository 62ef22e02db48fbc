// Takes the picture of the server's page for docs/server.md: npx tsx scripts/page-picture.ts
// Rates, guesses and pages are measured while it is taken; scores come from a test's classifier, and memory,
// temperature and power from made-up sensors.
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";

import { ask, findBrowser, launchBrowser, visit } from "../test/support/browser.js";
import { startPageServer } from "../test/support/page-server.js";

const picture = fileURLToPath(new URL("../docs/images/page.png", import.meta.url)) as `${string}.png`;
const questions = [
  ["auto", "What is the capital of Italy?"],
  ["large", "Write a Python function that adds two numbers."],
  ["large", "What does CPU stand for?"],
] as const;

const executable = findBrowser();
if (executable === undefined) process.exit(1);
const folder = mkdtempSync(join(tmpdir(), "air-picture-"));
const served = await startPageServer(folder);
const browser = await launchBrowser(executable);
try {
  const { page } = await visit(browser, served.url, { width: 1240, height: 1060 });
  await page.waitForSelector("#readings:not([hidden])");
  for (const [tier, question] of questions) {
    await page.select("#tier", tier);
    await ask(page, question);
    await new Promise((resolve) => setTimeout(resolve, 1500));
  }
  await page.screenshot({ path: picture });
  console.log(picture);
} finally {
  await browser.close();
  await served.close();
  rmSync(folder, { recursive: true });
}
