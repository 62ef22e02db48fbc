import { propagation, trace } from "@opentelemetry/api";
import {
  BasicTracerProvider,
  InMemorySpanExporter,
  SimpleSpanProcessor,
} from "@opentelemetry/sdk-trace-base";
import { afterAll, afterEach, beforeAll, describe, expect, test } from "vitest";

import { AirError } from "../../../lib/errors/air-error.js";
import { createServer } from "../../../lib/server/server.js";
import { FakeRuntime } from "../../support/fake-runtime.js";

const exporter = new InMemorySpanExporter();
const provider = new BasicTracerProvider({ spanProcessors: [new SimpleSpanProcessor(exporter)] });

/** A propagator of `traceparent`, which the package of the API does not have. */
const propagator = {
  inject: () => undefined,
  fields: () => ["traceparent"],
  extract: ((context, carrier, getter) => {
    const header = getter.get(carrier, "traceparent");
    const [, traceId = "", spanId = ""] = typeof header === "string" ? header.split("-") : [];
    return traceId === "" ? context : trace.setSpanContext(context, { traceId, spanId, traceFlags: 1 });
  }) satisfies Parameters<typeof propagation.setGlobalPropagator>[0]["extract"],
};

async function ask(runtime: FakeRuntime, payload: object, headers: Readonly<Record<string, string>> = {}) {
  const server = createServer(runtime);
  const response = await server.inject({
    ...{ method: "POST", url: "/v1/chat/completions", payload, headers },
  });
  await server.inject("/health");
  await server.close();
  return response;
}

const body = { messages: [{ role: "user", content: "secret" }], max_tokens: 30, temperature: 0.5, n: 2 };

test("without a provider there are no spans, and requests are answered", async () => {
  expect((await ask(new FakeRuntime(), body)).statusCode).toBe(200);
  expect(exporter.getFinishedSpans()).toHaveLength(0);
});

describe("with a provider", () => {
  beforeAll(() => {
    trace.setGlobalTracerProvider(provider);
    propagation.setGlobalPropagator(propagator);
  });
  afterEach(() => {
    exporter.reset();
  });
  afterAll(async () => {
    trace.disable();
    propagation.disable();
    await provider.shutdown();
  });

  test("a request is a span within the caller's, and each of its answers one within it", async () => {
    const traceId = "0af7651916cd43dd8448eb211c80319c";
    await ask(new FakeRuntime(), body, { traceparent: `00-${traceId}-b7ad6b7169203331-01` });
    const spans = exporter.getFinishedSpans();
    expect(spans.map(({ name }) => name)).toEqual(["chat auto", "chat auto", "POST /v1/chat/completions"]);
    const [first, , request] = spans;
    expect(request?.parentSpanContext?.spanId).toBe("b7ad6b7169203331");
    expect(request?.attributes).toEqual({
      ...{ "http.request.method": "POST", "http.route": "/v1/chat/completions" },
      "http.response.status_code": 200,
    });
    expect(first?.parentSpanContext?.spanId).toBe(request?.spanContext().spanId);
    expect(first?.attributes).toMatchObject({
      ...{
        "gen_ai.request.model": "auto",
        "gen_ai.request.max_tokens": 30,
        "gen_ai.request.temperature": 0.5,
      },
      ...{ "gen_ai.response.model": "small", "gen_ai.usage.input_tokens": 7, "air.reused_tokens": 2 },
      ...{ "gen_ai.usage.output_tokens": 11, "gen_ai.response.finish_reasons": ["stop"] },
    });
    for (const span of spans) {
      expect(span.spanContext().traceId).toBe(traceId);
      expect(JSON.stringify([span.name, span.attributes, span.events])).not.toMatch(/secret|hello/);
    }
  });

  test("spans of what failed say how", async () => {
    const runtime = new FakeRuntime();
    runtime.script = [[new AirError("AIR_ERR_OVERLOADED", "expected fewer requests but received secret")]];
    expect((await ask(runtime, { ...body, n: 1 })).statusCode).toBe(503);
    const [answer, request] = exporter.getFinishedSpans();
    expect(answer?.attributes["error.type"]).toBe("model_busy");
    expect(answer?.status.code).toBe(2);
    expect(request?.attributes["http.response.status_code"]).toBe(503);
    expect(JSON.stringify([answer?.attributes, answer?.events])).not.toContain("secret");
  });
});
