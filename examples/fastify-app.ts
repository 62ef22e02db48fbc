// The server inside another Fastify program, under a prefix: npx tsx examples/fastify-app.ts
// Then http://127.0.0.1:3000/ai/ is the page, and http://127.0.0.1:3000/ai/v1 the base URL of OpenAI clients.
import { fileURLToPath } from "node:url";

import { fastify, type FastifyInstance } from "fastify";

import { AirRuntime } from "../lib/index.js";
import { type AirServer, createServer } from "../lib/server/index.js";

/**
 * Lets an air server answer everything below a prefix of another one, which must start with a slash and not end with
 * one. Hooks of `app` that were added before run first, so that it may check its own users.
 */
export async function mount(app: FastifyInstance, prefix: string, air: AirServer): Promise<void> {
  await air.ready();
  await app.register(
    (instance, _options, done) => {
      // Before a body is read: air reads it, with its own limits.
      instance.addHook("onRequest", (request, reply) => {
        reply.hijack();
        const { raw } = request;
        raw.url = raw.url?.slice(prefix.length);
        air.routing(raw, reply.raw);
      });
      instance.all("/*", () => undefined); // never reached; without a route there would be no hook
      done();
    },
    { prefix },
  );
  // The page asks for its files beside itself, so that its address has to end with a slash.
  app.get(prefix, (_request, reply) => reply.redirect(`${prefix}/`));
  // Streams of figures would keep the program from closing.
  app.addHook("preClose", () => air.close());
}

async function main(): Promise<void> {
  const model = fileURLToPath(new URL("../models/air-tiny-chat-q4_0.gguf", import.meta.url));
  await using runtime = await AirRuntime.create({ tiers: [{ name: "tiny", model, preload: true }] });
  const app = fastify();
  app.get("/", () => ({ hello: "world", models: "/ai/v1" }));
  await mount(app, "/ai", createServer(runtime, { maxAnswerTokens: 512 }));
  console.log(`${await app.listen({ port: 3000 })}/ai/ (Ctrl-C ends it)`);
  await new Promise((resolve) => process.once("SIGINT", resolve));
  await app.close();
}

if (process.argv[1] === fileURLToPath(import.meta.url)) await main();
