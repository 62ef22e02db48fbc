import { randomUUID } from "node:crypto";

import type { FastifyReply, FastifyRequest } from "fastify";

import type { GeneratedChunk } from "../runtime/generation.js";
import type { Tokenizer } from "../model/tokenizer.js";
import type { RoutedResult } from "../tiers/routed-reply.js";
import type { RoutedOptions } from "../tiers/runtime-types.js";
import type { TierInput } from "../tiers/tier.js";
import { at } from "../util/array-access.js";
import { watchAnswer } from "./answer-records.js";
import type { ChoiceWriter } from "./choice-writer.js";
import { merge, sendEvents } from "./event-stream.js";
import { toHttpFailure } from "./http-errors.js";
import { LiveNotes } from "./live-notes.js";
import { airReport, usageOf } from "./reply-parts.js";
import type { SamplingRequest } from "./sampling-schema.js";
import { loadedModel } from "./served-runtime.js";
import type { ServerContext } from "./server-context.js";
import type { SwitchedReply } from "./switched-reply.js";

/** One of the answers that a request wants. */
export interface WantedChoice {
  readonly input: TierInput;
  readonly options: RoutedOptions;
  readonly writer: ChoiceWriter;
}

/** All that a request wants. */
export interface AnswerJob {
  /** Names of the object that answers, whole and in pieces. */
  readonly object: string;
  readonly chunkObject: string;
  readonly idPrefix: string;
  readonly request: SamplingRequest;
  readonly choices: readonly WantedChoice[];
  readonly choicesPerPrompt: number;
}

/** The answers of one request, under way. */
class Answers {
  readonly #job: AnswerJob;
  readonly #replies: readonly SwitchedReply[];
  readonly #frame: { readonly id: string; readonly created: number };

  constructor(context: ServerContext, job: AnswerJob, httpRequest: FastifyRequest, signal: AbortSignal) {
    this.#job = job;
    this.#frame = {
      id: `${job.idPrefix}-${randomUUID().replaceAll("-", "")}`,
      created: Math.floor(Date.now() / 1000),
    };
    this.#replies = job.choices.map(({ input, options }) => {
      const reply = context.generate(input, { ...options, signal });
      watchAnswer(context, httpRequest, { input, options }, reply);
      return reply;
    });
  }

  /** All answers as one object. */
  async whole(): Promise<object> {
    const results = await Promise.all(this.#replies.map(({ result }) => result));
    const { choices, object, choicesPerPrompt } = this.#job;
    const first = at(results, 0);
    return {
      ...this.#frameFor(object, at(this.#replies, 0), first.tier),
      choices: results.map((result, index) => ({
        ...at(choices, index).writer.whole(result, tokenizerOf(at(this.#replies, index), result.tier)),
        ...(results.length > 1 && { air: airReport(result) }),
      })),
      usage: usageOf(results, choicesPerPrompt),
      air: airReport(first),
    };
  }

  /** The chunks of a stream; the first one comes with the first text. */
  async *events(): AsyncGenerator<object, void> {
    const { choices, chunkObject, choicesPerPrompt, request } = this.#job;
    const hasUsage = request.stream_options?.include_usage === true;
    const results = new Array<RoutedResult>(choices.length);
    const begun = new Set<number>();
    const notes = request.air?.live === true ? choices.map(() => new LiveNotes()) : [];
    for await (const part of merge<GeneratedChunk>(this.#replies)) {
      const { writer } = at(choices, part.source);
      const reply = at(this.#replies, part.source);
      const tier = reply.tier() ?? "auto";
      const tokenizer = tokenizerOf(reply, tier);
      const found: object[] = [];
      if (!begun.has(part.source)) found.push(...writer.begin());
      begun.add(part.source);
      let air: object | undefined;
      const note = notes[part.source];
      // The chunk of the text that the note is about; at the end what was held back comes first.
      let noted: number | undefined = 0;
      if (part.kind === "item") {
        note?.add(part.item);
        const pushed = writer.push(part.item, tokenizer);
        found.push(...pushed);
        noted = pushed.length > 0 ? found.length - 1 : undefined;
      } else {
        const result = await reply.result;
        results[part.source] = result;
        found.push(...writer.end(result, tokenizer));
        air = airReport(result);
      }
      for (const [index, choice] of found.entries()) {
        const extra = {
          ...(index === noted && note?.take(reply.latestDecision())),
          ...(index === found.length - 1 && air),
        };
        yield {
          ...this.#frameFor(chunkObject, reply, tier),
          choices: [choice],
          ...(hasUsage && { usage: null }),
          ...(Object.keys(extra).length > 0 && { air: extra }),
        };
      }
    }
    if (!hasUsage) return;
    const usage = usageOf(results, choicesPerPrompt);
    yield { ...this.#frameFor(chunkObject, at(this.#replies, 0), at(results, 0).tier), choices: [], usage };
  }

  #frameFor(object: string, reply: SwitchedReply, model: string): object {
    const fingerprint = loadedModel(reply.runtime(), model)?.info.fingerprint;
    return {
      ...{ id: this.#frame.id, object, created: this.#frame.created, model },
      system_fingerprint: fingerprint === undefined ? null : `fp_${fingerprint.slice(0, 12)}`,
    };
  }
}

function tokenizerOf(reply: SwitchedReply, tier: string): Tokenizer | undefined {
  return loadedModel(reply.runtime(), tier)?.tokenizer;
}

/** Generates what a request wants and sends it, whole or as a stream. One answer that fails ends the others. */
export async function sendAnswers(
  context: ServerContext,
  reply: FastifyReply,
  job: AnswerJob,
): Promise<FastifyReply> {
  const failed = new AbortController();
  const signal = AbortSignal.any([context.signalFor(reply), failed.signal]);
  const end = context.metrics.begin();
  reply.raw.once("close", end);
  try {
    const answers = new Answers(context, job, reply.request, signal);
    if (job.request.stream !== true) return await reply.send(await answers.whole());
    const describe = (error: unknown): object => {
      failed.abort();
      return toHttpFailure(error).body;
    };
    return await sendEvents(reply, answers.events(), describe);
  } catch (error) {
    failed.abort();
    throw error;
  }
}
