import { isHiddenType, tokenType, type Vocabulary } from "./vocabulary.js";

/** A stretch of text, or the id of a special token that stood in it. */
export type Segment = string | number;

/** Finds special tokens in text. */
export interface SpecialTokens {
  /** Texts of control tokens, longest first. */
  readonly controlTexts: readonly string[];
  /**
   * Cuts text at special tokens: user-defined ones always, control and unknown ones only if `special`. A longer token
   * is looked for before a shorter one.
   */
  partition(text: string, special: boolean): readonly Segment[];
}

interface SpecialToken {
  readonly id: number;
  readonly text: string;
  readonly control: boolean;
}

/** Collects the vocabulary's special tokens. */
export function createSpecialTokens(vocabulary: Vocabulary): SpecialTokens {
  const all = collect(vocabulary);
  const always = all.filter(({ control }) => !control);
  return {
    controlTexts: all.filter(({ control }) => control).map(({ text }) => text),
    partition: (text, special) => cut(text, special ? all : always),
  };
}

function collect({ tokens, types }: Vocabulary): readonly SpecialToken[] {
  const found: SpecialToken[] = [];
  for (const [id, text] of tokens.entries()) {
    const type = types[id];
    const control = isHiddenType(type);
    if (text !== "" && (control || type === tokenType.userDefined)) found.push({ id, text, control });
  }
  const bytes = new Map(found.map(({ text }) => [text, Buffer.byteLength(text)]));
  return found.sort((a, b) => (bytes.get(b.text) ?? 0) - (bytes.get(a.text) ?? 0));
}

/** One pass per token over the text that is left, as llama.cpp does: the longest token wins wherever it stands. */
function cut(text: string, specialTokens: readonly SpecialToken[]): readonly Segment[] {
  let segments: readonly Segment[] = text === "" ? [] : [text];
  for (const { id, text: token } of specialTokens) {
    if (!text.includes(token)) continue;
    segments = segments.flatMap((segment) =>
      typeof segment === "number" ? segment : cutAt(segment, token, id),
    );
  }
  return segments;
}

function cutAt(text: string, token: string, id: number): readonly Segment[] {
  return text
    .split(token)
    .flatMap((part, i): Segment[] => (i === 0 ? [part] : [id, part]))
    .filter((segment) => segment !== "");
}
