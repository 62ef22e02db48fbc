import type { RouteHandlerMethod } from "fastify";

import type { RoutedEmbedOptions } from "../tiers/runtime-types.js";
import { pickGiven } from "../util/options.js";
import { embeddingSchema } from "./chat-schema.js";
import { invalidRequest } from "./http-errors.js";
import { parseBody } from "./parse-body.js";
import { requestTerms } from "./request-terms.js";
import type { ServerContext } from "./server-context.js";

/** Components as the API names its formats: numbers, or the bytes of little-endian float32 in base64. */
function encodeVector(vector: Float32Array, format: "float" | "base64"): readonly number[] | string {
  if (format === "float") return [...vector];
  const bytes = Buffer.alloc(vector.length * Float32Array.BYTES_PER_ELEMENT);
  for (const [index, value] of vector.entries()) bytes.writeFloatLE(value, index * 4);
  return bytes.toString("base64");
}

/** The local tier that a request's model means. */
function embeddingTier(context: ServerContext, model: string | undefined): string | undefined {
  const tier = context.tierOf(model);
  const { localTierNames } = context.runtime;
  if (localTierNames.length > 0 && (tier === undefined || localTierNames.includes(tier))) return tier;
  throw invalidRequest("expected a tier of this machine for model but received a remote one", "model");
}

/** POST /v1/embeddings. */
export function embeddingsHandler(context: ServerContext): RouteHandlerMethod {
  return async (httpRequest, reply) => {
    const request = parseBody(embeddingSchema, httpRequest.body);
    const { input, dimensions, encoding_format: format = "float", air } = request;
    const texts = typeof input === "string" ? [input] : input;
    const tier = embeddingTier(context, request.model);
    for (const text of texts) context.checkPrompt(text, [], tier, "input");
    const terms = requestTerms(context, httpRequest, request);
    const named = { tier, dimensions, pooling: air?.pooling, ...terms };
    const options: RoutedEmbedOptions = pickGiven(named, Object.keys(named) as (keyof typeof named)[]);
    const end = context.metrics.begin();
    reply.raw.once("close", end);
    const signal = context.signalFor(reply);
    const { tier: answered, embeddings } = await context.runtime.embed(texts, { ...options, signal });
    const tokens = embeddings.reduce((sum, embedding) => sum + embedding.tokens, 0);
    context.metrics.embedded(answered, tokens);
    return {
      object: "list",
      data: embeddings.map(({ vector }, index) => ({
        ...{ object: "embedding", index },
        embedding: encodeVector(vector, format),
      })),
      model: answered,
      usage: { prompt_tokens: tokens, total_tokens: tokens },
    };
  };
}
