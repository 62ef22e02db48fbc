/** A headless Chromium for tests of the page. */
import { existsSync } from "node:fs";

import puppeteer, { type Browser, type Page } from "puppeteer-core";

const places = [
  ...[
    process.env["AIR_CHROMIUM"],
    "/usr/bin/chromium",
    "/usr/bin/chromium-browser",
    "/usr/bin/google-chrome",
  ],
];

/** The browser's path; undefined where there is none, which AIR_REQUIRE_TOOLS=1 (CI) makes a failure. */
export function findBrowser(): string | undefined {
  const found = places.find((place) => place !== undefined && existsSync(place));
  if (found !== undefined) return found;
  if (process.env["AIR_REQUIRE_TOOLS"] === "1")
    throw new Error("expected Chromium for the page but found none");
  console.log("not checked: the page (no Chromium; AIR_CHROMIUM names one)");
  return undefined;
}

/** Starts it. The very first start after an installation may hang, so that there is a second try. */
export async function launchBrowser(executablePath: string): Promise<Browser> {
  const launch = () =>
    puppeteer.launch({
      executablePath,
      pipe: true,
      protocolTimeout: 30_000,
      // Tests run as root in containers, where Chromium's sandbox does not start and /dev/shm is small.
      args: ["--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--disable-background-networking"],
    });
  try {
    return await launch();
  } catch {
    return await launch();
  }
}

/** What a visit left in the browser's log. */
export interface Visit {
  readonly page: Page;
  /** URLs that the page asked for. */
  readonly requests: readonly string[];
  /** Errors of scripts, of the policy and of the network. */
  readonly problems: readonly string[];
}

/** Opens the page of a server, in a window of its own storage. */
export async function visit(
  browser: Browser,
  url: string,
  { width = 1280, height = 800, scheme = "light" } = {},
): Promise<Visit> {
  const context = await browser.createBrowserContext();
  const page = await context.newPage();
  const requests: string[] = [];
  const problems: string[] = [];
  page.on("request", (request) => requests.push(request.url()));
  page.on("console", (message) => {
    if (message.type() === "error") problems.push(message.text());
  });
  page.on("pageerror", ({ message }) => problems.push(message));
  await page.emulateMediaFeatures([{ name: "prefers-color-scheme", value: scheme }]);
  await page.setViewport({ width, height });
  await page.goto(url);
  await page.waitForSelector("#tier option:nth-child(2), #key-form:not([hidden])");
  return { page, requests, problems };
}

/** Types a question, sends it with the Enter key, and waits for the end of the answer where that is wanted. */
export async function ask(page: Page, question: string, untilEnd = true): Promise<void> {
  await page.type("#prompt", question);
  await page.keyboard.press("Enter");
  await page.waitForSelector("#log .turn:last-child");
  if (untilEnd) await page.waitForSelector("#log .turn:last-child:not([aria-busy])");
}

/** The text of what a selector finds; empty where it finds nothing. */
export function textOf(page: Page, selector: string): Promise<string> {
  return page.$$eval(selector, (found) => found.map(({ textContent }) => textContent).join(""));
}
