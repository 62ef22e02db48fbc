/** A function that a model may call; the form of the OpenAI API, which chat templates take too. */
export interface ToolDefinition {
  readonly type: "function";
  readonly function: {
    readonly name: string;
    readonly description?: string | undefined;
    /** JSON schema of the arguments, an object. Default: no arguments. */
    readonly parameters?: Readonly<Record<string, unknown>> | undefined;
  };
}

/** A call as text, for templates that do not know tools; many models were trained on this form. */
export function toolCallText(name: string, callArguments: unknown): string {
  return `<tool_call>\n${JSON.stringify({ name, arguments: callArguments })}\n</tool_call>`;
}

/** What a tool returned, as text of a user message. */
export function toolResultText(content: string): string {
  return `<tool_response>\n${content}\n</tool_response>`;
}

/** Tells a model in plain words which tools there are, and how to call one. */
export function toolInstruction(tools: readonly ToolDefinition[]): string {
  const signatures = tools.map((tool) => JSON.stringify(tool.function)).join("\n");
  return (
    `You can call these functions, one JSON object each:\n${signatures}\n` +
    "To call one, answer with nothing but its name and arguments between tags, like this:\n" +
    `${toolCallText("name-of-the-function", {})}\n` +
    "What it returned comes back between tool_response tags. Where no function helps, answer as usual."
  );
}

interface Turn {
  readonly role: "system" | "user" | "assistant";
  readonly content: string;
}

/** The conversation with the instruction at the end of its system message, which is added where there is none. */
export function withToolInstruction<Message extends Turn>(
  messages: readonly Message[],
  tools: readonly ToolDefinition[],
): readonly (Message | Turn)[] {
  const instruction = toolInstruction(tools);
  const [first, ...rest] = messages;
  if (first?.role !== "system") return [{ role: "system", content: instruction }, ...messages];
  return [{ ...first, content: `${first.content}\n\n${instruction}` }, ...rest];
}
