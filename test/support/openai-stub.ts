import { once } from "node:events";
import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { setTimeout as sleep } from "node:timers/promises";

/** One thing that the stub does with a response. */
export type StubStep =
  | { readonly head: number; readonly headers?: Readonly<Record<string, string>> }
  | { readonly send: string | Uint8Array }
  | { readonly wait: number }
  /** Destroys the socket, mid-response or before. */
  | "cut"
  /** Ends the response properly. */
  | "end"
  /** Does nothing more until the client goes. */
  | "hang";

/** A request that came in. */
export interface StubRequest {
  readonly method: string;
  readonly path: string;
  readonly headers: Readonly<Record<string, string | undefined>>;
  readonly body: Readonly<Record<string, unknown>>;
  /** Milliseconds of performance.now() at its arrival. */
  readonly at: number;
  /** Resolves once the connection or the response is closed; true when the client went before the end. */
  readonly gone: Promise<boolean>;
}

const eventStream = { "content-type": "text/event-stream" };
const json = { "content-type": "application/json" };

/** The start of a streamed answer. */
export const streamHead: StubStep = { head: 200, headers: eventStream };

/** A server-sent event with this JSON. */
export function event(value: unknown): StubStep {
  return { send: `data: ${JSON.stringify(value)}\n\n` };
}

/** A chunk with text. */
export function delta(content: string, model = "large"): StubStep {
  return event({ model, choices: [{ index: 0, delta: { content }, finish_reason: null }] });
}

/** The chunk that ends a text. */
export function finish(reason = "stop", model = "large"): StubStep {
  return event({ model, choices: [{ index: 0, delta: {}, finish_reason: reason }] });
}

/** The chunk of token counts, which has no choices. */
export function usage(promptTokens: number, completionTokens: number, cachedTokens = 0): StubStep {
  const prompt_tokens_details = { cached_tokens: cachedTokens };
  return event({
    choices: [],
    usage: { prompt_tokens: promptTokens, completion_tokens: completionTokens, prompt_tokens_details },
  });
}

export const done: StubStep = { send: "data: [DONE]\n\n" };

/** A whole answer, streamed word by word. */
export function answer(...words: readonly string[]): readonly StubStep[] {
  return [streamHead, ...words.map((word) => delta(word)), finish(), usage(7, words.length), done, "end"];
}

/** A whole answer as one document. */
export function documentAnswer(text: string, more: object = {}): readonly StubStep[] {
  const choices = [{ index: 0, message: { role: "assistant", content: text }, finish_reason: "stop" }];
  return [
    { head: 200, headers: json },
    { send: JSON.stringify({ model: "large", choices, ...more }) },
    "end",
  ];
}

/** A refusal. */
export function refusal(
  status: number,
  error: unknown = { error: { message: "no", type: "server_error" } },
  headers: Readonly<Record<string, string>> = {},
): readonly StubStep[] {
  return [{ head: status, headers: { ...json, ...headers } }, { send: JSON.stringify(error) }, "end"];
}

/** An OpenAI-compatible server on this machine that answers as it is told, and remembers what it was asked. */
export class OpenAiStub {
  readonly requests: StubRequest[] = [];
  readonly #server = createServer((request, response) => {
    void this.#answer(request, response);
  });
  readonly #script: (readonly StubStep[])[] = [];
  #port = 0;
  #connections = 0;
  #always: readonly StubStep[] = answer("Hello", ", ", "world");
  #models: readonly StubStep[] = [];

  private constructor() {
    this.#server.on("connection", () => {
      this.#connections += 1;
    });
    this.serveModels("small", "large");
  }

  static async start(): Promise<OpenAiStub> {
    const stub = new OpenAiStub();
    stub.#server.listen(0, "127.0.0.1");
    await once(stub.#server, "listening");
    stub.#port = (stub.#server.address() as AddressInfo).port;
    return stub;
  }

  get url(): string {
    return `http://127.0.0.1:${this.#port}/v1`;
  }

  /** Connections that were made so far. */
  get connections(): number {
    return this.#connections;
  }

  /** What the next requests for completions get, one each. */
  script(...behaviours: readonly (readonly StubStep[])[]): void {
    this.#script.push(...behaviours);
  }

  /** What requests get when the script is over. */
  always(behaviour: readonly StubStep[]): void {
    this.#always = behaviour;
  }

  /** What requests for the list of models get. */
  scriptModels(behaviour: readonly StubStep[]): void {
    this.#models = behaviour;
  }

  serveModels(...ids: readonly string[]): void {
    const list = { object: "list", data: ids.map((id) => ({ id, object: "model" })) };
    this.scriptModels([{ head: 200, headers: json }, { send: JSON.stringify(list) }, "end"]);
  }

  async close(): Promise<void> {
    if (!this.#server.listening) return;
    this.#server.closeAllConnections();
    this.#server.close();
    await once(this.#server, "close");
  }

  async #answer(request: IncomingMessage, response: ServerResponse): Promise<void> {
    let text = "";
    request.setEncoding("utf8");
    const gone = once(response, "close").then(() => !response.writableFinished);
    try {
      for await (const piece of request) text += String(piece);
    } catch {
      return; // the client went before its request was whole
    }
    const { method = "", url: path = "" } = request;
    const headers = Object.fromEntries(
      Object.entries(request.headers).map(([name, value]) => [
        name,
        Array.isArray(value) ? value.join() : value,
      ]),
    );
    const body = (text === "" ? {} : JSON.parse(text)) as Readonly<Record<string, unknown>>;
    this.requests.push({ method, path, headers, body, at: performance.now(), gone });
    if (path === "/v1/models") await perform(this.#models, response);
    else if (path === "/v1/chat/completions") await perform(this.#script.shift() ?? this.#always, response);
    else await perform(refusal(404, { error: { type: "not_found_error" } }), response);
  }
}

async function perform(steps: readonly StubStep[], response: ServerResponse): Promise<void> {
  for (const step of steps) {
    if (response.destroyed || step === "hang") return;
    if (step === "cut") response.destroy();
    else if (step === "end") response.end();
    else if ("wait" in step) await sleep(step.wait);
    else if ("head" in step) {
      response.writeHead(step.head, step.headers);
      response.flushHeaders();
    } else {
      await new Promise((resolve) => {
        response.write(step.send, resolve);
      });
      // Lets the socket send this piece by itself, so that the client meets the border.
      await new Promise((resolve) => setImmediate(resolve));
    }
  }
}
