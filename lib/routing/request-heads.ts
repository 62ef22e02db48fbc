import { cueNames, cuesOfPhrasesAt, cuesOfWord } from "./cue-words.js";

/** Words before the one that says what to do: "could you please just ...". */
const openers = new Set(
  "please pls plz can could would will you u your help me us to i i'd we need want like would love hey hi hello so ok okay kindly just quickly now then also and but well um uh let's lets let go ahead try my goal is the task our job trying how about think might may maybe be able get gonna wanna looking for in order some a an i'm we're really actually first next finally alexa siri google assistant computer robot bot ai hope doing day great good morning afternoon evening there team friend buddy if it's not too much trouble possible when get chance".split(
    " ",
  ),
);

/** Kinds of question by how they begin. */
const questionStarts: readonly (readonly [string, RegExp])[] = [
  [
    "question count",
    /^(?:(?:on|in|at|from|to|by|for|of|with|under|and|so) )?how (many|much|old|far|tall|long|big|often|high|deep|heavy|fast)\b/,
  ],
  [
    "question should",
    /^(should|which (approach|option|one|of)|what should|what would|how should|how would)\b/,
  ],
  ["question how to", /^how (do|can|does|did|to|is|are|come)\b/],
  ["question why", /^why\b/],
  [
    "question fact",
    /^(?:(?:on|in|at|from|to|by|for|of|with|under|and|so) )?(who|whom|when|where|whose|what|what's|whats|which)\b/,
  ],
  [
    "question yes or no",
    /^(is|are|was|were|do|does|did|can|could|will|would|has|have|isn't|aren't|doesn't)\b/,
  ],
];

const verbNames = cueNames.filter((name) => name.startsWith("verb "));

/** What requests can begin with, in the order of the router file. */
export const headNames: readonly string[] = [...verbNames, ...questionStarts.map(([name]) => name), "none"];

const noneHead = headNames.length - 1;

/** What a sentence asks: an index of {@link headNames}, the word that said so, and what comes after it. */
export interface RequestHead {
  readonly kind: number;
  readonly word: string;
  readonly next: string;
}

/** Most openers that are skipped. */
const mostOpeners = 14;
const articles = new Set("a an the my our this that these some me us for of to".split(" "));

function verbKind(words: readonly string[], at: number): number {
  const classes = [...cuesOfPhrasesAt(words, at), ...cuesOfWord(words[at] ?? "")];
  const verb = classes.find((index) => index < verbNames.length);
  return verb ?? noneHead;
}

/** The head of a sentence that asks nothing. */
export const noHead: RequestHead = { kind: noneHead, word: "", next: "" };

/** The content word after position `at`. */
function nextContent(words: readonly string[], at: number): string {
  for (let i = at + 1; i < Math.min(words.length, at + 4); i += 1) {
    const word = words[i] ?? "";
    if (!articles.has(word)) return word;
  }
  return "";
}

/** The head of a sentence given as words in lower case; `isQuestion` when a question mark ends it. */
export function headOf(words: readonly string[], isQuestion: boolean): RequestHead {
  let at = 0;
  while (at < Math.min(words.length - 1, mostOpeners) && openers.has(words[at] ?? "")) {
    if (verbKind(words, at) !== noneHead && at > 0) break;
    at += 1;
  }
  // "how do I ..." and "can you ..." are openers too, but questions where no verb of ours follows.
  const verb = verbKind(words, at);
  if (verb !== noneHead) return { kind: verb, word: words[at] ?? "", next: nextContent(words, at) };
  const start = words.slice(0, 4).join(" ");
  const later = words.slice(at, at + 4).join(" ");
  for (const [order, [name, pattern]] of questionStarts.entries()) {
    // "I have had a long day" is no question: there words before the verb are no openers.
    const isAsked =
      pattern.test(start) || (pattern.test(later) && (isQuestion || name !== "question yes or no"));
    if (!isAsked) continue;
    return { kind: verbNames.length + order, word: words[at] ?? "", next: nextContent(words, at) };
  }
  return { kind: noneHead, word: words[at] ?? "", next: nextContent(words, at) };
}
