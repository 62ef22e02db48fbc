/// <reference lib="dom" />
import { mkdtempSync, rmSync } from "node:fs";
import { createRequire } from "node:module";
import { readFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";

import type { AxeResults } from "axe-core";
import type { Browser, Page } from "puppeteer-core";
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from "vitest";

import { AirCapacityError } from "../../lib/errors/air-error.js";
import { hashApiKey } from "../../lib/server/api-keys.js";
import { type AirServer, createServer } from "../../lib/server/server.js";
import type { ServerOptions } from "../../lib/server/server-options.js";
import { ask, findBrowser, launchBrowser, textOf, visit } from "../support/browser.js";
import { FakeRuntime, hang } from "../support/fake-runtime.js";
import { listen, type PageServer, startPageServer } from "../support/page-server.js";

const executable = findBrowser();
const axeFile = createRequire(import.meta.url).resolve("axe-core/axe.min.js");

let browser: Browser;

/** Id of the element with the focus. */
const focused = (page: Page) => page.evaluate(() => document.activeElement?.id ?? "");

/** What axe finds wrong, in one line each. */
async function violations(page: Page): Promise<readonly string[]> {
  await page.evaluate(await readFile(axeFile, "utf8"));
  const { violations: found } = (await page.evaluate("axe.run(document)")) as AxeResults;
  return found.map(({ id, nodes }) => `${id}: ${nodes.map(({ html }) => html).join(" ")}`);
}

/** How wide the page and the log would have to be for all that is in them. */
const widthOf = (page: Page) =>
  page.evaluate(() => {
    const log = document.querySelector("#log") ?? document.body;
    return document.documentElement.scrollWidth + (log.scrollWidth - log.clientWidth);
  });

describe.skipIf(executable === undefined)("the page", () => {
  beforeAll(async () => {
    browser = await launchBrowser(executable ?? "");
  }, 120_000);
  afterAll(() => browser.close());
  afterEach(async () => {
    await Promise.all(
      browser
        .browserContexts()
        .slice(1)
        .map((context) => context.close()),
    );
  });

  describe("of two bundled models", () => {
    const folder = mkdtempSync(join(tmpdir(), "air-page-"));
    let served: PageServer;
    beforeAll(async () => {
      served = await startPageServer(folder);
    });
    afterAll(async () => {
      await served.close();
      rmSync(folder, { recursive: true });
    });

    test("streams an answer, marks the guesses that were right, and says who answered why", async () => {
      const { page, problems } = await visit(browser, served.url);
      await page.select("#tier", "large");
      await page.evaluate(() => {
        const seen = new Set<string>();
        new MutationObserver(() =>
          seen.add(document.querySelector(".answer-text")?.textContent ?? ""),
        ).observe(document.querySelector("#log") as Node, {
          subtree: true,
          childList: true,
          characterData: true,
        });
        Object.assign(globalThis, { seen });
      });
      const question = "Write a Python function that adds two numbers.";
      await ask(page, question);
      const text = await textOf(page, ".answer-text");
      const [reply] = await Promise.all([
        served.runtime.generate([{ role: "user", content: question }], { tier: "large", maxTokens: 512 })
          .result,
      ]);
      expect(text).toBe(reply.text);
      const pieces = await page.evaluate(() => [...(globalThis as unknown as { seen: Set<string> }).seen]);
      expect(pieces.length).toBeGreaterThan(3);
      for (const piece of pieces) expect(text.startsWith(piece)).toBe(true);

      const strip = await textOf(page, ".strip");
      const [, accepted, drafted] = /Guesses right(\d+) of (\d+)/.exec(strip) ?? [];
      expect(Number(drafted)).toBe(reply.speculative?.drafted);
      const marked = await page.$$eval(".answer-text .drafted", (spans) => spans.length);
      expect(marked).toBeGreaterThan(2);
      // The last guess that was right may be the end of the text, which has no text itself.
      expect(Number(accepted) - marked).toBeOneOf([0, 1]);
      expect(strip).toMatch(
        /^Tierlarge.*Score0\.10.*Rate[\d.,]+ tokens\/s.*Tokens\d+.*First token.*Prompt\d+, \d+ reused/,
      );
      expect(await textOf(page, ".reason")).toMatch(/large.*Guesses by draft-model\.$/);
      expect(problems).toEqual([]);
    });

    test("marks nothing where no guesses are wanted", async () => {
      const { page } = await visit(browser, served.url);
      await page.select("#tier", "large");
      await page.click("#settings summary");
      await page.click("#drafts");
      await ask(page, "What is the capital of France?");
      expect(await textOf(page, ".answer-text")).toContain("Paris");
      expect(await page.$$(".answer-text .drafted")).toHaveLength(0);
    });

    test("shows pages by class, prefix hits and the machine", async () => {
      const { page } = await visit(browser, served.url);
      await page.waitForSelector("#readings:not([hidden])");
      const tiers = await textOf(page, "#tiers");
      expect(tiers).toMatch(/full heads\d+ in use, \d+ kept, of 64 pages/);
      expect(tiers).toMatch(/stream heads\d+ in use, \d+ kept, of \d+ pages/);
      const machine = await textOf(page, "#machine");
      expect(machine).toContain("temperature61.5 \u00b0C, limit 85.0 \u00b0C (cpu-thermal)");
      expect(machine).toContain("power6.4 W");
      await page.select("#tier", "large");
      const long = `${"These words are the same each time. ".repeat(20)}What is the capital of Italy?`;
      await ask(page, long);
      await ask(page, long);
      await page.waitForFunction(() =>
        /prefix hits[1-9]\d* of \d+/.test(
          document.querySelector('[aria-label="Tier large"]')?.textContent ?? "",
        ),
      );
    });

    test.each([
      ["light", 1280],
      ["dark", 1280],
      ["light", 360],
      ["dark", 360],
    ])("has nothing that axe objects to, %s and %i pixels wide", async (scheme, width) => {
      const { page } = await visit(browser, served.url, { scheme, width });
      await page.waitForSelector("#readings:not([hidden])", { timeout: 5000 });
      await page.$eval("#panel", (panel) => {
        panel.setAttribute("open", "");
      });
      expect(await violations(page)).toEqual([]);
      await page.select("#tier", "large");
      await ask(page, "What does CPU stand for?");
      expect(await page.$$(".answer-text .drafted")).not.toHaveLength(0);
      expect(await violations(page)).toEqual([]);
      await page.click("#settings summary");
      expect(await violations(page)).toEqual([]);
    });
  });

  describe("of a scripted runtime", () => {
    let runtime: FakeRuntime;
    let server: AirServer | undefined;
    beforeEach(() => {
      runtime = new FakeRuntime();
    });
    afterEach(async () => {
      await server?.drain(0);
      server = undefined;
    });

    async function open(options: ServerOptions = {}, window: Parameters<typeof visit>[2] = {}) {
      server = createServer(runtime, options);
      return visit(browser, await listen(server), window);
    }

    test("stops an answer at the Escape key, and keeps what came of it", async () => {
      runtime.script = [["some", " text", hang], ["more"]];
      const { page } = await open();
      await ask(page, "go on", false);
      await page.waitForFunction(() => document.querySelector(".answer-text")?.textContent === "some text");
      await page.keyboard.press("Escape");
      expect(await runtime.requests[0]?.cancelled).toBe(true);
      await page.waitForSelector(".turn:not([aria-busy])");
      expect(await textOf(page, ".outcome")).toBe("Stopped.");
      expect(await textOf(page, "#status")).toContain("Stopped.");
      expect(await focused(page)).toBe("prompt");
      await ask(page, "and then?");
      expect(runtime.requests[1]?.input).toEqual([
        { role: "user", content: "go on" },
        { role: "assistant", content: "some text" },
        { role: "user", content: "and then?" },
      ]);
    });

    test("can be used with the keyboard alone, in the order that is seen", async () => {
      runtime.script = [["text", hang]];
      const { page } = await open();
      // From the prompt to the end of the page, where the browser's own controls would come, and on from the top.
      while ((await page.evaluate(() => document.activeElement?.tagName)) !== "BODY")
        await page.keyboard.press("Tab");
      const order: string[] = [];
      for (let press = 0; press < 8; press += 1) {
        await page.keyboard.press("Tab");
        order.push(
          await page.evaluate(
            () => [document.activeElement?.id, document.activeElement?.className].find(Boolean) ?? "",
          ),
        );
        const isSeen = await page.evaluate(() => {
          const style = getComputedStyle(document.activeElement ?? document.body);
          return style.outlineStyle !== "none" && Number.parseFloat(style.outlineWidth) >= 2;
        });
        expect(isSeen, order.at(-1)).toBe(true);
      }
      expect(order).toEqual(["skip", "tier", "", "clear", "log", "prompt", "send", ""]);
      await page.focus("#prompt");
      await page.keyboard.type("two");
      await page.keyboard.down("Shift");
      await page.keyboard.press("Enter");
      await page.keyboard.up("Shift");
      await page.keyboard.type("lines");
      await page.keyboard.press("Enter");
      await page.waitForSelector("#stop:not([hidden])");
      expect(runtime.requests[0]?.input).toEqual([{ role: "user", content: "two\nlines" }]);
      await page.keyboard.press("Tab");
      expect(await focused(page)).toBe("stop");
      await page.keyboard.press("Enter");
      expect(await runtime.requests[0]?.cancelled).toBe(true);
      await page.waitForSelector(".turn:not([aria-busy])");
      expect(await focused(page)).toBe("prompt");
    });

    test("tells screen readers of an answer once, in a few pieces", async () => {
      const words = Array.from({ length: 120 }, (_, index) => (index % 6 === 5 ? "end. " : "word "));
      runtime.script = [words];
      const { page } = await open();
      await page.evaluate(() => {
        const told: string[] = [];
        new MutationObserver((records) => {
          for (const { addedNodes } of records)
            for (const node of addedNodes) told.push(node.textContent ?? "");
        }).observe(document.querySelector("#announcements") as Node, { childList: true });
        Object.assign(globalThis, { told });
      });
      await ask(page, "hi");
      const told = await page.evaluate(() => (globalThis as unknown as { told: string[] }).told);
      expect(told.length).toBeGreaterThan(0);
      expect(told.length).toBeLessThan(4);
      expect(told.join("")).toBe(words.join(""));
      expect(await page.$$eval("#log[aria-live], .answer-text[aria-live]", (live) => live.length)).toBe(0);
      expect(await textOf(page, "#status")).toContain("The answer is complete.");
    });

    test("shows text as text, and lets no script of its own make it anything else", async () => {
      const nasty =
        '<img src="x" onerror="globalThis.hacked = true"><script>globalThis.hacked = true</script>';
      runtime.script = [[nasty, { guessed: "<b>bold</b>" }]];
      const { page, problems } = await open();
      await ask(page, nasty);
      expect(await textOf(page, ".answer-text")).toBe(`${nasty}<b>bold</b>`);
      expect(await textOf(page, ".question")).toBe(nasty);
      expect(await page.$$("#log img, #log script, #log b")).toHaveLength(0);
      expect(problems).toEqual([]);
      const attempts = await page.evaluate(() => {
        const outcomes: string[] = [];
        for (const attempt of [
          () => (document.body.innerHTML = "<p>html</p>"),
          () => {
            document.body.insertAdjacentHTML("beforeend", "<p>html</p>");
          },
          () => {
            Object.assign(document.createElement("script"), { src: "https://example.com/x.js" });
          },
        ]) {
          try {
            attempt();
            outcomes.push("done");
          } catch (error) {
            outcomes.push((error as Error).name);
          }
        }
        return outcomes;
      });
      expect(attempts).toEqual(["TypeError", "TypeError", "TypeError"]);
    });

    test("asks nobody else for anything, and may not", async () => {
      const { page, requests, problems } = await open();
      await ask(page, "hi");
      await page.waitForSelector("#readings:not([hidden])");
      const { origin } = new URL(page.url());
      expect(requests.length).toBeGreaterThan(10);
      expect(requests.filter((url) => new URL(url).origin !== origin)).toEqual([]);
      expect(problems).toEqual([]);
      // Another server of this machine would answer, if the policy let it be asked.
      const other = createServer(new FakeRuntime(), { corsOrigins: ["*"] });
      const url = await listen(other);
      const refused = await page.evaluate(
        (target) =>
          fetch(`${target}/health`).then(
            () => "answered",
            () => "refused",
          ),
        url,
      );
      await other.close();
      expect(refused).toBe("refused");
      expect(problems.join("\n")).toContain("Content Security Policy");
    });

    test("has no sideways scrolling at 360 pixels, whatever the text", async () => {
      const word = "unbroken".repeat(40);
      runtime.script = [[word, { guessed: word }]];
      const { page } = await open({}, { width: 360, height: 640 });
      expect(await widthOf(page)).toBe(360);
      await ask(page, word);
      expect(await widthOf(page)).toBe(360);
      await page.$eval("#panel", (panel) => {
        panel.setAttribute("open", "");
      });
      await page.click("#settings summary");
      expect(await widthOf(page)).toBe(360);
      await page.setViewport({ width: 300, height: 640 });
      expect(await widthOf(page)).toBe(300);
    });

    test("moves nothing for those who want it so", async () => {
      runtime.script = [["text", hang]];
      const { page } = await open();
      await ask(page, "hi", false);
      const animation = () =>
        page.evaluate(
          () =>
            getComputedStyle(document.querySelector(".answer-text") ?? document.body, "::after")
              .animationName,
        );
      await page.waitForSelector(".turn[aria-busy]");
      expect(await animation()).toBe("blink");
      await page.emulateMediaFeatures([{ name: "prefers-reduced-motion", value: "reduce" }]);
      expect(await animation()).toBe("none");
    });

    test("says what went wrong", async () => {
      runtime.script = [[new AirCapacityError("AIR_ERR_OVERLOADED", "too many")], ["fine"]];
      const { page } = await open();
      await ask(page, "hi");
      expect(await textOf(page, ".outcome.problem")).toContain("The model is busy.");
      await ask(page, "again");
      expect(runtime.requests[1]?.input).toEqual([{ role: "user", content: "again" }]);
      await server?.drain(0);
      await page.waitForFunction(() =>
        document.querySelector("#panel-state")?.textContent.startsWith("No connection"),
      );
      await ask(page, "anybody?");
      expect(await textOf(page, ".turn:last-child .outcome")).toBe("The server cannot be reached.");
    });

    test("asks for the key where one is wanted, and keeps it in the tab alone", async () => {
      const { page } = await open({ apiKeys: [{ hash: hashApiKey("right"), name: "me" }] });
      expect(await focused(page)).toBe("key");
      expect(await violations(page)).toEqual([]);
      await page.keyboard.type("wrong");
      await page.keyboard.press("Enter");
      await page.waitForFunction(() => document.querySelector("#key-problem")?.textContent !== "");
      await page.$eval("#key", (input) => {
        (input as HTMLInputElement).select();
      });
      await page.keyboard.type("right");
      await page.keyboard.press("Enter");
      await page.waitForSelector("#readings:not([hidden])");
      expect(await focused(page)).toBe("prompt");
      await ask(page, "hi");
      expect(await textOf(page, ".answer-text")).toBe("hello world");
      const stored = await page.evaluate(() => [
        Object.values(sessionStorage),
        localStorage.length,
        document.cookie,
      ]);
      expect(stored).toEqual([["right"], 0, ""]);
      await page.click("#settings summary");
      await page.click("#forget");
      expect(await page.evaluate(() => sessionStorage.length)).toBe(0);
      expect(await page.$("#key-form:not([hidden])")).not.toBeNull();
    });
  });
});
