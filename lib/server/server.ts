import { randomUUID } from "node:crypto";
import type { Socket } from "node:net";

import cors from "@fastify/cors";
import rateLimit from "@fastify/rate-limit";
import underPressure from "@fastify/under-pressure";
import {
  fastify,
  type FastifyInstance,
  type FastifyReply,
  type FastifyRequest,
  LogController,
} from "fastify";

import { authenticate } from "./api-keys.js";
import { chatHandler, completionHandler } from "./completion-routes.js";
import { embeddingsHandler } from "./embedding-routes.js";
import { ApiError, errorBody, formOfStatus, toHttpFailure } from "./http-errors.js";
import { addHealthRoutes, addModelRoutes, tokenizeHandler } from "./info-routes.js";
import { ServerMetrics } from "./metrics.js";
import { addUpkeep } from "./upkeep.js";
import { docsPage, openApiDocument } from "./openapi.js";
import { addPageRoutes, pageRoutes } from "./page-routes.js";
import { parseJson } from "./parse-body.js";
import { SteadyRateStore } from "./rate-limit-store.js";
import type { ServedRuntime } from "./served-runtime.js";
import { ServerContext } from "./server-context.js";
import { type ResolvedServerOptions, resolveServerOptions, type ServerOptions } from "./server-options.js";

/** A server, which is a Fastify instance: listen(), inject(), register() and the rest are Fastify's. */
export interface AirServer extends FastifyInstance {
  /**
   * Stops taking requests, lets those under way finish for so long, ends the others, and closes. The runtime stays open:
   * it is its maker's.
   */
  drain(deadlineMs?: number): Promise<void>;
}

/** What anybody may ask, and what is answered while the server is busy or closing. */
const openRoutes: ReadonlySet<string> = new Set(["/health", "/ready"]);
const publicRoutes: ReadonlySet<string> = new Set([...openRoutes, "/openapi.json", "/docs", ...pageRoutes]);

function routeOf(request: FastifyRequest): string {
  return request.routeOptions.url ?? "unknown";
}

/** Whether a route is asked all the time, so that each time is not worth a line. */
function isProbe(route: string): boolean {
  return openRoutes.has(route) || route === "/metrics";
}

/** Longest wait that is suggested to a client, in seconds. */
const longestRetrySeconds = 60;

function sendFailure(
  context: ServerContext,
  error: unknown,
  request: FastifyRequest,
  reply: FastifyReply,
): FastifyReply {
  const { status, body, cause, code } = toHttpFailure(error);
  if (status >= 500) {
    // Messages of a remote endpoint, and of what a client sent, may quote prompts.
    const isOwn = status === 500 && error instanceof Error;
    request.log.error({ cause, code, ...(isOwn && { message: error.message }) }, "request failed");
  }
  if (status === 503 && !reply.hasHeader("retry-after")) {
    const seconds = Math.ceil(Math.min(longestRetrySeconds, Math.max(1, context.metrics.meanSeconds)));
    void reply.header("retry-after", String(seconds));
  }
  if (status === 401) void reply.header("www-authenticate", "Bearer");
  return reply.status(status).header("content-type", "application/json; charset=utf-8").send(body);
}

/** Answers what is no HTTP, or came too slowly, in the form of all errors; nothing else can be done with the socket. */
function refuseSocket(error: NodeJS.ErrnoException, socket: Socket): void {
  if (error.code === "ECONNRESET" || socket.destroyed || !socket.writable) {
    socket.destroy();
    return;
  }
  const status =
    error.code === "HPE_HEADER_OVERFLOW" ? 431 : error.code === "ERR_HTTP_REQUEST_TIMEOUT" ? 408 : 400;
  const reasons: Readonly<Record<number, string>> = {
    400: "Bad Request",
    408: "Request Timeout",
    431: "Request Header Fields Too Large",
  };
  const reason = reasons[status] ?? "";
  const body = JSON.stringify(errorBody(formOfStatus(status), `${reason}.`));
  socket.end(
    `HTTP/1.1 ${status} ${reason}\r\ncontent-type: application/json; charset=utf-8\r\n` +
      `content-length: ${Buffer.byteLength(body)}\r\nconnection: close\r\n\r\n${body}`,
  );
}

function createInstance(options: ResolvedServerOptions): FastifyInstance {
  const { tls, logger, maxBodyBytes, requestTimeoutMs } = options;
  const http = {
    connectionsCheckingInterval: Math.min(5000, requestTimeoutMs),
    headersTimeout: requestTimeoutMs,
  };
  const common = {
    ...(logger === undefined ? { logger: false } : { loggerInstance: logger }),
    bodyLimit: maxBodyBytes,
    requestTimeout: requestTimeoutMs,
    // Own hooks: nothing of a request is logged but its route, and those that are late get an error object.
    logController: new LogController({ disableRequestLogging: true }),
    return503OnClosing: false,
    forceCloseConnections: "idle" as const,
    genReqId: () => randomUUID(),
    clientErrorHandler: refuseSocket,
    frameworkErrors: (error: Error, _request: unknown, reply: FastifyReply) => {
      const { status, body } = toHttpFailure(error);
      void reply.status(status).send(body);
    },
  };
  return tls === undefined
    ? fastify({ ...common, http })
    : fastify({ ...common, https: { ...http, ...tls } });
}

