import { createHash } from "node:crypto";
import { readdirSync, readFileSync } from "node:fs";
import { extname, join } from "node:path";
import { fileURLToPath } from "node:url";

import type { FastifyInstance, FastifyReply, FastifyRequest } from "fastify";

import { asEventStream } from "./event-stream.js";
import { ApiError, formOfStatus } from "./http-errors.js";
import { LiveFeed } from "./live-feed.js";
import { liveReport } from "./live.js";
import type { ServerContext } from "./server-context.js";

/** Routes that anybody may ask for: the page holds nothing but itself, and asks for the key that the API wants. */
export const pageRoutes = ["/", "/air/page/:file"] as const;

/** Where the files of the page are: beside this module, which the build keeps so. */
const folder = fileURLToPath(new URL("page/", import.meta.url));

const contentTypes: Readonly<Record<string, string>> = {
  ".html": "text/html; charset=utf-8",
  ".css": "text/css; charset=utf-8",
  ".js": "text/javascript; charset=utf-8",
  ".svg": "image/svg+xml",
};

/**
 * Only files of this server, and requests to nobody else. No script can make HTML of a text (trusted types without a
 * policy), and no other page can hold this one in a frame.
 */
const securityPolicy = [
  "default-src 'none'",
  "script-src 'self'",
  "style-src 'self'",
  "img-src 'self'",
  "connect-src 'self'",
  "base-uri 'none'",
  "form-action 'none'",
  "frame-ancestors 'none'",
  "require-trusted-types-for 'script'",
  "trusted-types 'none'",
].join("; ");

const headers = {
  "content-security-policy": securityPolicy,
  "x-content-type-options": "nosniff",
  "referrer-policy": "no-referrer",
  "cross-origin-opener-policy": "same-origin",
  "cross-origin-resource-policy": "same-origin",
  // Asked again every time, and answered with 304: a new version is seen at once.
  "cache-control": "no-cache",
};

interface PageFile {
  readonly type: string;
  readonly tag: string;
  readonly bytes: Buffer;
}

/** The files of the page, by name. */
function readPage(): ReadonlyMap<string, PageFile> {
  const files = new Map<string, PageFile>();
  for (const name of readdirSync(folder)) {
    const type = contentTypes[extname(name)];
    if (type === undefined) continue;
    const bytes = readFileSync(join(folder, name));
    const tag = `"${createHash("sha256").update(bytes).digest("base64url").slice(0, 22)}"`;
    files.set(name, { type, tag, bytes });
  }
  return files;
}

function sendFile(request: FastifyRequest, reply: FastifyReply, file: PageFile | undefined): FastifyReply {
  if (file === undefined)
    throw new ApiError(formOfStatus(404), "expected a file of the page but received another");
  void reply.headers(headers).header("etag", file.tag);
  if (request.headers["if-none-match"] === file.tag) return reply.status(304).send();
  return reply.type(file.type).send(file.bytes);
}

/** The page at `/`, its files, and GET /air/live: a report as JSON, or one each second as server-sent events. */
export function addPageRoutes(server: FastifyInstance, { runtime }: ServerContext): void {
  const files = readPage();
  const open = { config: { rateLimit: false } } as const;
  server.get("/", open, (request, reply) => sendFile(request, reply, files.get("index.html")));
  server.get<{ Params: { file: string } }>("/air/page/:file", open, (request, reply) =>
    sendFile(request, reply, files.get(request.params.file)),
  );
  const feed = new LiveFeed(() => liveReport(runtime));
  server.addHook("preClose", (done) => {
    feed.close(); // it would never end by itself
    done();
  });
  server.get("/air/live", (request, reply) => {
    void reply.header("cache-control", "no-store");
    if (request.headers.accept?.includes("text/event-stream") !== true)
      return reply.send(liveReport(runtime));
    return asEventStream(reply).send(feed.open());
  });
}
