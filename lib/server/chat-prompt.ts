import type { ChatMessage } from "../model/chat-template.js";
import { type ToolDefinition, toolCallText, toolResultText } from "../model/tools.js";
import type { GenerateOptions } from "../runtime/options.js";
import type { ChatRequest, ChatRequestMessage, ChatTool } from "./chat-schema.js";
import { invalidRequest } from "./http-errors.js";

type JsonSchema = NonNullable<GenerateOptions["schema"]>;

/** What an answer may be, of a request with tools. */
export interface ToolUse {
  readonly names: ReadonlySet<string>;
  /** The answer has to be a call. */
  readonly isRequired: boolean;
}

/** What a chat request comes to. */
export interface ChatPrompt {
  readonly messages: readonly ChatMessage[];
  readonly tools: readonly ToolDefinition[];
  /** Undefined: the answer is text, whatever it looks like. */
  readonly toolUse: ToolUse | undefined;
  readonly schema: JsonSchema | undefined;
}

function textOf(content: ChatRequestMessage["content"]): string {
  if (content === undefined) return "";
  return typeof content === "string" ? content : content.map(({ text }) => text).join("");
}

/** Arguments come as text; what is no JSON is shown to the model as it is. */
function argumentsOf(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return text;
  }
}

function toMessage(message: ChatRequestMessage): ChatMessage {
  const content = textOf(message.content);
  switch (message.role) {
    case "system":
    case "developer":
      return { role: "system", content };
    case "user":
      return { role: "user", content };
    case "tool": {
      const toolForm = { role: "tool", content, tool_call_id: message.tool_call_id };
      return { role: "user", content: toolResultText(content), toolForm };
    }
    case "assistant": {
      const calls = (message.tool_calls ?? []).map(({ id, type, function: { name, arguments: text } }) => ({
        id,
        type,
        function: { name, arguments: argumentsOf(text) },
      }));
      if (calls.length === 0) return { role: "assistant", content };
      const written = calls.map(({ function: call }) => toolCallText(call.name, call.arguments));
      return {
        role: "assistant",
        content: [...(content === "" ? [] : [content]), ...written].join("\n"),
        toolForm: { role: "assistant", content, tool_calls: calls },
      };
    }
  }
}

/** The messages of a request as the runtime takes them. */
export function toChatMessages(messages: readonly ChatRequestMessage[]): readonly ChatMessage[] {
  return messages.map(toMessage);
}

/** The tools of a request as the runtime takes them. */
export function toToolDefinitions(tools: readonly ChatTool[] = []): readonly ToolDefinition[] {
  return tools.map(({ function: { name, description, parameters } }) => ({
    type: "function",
    function: {
      name,
      ...(description !== undefined && { description }),
      parameters: parameters ?? { type: "object", properties: {} },
    },
  }));
}

/** The same JSON schema for a place within another: references, which start at the root, go there by `base`. */
function rebased(schema: unknown, base: string): unknown {
  if (Array.isArray(schema)) return schema.map((item) => rebased(item, base));
  if (typeof schema !== "object" || schema === null) return schema;
  return Object.fromEntries(
    Object.entries(schema).map(([key, value]: [string, unknown]) => [
      key,
      key === "$ref" && typeof value === "string" && value.startsWith("#")
        ? `#${base}${value.slice(1)}`
        : rebased(value, base),
    ]),
  );
}

/** JSON that calls a tool. */
function callSchema({ function: { name, parameters = {} } }: ToolDefinition, base: string): object {
  const own = rebased(parameters, `${base}/properties/arguments`) as object;
  return {
    type: "object",
    properties: { name: { const: name }, arguments: { type: "object", ...own } },
    required: ["name", "arguments"],
    additionalProperties: false,
  };
}

/** A call of one of the tools or, where there is one, an answer in the asked form. */
function callsSchema(tools: readonly ToolDefinition[], format: object | undefined): JsonSchema {
  const anyOf = tools.map((tool, index) => callSchema(tool, `/anyOf/${index}`));
  return { anyOf: format === undefined ? anyOf : [...anyOf, rebased(format, `/anyOf/${tools.length}`)] };
}

function answerSchema(format: ChatRequest["response_format"]): Readonly<Record<string, unknown>> | undefined {
  if (format === undefined || format.type === "text") return undefined;
  return format.type === "json_object" ? { type: "object" } : (format.json_schema.schema ?? {});
}

/** The tools that may be called, and whether one has to be. */
function chosenTools(request: ChatRequest): {
  readonly tools: readonly ToolDefinition[];
  readonly isRequired: boolean;
} {
  const all = toToolDefinitions(request.tools);
  const { tool_choice: choice = "auto" } = request;
  if (all.length === 0) {
    if (choice === "auto" || choice === "none") return { tools: [], isRequired: false };
    throw invalidRequest("expected tools for a tool_choice but received none", "tool_choice");
  }
  if (choice === "none") return { tools: [], isRequired: false };
  if (choice === "auto" || choice === "required") return { tools: all, isRequired: choice === "required" };
  const tools = all.filter(({ function: { name } }) => name === choice.function.name);
  if (tools.length > 0) return { tools, isRequired: true };
  throw invalidRequest(
    `expected the name of one of the tools for tool_choice but received ${JSON.stringify(choice.function.name)}`,
    "tool_choice",
  );
}

/**
 * What a chat request asks for: messages, tools and the form of the answer.
 *
 * @throws {ApiError} 400
 */
export function toChatPrompt(request: ChatRequest): ChatPrompt {
  const messages = toChatMessages(request.messages);
  const { tools, isRequired } = chosenTools(request);
  const format = answerSchema(request.response_format);
  if (tools.length === 0) return { messages, tools, toolUse: undefined, schema: format };
  const names = new Set(tools.map(({ function: { name } }) => name));
  const toolUse = { names, isRequired };
  // Without a form for the answer the model writes what it likes, and calls are recognised.
  const schema =
    isRequired || format !== undefined ? callsSchema(tools, isRequired ? undefined : format) : undefined;
  return { messages, tools, toolUse, schema };
}
