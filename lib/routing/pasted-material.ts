/** What was pasted for a request to work on, as far as it is counted. */
export interface PastedMaterial {
  readonly pastedChars: number;
  /** Fenced code blocks. */
  readonly fences: number;
  /** Lines that look like program text, inside of fences or not. */
  readonly codeLines: number;
  /** Lines of logs and stack traces. */
  readonly logLines: number;
  /** Lines of tables, CSV and JSON. */
  readonly dataLines: number;
}

type LineKind = "ask" | "code" | "log" | "data" | "quote";

const patterns: readonly (readonly [LineKind, RegExp])[] = [
  ["log", /^\W{0,3}(\d{4}-\d\d-\d\d|\d\d:\d\d:\d\d|\w{3} +\d{1,2} \d\d:\d\d)/],
  [
    "log",
    /^\s*(\[?(INFO|WARN(ING)?|ERROR|DEBUG|FATAL|TRACE)\b|at \S+\s?\(|File ".{1,200}", line|Traceback|Caused by|E\/|panic:|goroutine \d)/,
  ],
  ["data", /^\s*\|.*\|/],
  ["data", /^\s*["{}[\]]+,?\s*$|^\s*[{[].*[}\]],?\s*$|^\s*"[^"]{1,60}"\s*:/],
  ["data", /^[^,\s]{1,40}(,[^,]{0,30}){3,}$/],
  ["quote", /^\s*>|^(From|To|Cc|Sent|Subject|Date): \S/],
  [
    "code",
    /[;{}]\s*$|^\s*(\/\/|#include|import \w|from \S+ import|def \w+\(|class \w+[:({ ]|public |private |const |let |var |return\b.*[;)]|func |fn |SELECT\b|FROM \w+|WHERE |JOIN |\$ \w)/,
  ],
  ["code", /^( {4}|\t)\S/],
];

function kindOf(line: string): LineKind {
  // No pattern needs more than the start, and long lines would cost time.
  const start = line.length > 240 ? line.slice(0, 240) : line;
  return patterns.find(([, pattern]) => pattern.test(start))?.[0] ?? "ask";
}

/** Quoted text of some length with a space in it: a phrase to work on rather than a name. */
const quoted =
  /"[^"\n]{10,2000}"|\u201c[^\u201d\n]{10,2000}\u201d|(?<=[\s:(])'[^'\n]{10,2000}'(?=[\s.,:;?!)]|$)/g;

/** An opening that announces material, up to its colon. */
const announced =
  /^[^\n:]{0,220}\b(this|these|following|below|here(?:'s| is| are)|text|passage|sentences?|paragraph|list|email|message|snippet|words|numbers|reviews?|article|excerpt|translate|rephrase|reword|paraphrase|spelling|grammar|summari[sz]e|tl;?dr|sort|alphabeti[sz]e|classify|extract|proofread|convert|sentiment|code|log|transcript|notes|abstract)\b[^\n:]{0,120}:\s+/i;

/** Shortest text after such an opening that counts as material. */
const shortestMaterial = 40;

function looksLikeAsk(paragraph: string): boolean {
  return (
    paragraph.length < 400 &&
    (/\?\s*$/.test(paragraph) ||
      /^\s*(please|can you|could you|what|which|who|when|where|why|how|give|write|list|tell|summari[sz]e|explain|find|fix|design|is|are|does|do)\b/i.test(
        paragraph,
      ))
  );
}

/** The prose with announced material taken out; what ends it with an asking of its own stays. */
function withoutAnnounced(prose: string): { readonly ask: string; readonly removed: number } {
  const opening = announced.exec(prose)?.[0];
  if (opening === undefined || prose.length - opening.length < shortestMaterial) {
    return withoutLongParagraphs(prose);
  }
  const material = prose.slice(opening.length);
  const lastBreak = material.lastIndexOf("\n\n");
  const ending = lastBreak < 0 ? "" : material.slice(lastBreak + 2);
  const kept = looksLikeAsk(ending) ? ending : "";
  return { ask: `${opening}\n${kept}`, removed: material.length - kept.length };
}

/** Takes out long paragraphs next to a short one that asks about them. */
function withoutLongParagraphs(prose: string): { readonly ask: string; readonly removed: number } {
  const paragraphs = prose.split(/\n\s*\n/);
  const refers = (text: string): boolean =>
    looksLikeAsk(text) &&
    /\b(this|that|above|below|following|passage|text|article|email|it|letter|message|paragraph|here)\b/i.test(
      text,
    );
  if (paragraphs.length < 2 || !paragraphs.some(refers)) return { ask: prose, removed: 0 };
  const kept = paragraphs.filter((paragraph) => paragraph.length < 250 || looksLikeAsk(paragraph));
  const ask = kept.join("\n\n");
  return { ask, removed: prose.length - ask.length };
}

/** Separates what is asked from what was pasted to work on: code, logs, tables, quotes, announced passages. */
export function separatePasted(text: string): PastedMaterial & { readonly ask: string } {
  const counts: Record<LineKind, number> = { ask: 0, code: 0, log: 0, data: 0, quote: 0 };
  const prose: string[] = [];
  let fences = 0;
  let inFence = false;
  for (const line of text.split("\n")) {
    const isFence = /^\s*(```|~~~)/.test(line);
    if (isFence) {
      inFence = !inFence;
      if (inFence) fences += 1;
      continue;
    }
    const kind = kindOf(line);
    if (inFence) counts[kind === "ask" || kind === "quote" ? "code" : kind] += 1;
    else if (kind === "ask") prose.push(line);
    else counts[kind] += 1;
  }
  const unquoted = prose
    .join("\n")
    .replace(quoted, (phrase) => (phrase.includes(" ") ? " \u201c\u201d " : phrase));
  const { ask } = withoutAnnounced(unquoted);
  // A request that looks pasted as a whole is read as it is.
  const usable = /\p{L}{2}/u.test(ask) ? ask : text;
  return {
    ask: usable,
    pastedChars: Math.max(0, text.length - usable.length),
    fences,
    codeLines: counts.code,
    logLines: counts.log,
    dataLines: counts.data,
  };
}
