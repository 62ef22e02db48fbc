import { z } from "zod";

import { integerFrom } from "../util/options.js";
import { flagSchema, optional, samplingShape, termsShape } from "./sampling-schema.js";

const nameExpected = "a name of up to 64 letters, digits, dots, dashes and underscores";
const functionName = z.string(nameExpected).regex(/^[\w.-]{1,64}$/, nameExpected);

const textPart = z.object(
  { type: z.literal("text", '"text" (images and sound are not understood)'), text: z.string("a string") },
  "a part of type text",
);
const contentSchema = z.union(
  [z.string(), z.array(textPart).min(1)],
  "a string, or an array of parts of type text",
);

const toolCallSchema = z.object(
  {
    id: z.string("a string").max(256),
    type: z.literal("function", '"function"').default("function"),
    function: z.object({ name: functionName, arguments: z.string("JSON as a string") }, "a function call"),
  },
  "a tool call",
);

const messageSchema = z.discriminatedUnion(
  "role",
  [
    z.object({ role: z.literal("system"), content: contentSchema }),
    z.object({ role: z.literal("developer"), content: contentSchema }),
    z.object({ role: z.literal("user"), content: contentSchema }),
    z.object({
      role: z.literal("assistant"),
      content: optional(contentSchema),
      tool_calls: optional(z.array(toolCallSchema, "an array of tool calls").max(128)),
    }),
    z.object({
      role: z.literal("tool"),
      content: contentSchema,
      tool_call_id: z.string("the id of a tool call").max(256),
    }),
  ],
  { error: 'a message with role "system", "developer", "user", "assistant" or "tool"' },
);

const jsonSchema = z.record(z.string(), z.unknown(), "a JSON schema");

const toolSchema = z.object(
  {
    type: z.literal("function", '"function"'),
    function: z.object(
      {
        name: functionName,
        description: optional(z.string("a string")),
        parameters: optional(jsonSchema),
        strict: optional(flagSchema),
      },
      "a function",
    ),
  },
  "a tool",
);

const toolChoiceSchema = z.union(
  [
    z.enum(["none", "auto", "required"]),
    z.object({ type: z.literal("function"), function: z.object({ name: functionName }) }),
  ],
  '"none", "auto", "required" or a function',
);

const responseFormatSchema = z.discriminatedUnion(
  "type",
  [
    z.object({ type: z.literal("text") }),
    z.object({ type: z.literal("json_object") }),
    z.object({
      type: z.literal("json_schema"),
      json_schema: z.object(
        { name: optional(z.string("a string")), schema: optional(jsonSchema), strict: optional(flagSchema) },
        "an object with a schema",
      ),
    }),
  ],
  { error: 'an object of type "text", "json_object" or "json_schema"' },
);

/** Body of POST /v1/chat/completions. */
export const chatSchema = z.object(
  {
    ...samplingShape,
    messages: z.array(messageSchema, "an array of messages").min(1, "at least one message"),
    max_completion_tokens: optional(integerFrom(1)),
    logprobs: optional(flagSchema),
    top_logprobs: optional(integerFrom(0, 20)),
    response_format: optional(responseFormatSchema),
    tools: optional(z.array(toolSchema, "an array of tools").max(128, "at most 128 tools")),
    tool_choice: optional(toolChoiceSchema),
    parallel_tool_calls: optional(flagSchema),
  },
  "a JSON object",
);

/** A request for a chat completion. */
export type ChatRequest = z.output<typeof chatSchema>;
/** A message of such a request. */
export type ChatRequestMessage = ChatRequest["messages"][number];
/** A tool of such a request. */
export type ChatTool = NonNullable<ChatRequest["tools"]>[number];

const inputExpected = "a non-empty string, or an array of up to 2048 of them (token ids are not understood)";
const promptExpected = "a string, or an array of up to 128 strings (token ids are not understood)";

/** Body of POST /v1/completions. */
export const completionSchema = z.object(
  {
    ...samplingShape,
    prompt: z.union([z.string(), z.array(z.string()).min(1).max(128)], promptExpected),
    logprobs: optional(integerFrom(0, 5)),
    echo: optional(flagSchema),
    best_of: optional(integerFrom(1, 128)),
    suffix: optional(z.string("a string")),
  },
  "a JSON object",
);

/** A request for a text completion. */
export type CompletionRequest = z.output<typeof completionSchema>;

/** Body of POST /v1/embeddings. */
export const embeddingSchema = z.object(
  {
    model: samplingShape.model,
    input: z.union([z.string().min(1), z.array(z.string().min(1)).min(1).max(2048)], inputExpected),
    encoding_format: optional(z.enum(["float", "base64"], '"float" or "base64"')),
    dimensions: optional(integerFrom(1)),
    user: samplingShape.user,
    air: optional(
      z.object(
        {
          ...termsShape,
          pooling: optional(z.enum(["mean", "last"], '"mean" or "last"')).describe(
            "Of the states of a text's tokens. Default: their mean",
          ),
        },
        "an object",
      ),
    ),
  },
  "a JSON object",
);

/** Body of POST /tokenize. */
export const tokenizeSchema = z.object(
  {
    model: samplingShape.model,
    content: optional(z.string("a string")),
    messages: optional(z.array(messageSchema, "an array of messages").min(1, "at least one message")),
    tools: optional(z.array(toolSchema, "an array of tools").max(128, "at most 128 tools")),
  },
  "a JSON object with content or messages",
);
