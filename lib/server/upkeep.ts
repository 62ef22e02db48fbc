import type { FastifyInstance } from "fastify";

import { GoldenBaselines } from "./golden-baselines.js";
import { GoldenCheck } from "./golden-check.js";
import type { ServerContext } from "./server-context.js";

/** The first check says what later ones are compared with, so it is not put off. */
const firstCheckMs = 10_000;

/** What a server does besides answering, from the time that it is ready until it closes. */
export function addUpkeep(server: FastifyInstance, context: ServerContext): void {
  const { golden, logger } = context.options;
  if (golden !== false) {
    let timer: NodeJS.Timeout | undefined;
    server.addHook("onReady", async () => {
      const check = new GoldenCheck(
        context.runtime,
        await GoldenBaselines.open(golden.baselineFile),
        golden,
        logger,
      );
      context.golden = check;
      timer = setTimeout(
        () => {
          void check.run();
          timer = setInterval(() => void check.run(), golden.intervalMs).unref();
        },
        Math.min(golden.intervalMs, firstCheckMs),
      ).unref();
    });
    server.addHook("preClose", (done) => {
      clearInterval(timer);
      void context.golden?.close(); // which may wait for a model
      done();
    });
  }
  server.addHook("onClose", async () => {
    await context.requestLog?.close();
  });
}
