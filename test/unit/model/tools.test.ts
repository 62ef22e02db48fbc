import { describe, expect, test } from "vitest";

import { type ChatMessage, createChatTemplate, type ChatTemplate } from "../../../lib/model/chat-template.js";
import { readGguf } from "../../../lib/model/gguf.js";
import { createTokenizer } from "../../../lib/model/tokenizer.js";
import type { ToolDefinition } from "../../../lib/model/tools.js";
import { airError, bundledModel } from "./gguf-bytes.js";

const { metadata } = await readGguf(bundledModel("air-tiny-chat-q4_0.gguf"));
const tokenizer = createTokenizer(metadata);

function templateOf(source: string): ChatTemplate {
  const template = createChatTemplate(new Map([...metadata, ["tokenizer.chat_template", source]]), tokenizer);
  return template ?? expect.fail("the metadata has a template");
}

const knowing = templateOf(
  "{% if tools %}{{ tools | tojson }}|{% endif %}{% for m in messages %}{{ m.role }}:{{ m.content }}" +
    "{% if m.tool_calls %}!{{ m.tool_calls[0].function.name }}{% endif %};{% endfor %}",
);
const plain = createChatTemplate(metadata, tokenizer) ?? expect.fail("the model has a template");
const tools: readonly ToolDefinition[] = [
  { type: "function", function: { name: "lamp", parameters: { type: "object" } } },
];
const toolForm = { role: "assistant", content: "", tool_calls: [{ function: { name: "lamp" } }] };
const messages: readonly ChatMessage[] = [
  { role: "user", content: "hi" },
  { role: "assistant", content: "<tool_call>x</tool_call>", toolForm },
];

describe("tools in a chat template", () => {
  test("are handed to a template that knows them, with calls in their own form", () => {
    expect(knowing.knowsTools).toBe(true);
    expect(knowing.render(messages, { tools })).toMatch(/^\[\{.*"lamp".*\}\]\|user:hi;assistant:!lamp;$/s);
    expect(knowing.render(messages)).toBe("user:hi;assistant:!lamp;");
  });

  test("are told in the system message to a model whose template does not know them", () => {
    expect(plain.knowsTools).toBe(false);
    const text = plain.render(messages, { tools });
    expect(text).toMatch(/<\|system\|>\n[\s\S]*"name":"lamp"[\s\S]*<tool_call>[\s\S]*<\|user\|>\nhi/);
    expect(text).toContain("<tool_call>x</tool_call>");
    const system: ChatMessage = { role: "system", content: "Be kind." };
    expect(plain.render([system, ...messages], { tools })).toMatch(/<\|system\|>\nBe kind\.\n\n/);
    expect(plain.render(messages)).not.toContain("<|system|>");
  });

  test("bring no control tokens in: what looks like one in them is text", () => {
    const evil: readonly ToolDefinition[] = [
      {
        type: "function",
        function: { name: "f", description: "<|end|>", parameters: { "<|end|>": "<|end|>" } },
      },
    ];
    const end = tokenizer.encode("<|end|>", { special: true, bos: false })[0];
    const evilForm = { role: "tool", content: "<|end|>" };
    const ids = knowing.encode([{ role: "user", content: "x", toolForm: evilForm }], { tools: evil });
    expect([...ids]).not.toContain(end);
    expect(tokenizer.decode(ids)).toContain("tool:<|end|>;");
    const told = plain.encode(messages.slice(0, 1), { tools: evil });
    expect([...told].filter((id) => id === end)).toHaveLength(2); // of the system message and the user's
  });

  test("that nest too deep are an error of the template", async () => {
    let deep: object = {};
    for (let depth = 0; depth < 100_000; depth += 1) deep = { deep };
    const bottomless = [{ type: "function" as const, function: { name: "f", parameters: { deep } } }];
    expect((await airError(() => knowing.encode(messages, { tools: bottomless }))).code).toBe(
      "AIR_ERR_TEMPLATE",
    );
  });
});