function addGuards(server: FastifyInstance, context: ServerContext): void {
  const { apiKeys, corsOrigins, pressure, rateLimit: limit } = context.options;
  server.addHook("onRequest", (request, reply, done) => {
    void reply.header("x-request-id", request.id);
    if (!context.isDraining || openRoutes.has(routeOf(request))) done();
    else done(new ApiError(formOfStatus(503), "The server is shutting down."));
  });
  void server.register(underPressure, {
    maxEventLoopDelay: pressure.maxEventLoopDelayMs,
    maxHeapUsedBytes: pressure.maxHeapBytes,
    maxRssBytes: pressure.maxResidentBytes,
    pressureHandler: (request) => {
      if (!isProbe(routeOf(request))) throw new ApiError(formOfStatus(503), "The server is overloaded.");
    },
  });
  if (corsOrigins.length > 0) {
    void server.register(cors, { origin: corsOrigins.includes("*") ? "*" : [...corsOrigins] });
  }
  // In a plugin, as hooks of plugins that were registered before have to come first.
  void server.register((_instance, _options, done) => {
    server.addHook("onRequest", (request, _reply, next) => {
      if (apiKeys !== undefined && !publicRoutes.has(routeOf(request))) {
        context.identify(request, authenticate(apiKeys, request.headers.authorization));
      }
      next();
    });
    done();
  });
  if (limit === undefined) return;
  void server.register(rateLimit, {
    max: limit.requests,
    timeWindow: limit.windowMs,
    hook: "onRequest",
    store: SteadyRateStore,
    keyGenerator: (request) => context.clientOf(request)?.name ?? request.ip,
    errorResponseBuilder: (_request, { after }) =>
      new ApiError(formOfStatus(429), `expected fewer requests but received too many; try again in ${after}`),
  });
}

function addReports(server: FastifyInstance, context: ServerContext): void {
  server.addHook("onRequest", (request, reply, done) => {
    context.inFlight += 1;
    reply.raw.once("close", () => {
      context.inFlight -= 1;
    });
    if (!isProbe(routeOf(request))) context.traces.beginRequest(request, routeOf(request));
    done();
  });
  server.addHook("onResponse", (request, reply, done) => {
    const route = routeOf(request);
    context.traces.endRequest(request, reply);
    context.metrics.response(route, reply.statusCode, reply.elapsedTime);
    if (!isProbe(route)) {
      const { method, id } = request;
      const key = context.clientOf(request)?.name;
      const status = reply.statusCode;
      request.log.info({ method, route, status, id, ms: Math.round(reply.elapsedTime), key }, "request");
    }
    done();
  });
}

function addRoutes(server: FastifyInstance, context: ServerContext): void {
  addHealthRoutes(server, context);
  addModelRoutes(server, context);
  server.post("/v1/chat/completions", chatHandler(context));
  server.post("/v1/completions", completionHandler(context));
  server.post("/v1/embeddings", embeddingsHandler(context));
  server.post("/tokenize", tokenizeHandler(context));
  const document = openApiDocument();
  server.get("/openapi.json", () => document);
  if (context.options.page) addPageRoutes(server, context);
  const page = docsPage();
  server.get("/docs", (_, reply) =>
    reply
      .header("content-type", "text/html; charset=utf-8")
      .header("content-security-policy", "default-src 'none'; style-src 'unsafe-inline'")
      .send(page),
  );
}

/** Milliseconds between looks for connections that have nothing more to do, and after the end of what is cut off. */
const idleCheckMs = 50;
const cutOffMs = 1000;

/** While a server closes: connections go once they are idle, answers at the deadline, and whatever is left after that. */
function endConnections(server: FastifyInstance, context: ServerContext, deadlineMs: number): void {
  const { server: http } = server;
  const timers = [
    setInterval(() => {
      // A connection that never had a request does not count as idle; browsers open such ones.
      if (context.inFlight === 0) http.closeAllConnections();
      else http.closeIdleConnections();
    }, idleCheckMs),
    setTimeout(() => {
      context.abortAll();
    }, deadlineMs),
    setTimeout(() => {
      http.closeAllConnections();
    }, deadlineMs + cutOffMs),
  ];
  http.once("close", () => {
    for (const timer of timers) clearTimeout(timer);
  });
}

/**
 * Makes an OpenAI-compatible server of a runtime, to listen with or to embed. close() lets requests finish as drain() does.
 *
 * @throws {AirArgumentError} AIR_ERR_ARGUMENT for options out of range
 * @example
 * const server = createServer(runtime);
 * await server.listen({ host: "127.0.0.1", port: 8080 });
 */
export function createServer(runtime: ServedRuntime, options: ServerOptions = {}): AirServer {
  const resolved = resolveServerOptions(options);
  const context = new ServerContext(runtime, resolved, new ServerMetrics(runtime));
  const server = createInstance(resolved);
  server.removeAllContentTypeParsers();
  server.addContentTypeParser("application/json", { parseAs: "buffer" }, (_request, body, done) => {
    try {
      done(null, parseJson(body as Buffer, resolved.maxBodyDepth));
    } catch (error) {
      done(error as ApiError);
    }
  });
  server.setErrorHandler((error, request, reply) => sendFailure(context, error, request, reply));
  server.setNotFoundHandler((request) => {
    const { method } = request;
    throw new ApiError(
      formOfStatus(404),
      `expected a route of /openapi.json but received another (${method})`,
    );
  });
  addReports(server, context);
  addGuards(server, context);
  void server.register((instance, _options, done) => {
    addRoutes(instance, context);
    done();
  });
  let deadlineMs = resolved.drainMs;
  server.addHook("preClose", (done) => {
    context.isDraining = true;
    if (server.server.listening) endConnections(server, context, deadlineMs);
    done();
  });
  addUpkeep(server, context);
  const drain = async (within = deadlineMs): Promise<void> => {
    deadlineMs = within;
    await server.close();
  };
  return Object.assign(server, { drain });
}
