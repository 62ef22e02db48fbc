/** A Model over the fake addon, with a tokenizer of single characters. */
import { type EvictionPolicy, keepAll } from "../../lib/cache/eviction-policy.js";
import { createIncrementalDecoder } from "../../lib/model/incremental-decoder.js";
import type { ChatTemplate } from "../../lib/model/chat-template.js";
import type { Tokenizer } from "../../lib/model/tokenizer.js";
import { Model, type ModelParts } from "../../lib/runtime/model.js";
import { FakeAddon, fakeSpec } from "./fake-native.js";

const alphabet = " abcdefghijklmnopqrstuvwxyz.,!?:\n0123456789";
export const bosId = 0;
export const eosId = 1;
const firstCharacterId = 2;
export const fakeVocabSize = firstCharacterId + alphabet.length;

function tokenBytes(id: number): Uint8Array {
  return Buffer.from(alphabet[id - firstCharacterId] ?? "");
}

function encodePlain(text: string): number[] {
  return Array.from(text, (character) => alphabet.indexOf(character) + firstCharacterId);
}

/** Ids of the characters of `text`, without BOS. */
export const encodeCharacters = (text: string): Int32Array => Int32Array.from(encodePlain(text));

export const fakeTokenizer: Tokenizer = {
  vocabSize: fakeVocabSize,
  bosId,
  eosId,
  endOfGenerationIds: [eosId],
  addBos: true,
  addEos: false,
  fingerprint: "fake",
  controlTexts: [],
  encode: (text, options = {}) =>
    Int32Array.from([...((options.bos ?? true) ? [bosId] : []), ...encodePlain(text)]),
  encodeSegments: (segments) =>
    Int32Array.from(
      segments.flatMap((segment) => (typeof segment === "number" ? [segment] : encodePlain(segment))),
    ),
  partition: (text) => [text],
  decode: (ids) => Array.from(ids, (id) => Buffer.from(tokenBytes(id)).toString()).join(""),
  createDecoder: () => createIncrementalDecoder(tokenBytes),
  tokenBytes,
  isControl: (id) => id < firstCharacterId,
};

const render: ChatTemplate["render"] = (messages, options = {}) =>
  messages.map(({ role, content }) => `${role}: ${content}\n`).join("") +
  ((options.addGenerationPrompt ?? true) ? "assistant: " : "");

const fakeTemplate: ChatTemplate = {
  knowsTools: false,
  render,
  encode: (messages, options) => fakeTokenizer.encode(render(messages, options)),
};

export interface FakeModelOptions {
  readonly contextTokens?: number;
  readonly kvTokens?: number;
  readonly pageTokens?: number;
  readonly maxBatchTokens?: number;
  readonly tokenizer?: Tokenizer;
  readonly chatTemplate?: ChatTemplate | undefined;
  /** With a draft model that agrees two times in three. Default false. */
  readonly draft?: boolean;
  /** Default keepAll. */
  readonly policy?: EvictionPolicy;
  /** Default true. */
  readonly prefixCache?: boolean;
}

function createParts(addon: FakeAddon, options: FakeModelOptions, isDraft: boolean): ModelParts {
  const {
    contextTokens = 256,
    pageTokens = 16,
    maxBatchTokens = 32,
    tokenizer = fakeTokenizer,
    policy = keepAll,
  } = options;
  const native = addon.createModel(fakeSpec(fakeVocabSize), isDraft);
  const pages = Math.ceil((options.kvTokens ?? contextTokens) / pageTokens);
  const arena = addon.createArena(native, {
    headMask: new Uint8Array(1),
    pageTokens,
    pageCounts: [pages + 1],
    keyType: "int8",
    valueType: "int8",
  });
  const runner = addon.createRunner(native, arena, { maxTokens: maxBatchTokens });
  const info = {
    architecture: "fake",
    name: "fake",
    parameterCount: 1,
    vocabSize: fakeVocabSize,
    trainedContext: contextTokens,
    contextTokens,
    kv: { keys: "int8", values: "int8", rotateKeys: false },
    policy: policy.name,
    fingerprint: isDraft ? "fake draft" : "fake target",
    threads: 1,
    conversions: [],
    packCache: undefined,
    device: undefined,
  } as const;
  const chatTemplate = "chatTemplate" in options ? options.chatTemplate : fakeTemplate;
  return {
    addon,
    native,
    arena,
    runner,
    tokenizer,
    chatTemplate,
    info,
    maxBatchTokens,
    policy,
    prefixCache: options.prefixCache ?? true,
    headsIdentity: "",
    spec: fakeSpec(fakeVocabSize),
    directory: { files: [], tensors: [] },
  };
}

/**
 * A model of the fake addon; the addon's controls watch and steer it. A draft model has an addon of its own, so that it
 * is steered by itself.
 */
export function createFakeModel(options: FakeModelOptions = {}): {
  model: Model;
  addon: FakeAddon;
  draftAddon: FakeAddon;
} {
  const addon = new FakeAddon();
  const draftAddon = new FakeAddon();
  const parts = createParts(addon, options, false);
  const draft = options.draft === true ? { draft: createParts(draftAddon, options, true) } : {};
  return { model: new Model({ ...parts, ...draft }), addon, draftAddon };
}
