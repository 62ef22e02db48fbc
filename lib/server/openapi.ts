import { z } from "zod";

import { without } from "../util/options.js";
import { chatSchema, completionSchema, embeddingSchema, tokenizeSchema } from "./chat-schema.js";

interface Endpoint {
  readonly method: "get" | "post";
  readonly path: string;
  readonly summary: string;
  readonly body?: z.ZodType;
  /** Of the response; JSON is what is left unsaid. */
  readonly type?: string;
  readonly isOpen?: boolean;
}

const endpoints: readonly Endpoint[] = [
  {
    ...{ method: "post", path: "/v1/chat/completions", body: chatSchema },
    summary: "Answers a conversation; with stream, as server-sent events",
  },
  {
    ...{ method: "post", path: "/v1/completions", body: completionSchema },
    summary: "Continues a text; with stream, as server-sent events",
  },
  {
    ...{ method: "post", path: "/v1/embeddings", body: embeddingSchema },
    summary: "Texts as vectors of length 1",
  },
  { method: "get", path: "/v1/models", summary: "The tiers, and auto, which means any of them" },
  { method: "get", path: "/v1/models/{model}", summary: "One of them" },
  {
    ...{ method: "post", path: "/tokenize", body: tokenizeSchema },
    summary: "Token ids of a text, or of a conversation as the model is told it",
  },
  { method: "get", path: "/health", summary: "Whether the process lives", isOpen: true },
  { method: "get", path: "/ready", summary: "Whether it may be sent requests: 200 or 503", isOpen: true },
  { method: "get", path: "/metrics", summary: "Figures for Prometheus", type: "text/plain" },
  {
    ...{ method: "get", path: "/air/live" },
    summary: "What the page at / shows; as server-sent events where they are accepted",
  },
  { method: "get", path: "/", summary: "A page to chat and to look on", type: "text/html", isOpen: true },
  { method: "get", path: "/canary", summary: "How the version that is on trial does, where there is one" },
  { method: "get", path: "/openapi.json", summary: "This document", isOpen: true },
  { method: "get", path: "/docs", summary: "The same for people", type: "text/html", isOpen: true },
];

const errorSchema = {
  type: "object",
  required: ["error"],
  properties: {
    error: {
      type: "object",
      required: ["message", "type", "param", "code"],
      properties: {
        message: { type: "string" },
        type: { type: "string" },
        param: { type: ["string", "null"] },
        code: { type: "string" },
      },
    },
  },
};

/** A schema without its dialect, which the document names once. */
function bodySchema(schema: z.ZodType): object {
  return without(z.toJSONSchema(schema, { io: "input", unrepresentable: "any" }), ["$schema"]);
}

function operationOf({ summary, body, type = "application/json", path, isOpen = false }: Endpoint): object {
  const names = [...path.matchAll(/\{(\w+)\}/g)].map(([, name = ""]) => name);
  return {
    summary,
    ...(isOpen && { security: [] }),
    ...(names.length > 0 && {
      parameters: names.map((name) => ({ name, in: "path", required: true, schema: { type: "string" } })),
    }),
    ...(body !== undefined && {
      requestBody: { required: true, content: { "application/json": { schema: bodySchema(body) } } },
    }),
    responses: {
      200: { description: "Success", content: { [type]: {} } },
      default: {
        description: "An error, in the form of the OpenAI API",
        content: { "application/json": { schema: { $ref: "#/components/schemas/Error" } } },
      },
    },
  };
}

/** The API of the server as an OpenAPI 3.1 document; bodies come from the schemas that check them. */
export function openApiDocument(): object {
  const paths: Record<string, Record<string, object>> = {};
  for (const endpoint of endpoints) {
    paths[endpoint.path] = { ...paths[endpoint.path], [endpoint.method]: operationOf(endpoint) };
  }
  return {
    openapi: "3.1.0",
    info: {
      title: "air serve",
      version: "1",
      description: "The OpenAI API on models of this machine. Unknown fields of a body are ignored.",
    },
    security: [{ key: [] }],
    paths,
    components: {
      schemas: { Error: errorSchema },
      securitySchemes: { key: { type: "http", scheme: "bearer" } },
    },
  };
}

function escapeHtml(text: string): string {
  return text.replace(/[&<>"]/g, (character) => `&#${character.charCodeAt(0)};`);
}

function sectionOf({ method, path, summary, body }: Endpoint): string {
  const heading = `<h2 id="${escapeHtml(method + path)}">${method.toUpperCase()} ${escapeHtml(path)}</h2>`;
  const schema =
    body === undefined
      ? ""
      : "<details><summary>Body, as a JSON schema</summary>" +
        `<pre tabindex="0">${escapeHtml(JSON.stringify(bodySchema(body), null, 2))}</pre></details>`;
  return `<section>${heading}<p>${escapeHtml(summary)}</p>${schema}</section>`;
}

const style =
  "body{font:1rem/1.5 system-ui,sans-serif;max-width:52rem;margin:2rem auto;padding:0 1rem;" +
  "color-scheme:light dark}h2{font-size:1.1rem;font-family:monospace}pre{overflow:auto;max-height:30rem}";

/** The same as a page, which needs nothing from elsewhere. */
export function docsPage(): string {
  return (
    '<!doctype html><html lang="en"><head><meta charset="utf-8"><title>air serve</title>' +
    '<meta name="viewport" content="width=device-width"><style>' +
    `${style}</style></head><body><main><h1>air serve</h1>` +
    '<p>The OpenAI API on models of this machine; <a href="openapi.json">openapi.json</a> says the same to ' +
    `programs. Unknown fields of a body are ignored.</p>${endpoints.map(sectionOf).join("")}` +
    "</main></body></html>"
  );
}
