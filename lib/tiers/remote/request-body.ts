import { schemaText } from "../../constraint/json-schema.js";
import type { JsonSchema } from "../../constraint/json-schema.js";
import { invalidArgument } from "../../errors/air-error.js";
import type { ChatMessage } from "../../model/chat-template.js";
import { type ToolDefinition, withToolInstruction } from "../../model/tools.js";
import { type GenerateOptions, messagesSchema } from "../../runtime/options.js";
import { parseOptions } from "../../util/options.js";
import type { ResolvedRemoteTierOptions } from "./remote-options.js";

/** Most stop strings that every endpoint takes; the rest are looked for here only. */
const maxStops = 4;
/** Where the field's range ends; there is no infinity in JSON. */
const maxBias = 100;

/** Fields that have another name at the endpoint, and go there only when they were given. */
const fieldNames = {
  topK: "top_k", // vLLM, SGLang, llama.cpp
  topP: "top_p",
  minP: "min_p", // vLLM, SGLang, llama.cpp
  repetitionPenalty: "repetition_penalty", // vLLM, SGLang, TensorRT-LLM
  presencePenalty: "presence_penalty",
  frequencyPenalty: "frequency_penalty",
  seed: "seed",
} as const satisfies Partial<Record<keyof GenerateOptions, string>>;

/**
 * The JSON of a request for a chat completion.
 *
 * @param options - as they were given, validated but without defaults: the endpoint's own hold for what was not said,
 *   other than temperature, whose default of 0 must not become the endpoint's
 * @throws {AirError} AIR_ERR_ARGUMENT for a prompt that is none, a schema that is none, and for options that no endpoint
 *   can honour; AIR_ERR_UNSUPPORTED for a zod schema that has no JSON form
 */
export function completionBody(
  settings: ResolvedRemoteTierOptions,
  input: string | readonly ChatMessage[],
  options: GenerateOptions,
): string {
  const {
    maxTokens,
    stop = [],
    logprobs,
    schema,
    logitBias,
    temperature = 0,
    ignoreEos,
    special,
    tools = [],
  } = options;
  if (special === true) {
    throw invalidArgument("special", "false for a remote tier, which is sent messages only", true);
  }
  const body: Record<string, unknown> = {
    ...settings.extraBody,
    model: settings.model,
    messages: messagesOf(input, tools),
    temperature,
    stream: settings.stream,
  };
  if (settings.stream && settings.usage) body["stream_options"] = { include_usage: true };
  if (maxTokens !== undefined) body[settings.maxTokensField] = maxTokens;
  for (const [name, field] of Object.entries(fieldNames)) {
    const value = options[name as keyof typeof fieldNames];
    if (value !== undefined) body[field] = value;
  }
  if (stop.length > 0) body["stop"] = stop.slice(0, maxStops);
  if (logprobs !== undefined) Object.assign(body, { logprobs: true, top_logprobs: logprobs });
  if (logitBias !== undefined) body["logit_bias"] = biasesOf(logitBias);
  if (ignoreEos === true) body["ignore_eos"] = true;
  if (schema !== undefined) body["response_format"] = responseFormat(schema);
  return JSON.stringify(body);
}

/** Tools are told in words, as the answer is read as text. */
function messagesOf(
  input: string | readonly ChatMessage[],
  tools: readonly ToolDefinition[],
): readonly ChatMessage[] {
  if (typeof input !== "string") {
    const { messages } = parseOptions(messagesSchema, { messages: input }, "the prompt");
    const told = tools.length === 0 ? messages : withToolInstruction(messages, tools);
    return told.map(({ role, content }) => ({ role, content }));
  }
  if (input.length === 0) throw invalidArgument("the prompt", "at least one character", input);
  return [{ role: "user", content: input }];
}

function biasesOf(biases: Readonly<Record<number, number>>): Readonly<Record<string, number>> {
  return Object.fromEntries(
    Object.entries(biases).map(([token, bias]) => [token, Math.max(-maxBias, Math.min(maxBias, bias))]),
  );
}

/** Strict: an endpoint that cannot hold the answer to the schema has to refuse the request. */
function responseFormat(schema: JsonSchema): unknown {
  if (schema === false) throw invalidArgument("the schema", "one that some document satisfies", schema);
  const json = JSON.parse(schemaText(schema)) as unknown;
  return {
    type: "json_schema",
    json_schema: { name: "answer", strict: true, schema: json === true ? {} : json },
  };
}
