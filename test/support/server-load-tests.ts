import { expect, test, vi } from "vitest";

import { startServe } from "./serve-process.js";
import { runLoad, sampleServer, slopeOf } from "./server-load.js";
import { smallFile } from "./tier-runtime.js";

/** How long, and what of memory is promised. */
export interface LoadTest {
  readonly seconds: number;
  /** More than this, in MiB, is not taken on top of what the server has when it is ready. */
  readonly maxGrowthMiB: number;
  /** How fast it may grow in the second half, in MiB per second; while the heap still finds its size, anything. */
  readonly maxSlope?: number;
}

/** 200 clients, of whom every fifth leaves in the middle: what is promised then. */
export function testLoad({ seconds, maxGrowthMiB, maxSlope = Infinity }: LoadTest): void {
  test(
    `200 clients for ${seconds} s, of whom every fifth leaves, get answers or are told to wait`,
    async () => {
      const limits = ["--parallel", "8", "--max-waiting", "64", "--kv-tokens", "8192"];
      await using server = await startServe(
        "-m",
        smallFile,
        "--ctx",
        "1024",
        "--port",
        "0",
        "--golden",
        "5",
        ...limits,
      );
      const before = await sampleServer(server.url, performance.now());
      const report = await runLoad({ url: server.url, clients: 200, seconds, leaving: 0.2 });
      expect(report.faults).toEqual([]);
      expect(report.finished).toBeGreaterThan(seconds);
      // Some of those who would leave have their answer by then: how many depends on the machine.
      expect(report.left).toBeGreaterThan(report.finished / 100);
      const after = await vi.waitFor(
        async () => {
          const sample = await sampleServer(server.url, performance.now());
          expect(sample.freePages).toBe(sample.pages);
          expect(sample.inFlight).toBe(0);
          // One for the client that asks, and what the runtime opens once.
          expect(sample.openFiles).toBeLessThan(before.openFiles + 8);
          return sample;
        },
        { timeout: 20_000, interval: 250 },
      );
      const slopes = (["residentMiB", "heapMiB", "externalMiB"] as const).map(
        (figure) => [figure, slopeOf(report.samples, figure, seconds / 2)] as const,
      );
      const last = report.samples.at(-1);
      console.log(
        JSON.stringify({
          ...{
            finished: report.finished,
            left: report.left,
            busy: report.busy,
            slopes: Object.fromEntries(slopes),
          },
          residentMiB: report.samples
            .filter((_, index) => index % 15 === 0)
            .map((one) => Math.round(one.residentMiB)),
          heapMiB: report.samples
            .filter((_, index) => index % 15 === 0)
            .map((one) => Math.round(one.heapMiB)),
          before,
          last,
          after,
        }),
      );
      const most = Math.max(...report.samples.map(({ residentMiB }) => residentMiB));
      expect(most - before.residentMiB).toBeLessThan(maxGrowthMiB);
      expect(slopes[0]?.[1]).toBeLessThan(maxSlope);
      const health = (await (await fetch(`${server.url}/health`)).json()) as { readonly status: string };
      expect(health.status).toBe("ok");
      server.kill("SIGTERM");
      expect(await server.ended).toBe(0);
    },
    seconds * 1000 + 120_000,
  );
}
