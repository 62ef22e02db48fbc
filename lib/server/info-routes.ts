import type { FastifyInstance, RouteHandlerMethod } from "fastify";

import { toChatMessages, toToolDefinitions } from "./chat-prompt.js";
import { tokenizeSchema } from "./chat-schema.js";
import { ApiError, errorBody, formOfStatus, invalidRequest } from "./http-errors.js";
import { parseBody } from "./parse-body.js";
import { loadedModel } from "./served-runtime.js";
import type { ServerContext } from "./server-context.js";

interface ModelEntry {
  readonly id: string;
  readonly object: "model";
  readonly created: number;
  readonly owned_by: string;
}

/** GET /v1/models and GET /v1/models/:model: the tiers, and `auto`, which means any of them. */
export function addModelRoutes(server: FastifyInstance, context: ServerContext): void {
  const created = Math.floor(Date.now() / 1000);
  const entry = (id: string): ModelEntry => ({ id, object: "model", created, owned_by: "air-runtime" });
  server.get("/v1/models", () => ({
    object: "list",
    data: ["auto", ...context.runtime.tierNames.filter((name) => name !== "auto")].map(entry),
  }));
  server.get<{ Params: { "*": string } }>("/v1/models/*", ({ params }) => {
    const model = params["*"];
    context.tierOf(model);
    return entry(model);
  });
}

/** The local tier whose tokenizer is meant: the named one, else one that is loaded, else the smallest. */
function tokenizingTier(context: ServerContext, model: string | undefined): string {
  const { runtime } = context;
  const { localTierNames } = runtime;
  const loaded = localTierNames.find((name) => loadedModel(runtime, name) !== undefined);
  const tier = context.tierOf(model) ?? loaded ?? localTierNames[0];
  if (tier !== undefined && localTierNames.includes(tier)) return tier;
  throw invalidRequest("expected a tier of this machine for model but received a remote one", "model");
}

/** POST /tokenize: the ids of a text, or of a conversation as the model is told it. */
export function tokenizeHandler(context: ServerContext): RouteHandlerMethod {
  return async ({ body }) => {
    const request = parseBody(tokenizeSchema, body);
    const { content, messages } = request;
    if ((content === undefined) === (messages === undefined)) {
      throw invalidRequest(
        "expected either content or messages for the body but received both or none",
        null,
      );
    }
    const tier = tokenizingTier(context, request.model);
    await context.runtime.load(tier);
    const model = loadedModel(context.runtime, tier);
    if (model === undefined) throw new ApiError(formOfStatus(503), "The model was unloaded.");
    const { tokenizer, chatTemplate, info } = model;
    let ids: Int32Array;
    if (content !== undefined) ids = tokenizer.encode(content);
    else {
      const chat = toChatMessages(messages ?? []);
      const tools = toToolDefinitions(request.tools);
      if (chatTemplate === undefined) {
        throw invalidRequest(
          "expected a model with a chat template for messages but received one without",
          "messages",
        );
      }
      ids = chatTemplate.encode(chat, { tools });
    }
    return { model: tier, tokens: [...ids], count: ids.length, max_model_len: info.contextTokens };
  };
}

/** GET /health, which says that the process lives, and GET /ready, which says that it may be sent requests. */
export function addHealthRoutes(server: FastifyInstance, context: ServerContext): void {
  const open = { config: { rateLimit: false } };
  server.get("/health", open, () => {
    const problems = context.golden?.problems ?? [];
    const tiers = context.golden?.reports;
    return {
      status: problems.length === 0 ? "ok" : "unhealthy",
      detail: problems.length === 0 ? "The process lives." : problems.join(" "),
      ...(tiers !== undefined && { golden: tiers }),
    };
  });
  server.get("/ready", open, (_, reply) => {
    const reason = context.notReady;
    if (reason === undefined) return { status: "ready" };
    return reply.status(503).send(errorBody(formOfStatus(503), reason));
  });
  server.get("/metrics", open, async (_, reply) => {
    const { registry } = context.metrics;
    return reply.header("content-type", registry.contentType).send(await registry.metrics());
  });
  server.get("/canary", () => context.canary?.report ?? { state: "none" });
}
