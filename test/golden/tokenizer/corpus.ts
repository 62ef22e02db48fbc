/**
 * 1,000 lines of mixed text for tokenizer goldens: prose in many scripts, code, numbers, emoji, white space of all
 * kinds, special-token look-alikes and decoded invalid UTF-8. Made from our own words by a seeded generator, so the
 * corpus needs no file. Changing anything here changes the goldens: run scripts/make-tokenizer-goldens.ts again.
 */

const lineCount = 1000;

const prose: readonly string[] = [
  "The little engine reads a file, maps its pages and answers before the kettle boils.",
  "It's what they've said: we'll see, I'm sure, that she'd rather not, and you're late; don't.",
  "IT'S WHAT THEY'VE SAID: WE'LL SEE, I'M SURE, THAT SHE'D RATHER NOT.",
  "\u2018Curly\u2019 quotes, an em dash \u2014 here, an ellipsis\u2026 and a caf\u00e9 na\u00efve fa\u00e7ade.",
  "Die Stra\u00dfe f\u00fchrt \u00fcber gr\u00fcne H\u00fcgel; \u00c4pfel kosten 3,50 \u20ac je Kilo.",
  "L'\u00e9t\u00e9 dernier, nous avons mang\u00e9 des cr\u00eapes pr\u00e8s de l'\u0153uvre d'art.",
  "Gdzie jest najbli\u017csza stacja? Za\u017c\u00f3\u0142\u0107 g\u0119\u015bl\u0105 ja\u017a\u0144.",
  "\u0411\u044b\u0441\u0442\u0440\u044b\u0439 \u043f\u043e\u0435\u0437\u0434 \u0438\u0434\u0451\u0442 \u043d\u0430 \u0441\u0435\u0432\u0435\u0440 \u0432 7:45.",
  "\u039f \u03ae\u03bb\u03b9\u03bf\u03c2 \u03b1\u03bd\u03b1\u03c4\u03ad\u03bb\u03bb\u03b5\u03b9 \u03c0\u03af\u03c3\u03c9 \u03b1\u03c0\u03cc \u03c4\u03bf \u03b2\u03bf\u03c5\u03bd\u03cc.",
  "\u0627\u0644\u0642\u0637\u0627\u0631 \u0627\u0644\u0633\u0631\u064a\u0639 \u064a\u0635\u0644 \u0641\u064a \u0627\u0644\u0633\u0627\u0639\u0629 \u0667:\u0664\u0665.",
  "\u05d4\u05e8\u05db\u05d1\u05ea \u05d4\u05de\u05d4\u05d9\u05e8\u05d4 \u05de\u05d2\u05d9\u05e2\u05d4 \u05d1\u05e9\u05e2\u05d4 \u05e9\u05d1\u05e2.",
  "\u0924\u0947\u091c\u093c \u0930\u0947\u0932\u0917\u093e\u0921\u093c\u0940 \u0938\u093e\u0924 \u092c\u091c\u0947 \u0906\u0924\u0940 \u0939\u0948\u0964 \u0967\u0968\u0969",
  "\u0e23\u0e16\u0e44\u0e1f\u0e40\u0e23\u0e47\u0e27\u0e21\u0e32\u0e16\u0e36\u0e07\u0e40\u0e27\u0e25\u0e32\u0e40\u0e08\u0e47\u0e14\u0e42\u0e21\u0e07",
  "\u5c0f\u706b\u8f66\u5728\u65e9\u4e0a\u4e03\u70b9\u56db\u5341\u4e94\u5206\u5230\u8fbe\uff0c\u8bf7\u4e0d\u8981\u8fdf\u5230\u3002",
  "\u5c0f\u3055\u306a\u6a5f\u95a2\u8eca\u306f\u6771\u4eac\u304b\u3089\u4eac\u90fd\u307e\u3067\u8d70\u308a\u307e\u3059\u3002\u30ab\u30bf\u30ab\u30ca\u3082\u3002",
  "\uc791\uc740 \uae30\ucc28\uac00 \uc544\uce68 \uc77c\uacf1 \uc2dc\uc5d0 \ub3c4\ucc29\ud569\ub2c8\ub2e4.",
  "e\u0301 and \u00e9 differ in bytes; a\u0308o\u0308u\u0308 carry marks; Vie\u0302\u0323t Nam too.",
  "\u00bd cup, \u00b2 squared, \u2167 chapters, \u2460 first, \u0663\u0664 digits, \ud835\udfd9\ud835\udfda bold ones.",
];

const code: readonly string[] = [
  "for (let i = 0; i < rows.length; i++) { total += rows[i]?.bytes ?? 0; }",
  "    if (page !== undefined && page.tokens === pageTokens) return page.id;",
  "\tconst float scale = fabsf(amax) / 127.0f; // one per block",
  "def merge(left, right):\n    return [*left, *right]\n\n\nclass Page:\n    pass",
  "SELECT name, count(*) AS n FROM pages WHERE bytes >= 4096 GROUP BY name ORDER BY n DESC;",
  "#include <cstdint>\r\n#define AIR_PAGE 16\r\n\r\nint main() { return 0; }\r\n",
  'export PATH="$HOME/bin:$PATH" && ./run.sh --ctx=1024 -n 64 2>&1 | tee log.txt',
  '{"model": "air", "tokens": [1, 22, 333, 4444], "temperature": 0.75, "stop": null}',
  "<div class=\"page\"><a href='#top'>up</a></div> <!-- not shown -->",
  "x = {**a, 'k': `v`}; y ||= z ** 2 | ~w ^ 0xFF; s = \"\\n\\t\\\\\"; // ======= TODO?!",
  "fn rank(a: &str, b: &str) -> Option<usize> { self.ranks.get(&(a, b)).copied() }",
  "git commit -m 'Fix #1234: off-by-one @ line 56789' --author=\"A. B. <a@b.example>\"",
];

const emoji: readonly string[] = [
  "\ud83d\ude42",
  "\ud83d\ude80\ud83d\ude80",
  "\ud83d\udc69\u200d\ud83d\udcbb",
  "\ud83c\uddeb\ud83c\uddf7",
  "\ud83d\udc4d\ud83c\udffd",
  "\u2764\ufe0f",
  "\ud83c\udff4\udb40\udc67\udb40\udc62\udb40\udc73\udb40\udc63\udb40\udc74\udb40\udc7f",
  "1\ufe0f\u20e3",
];

const spaces: readonly string[] = [
  " ",
  "  ",
  "   ",
  "        ",
  "\t",
  "\t\t",
  " \t ",
  "\n",
  "\n\n",
  "\n\n\n",
  "\r\n",
  " \n",
  "\n ",
  "\n  \n   ",
  "\u00a0",
  "\u3000",
  "\u2009",
  "\u0085",
  "\u2028",
  "\u000b\f",
];

const numbers: readonly string[] = [
  "0",
  "7",
  "42",
  "100",
  "1234",
  "56789",
  "3.14159",
  "1,000,000",
  "2026-01-31",
  "007",
];

/** Look-alikes of control tokens, and characters that tokenizers treat specially. */
const oddities: readonly string[] = [
  "<|end|>",
  "<|im_start|>user",
  "<s>",
  "</s>",
  "<unk>",
  "<0x0A>",
  "[INST]",
  "<|user|>",
  "\u2581\u2581",
  "\ufeff",
  "\ufffd",
  "\u0000",
  "\u0120\u010a",
  "\u0378",
  "\ue000",
  "\u200b",
  "'''s't're",
  "''",
  "----------------",
  "................",
  "=-=-=-=-=",
  "aaaaaaaaaaaaaaaaaaaaaaa",
  "abababababababababab",
  "supercalifragilisticexpialidocious",
];

/** The corpus: always the same lines. A line may hold line breaks of its own. */
export function corpusLines(): readonly string[] {
  const random = createRandom(20_261);
  const lines: string[] = [...prose, ...code, ...emoji, ...spaces, ...numbers, ...oddities];
  while (lines.length < lineCount) lines.push(composeLine(random, lines.length));
  return lines;
}

function composeLine(random: Random, index: number): string {
  switch (index % 5) {
    case 0:
      return [pick(random, prose), pick(random, spaces), pick(random, prose)].join("");
    case 1:
      return [pick(random, spaces), pick(random, code), pick(random, spaces)].join("");
    case 2:
      return mixWords(random);
    case 3:
      return invalidUtf8(random);
    default:
      return [...mixWords(random)].filter(() => random() < 0.8).join("");
  }
}

/** Words, numbers, emoji and oddities with white space of any kind between them. */
function mixWords(random: Random): string {
  const words = [prose, code].flatMap((lines) => pick(random, lines).split(/(?<=[ ;,.])/));
  const parts: string[] = [];
  const count = 4 + Math.floor(random() * 12);
  for (let i = 0; i < count; i++) {
    const kind = random();
    parts.push(pick(random, kind < 0.5 ? words : kind < 0.65 ? numbers : kind < 0.8 ? emoji : oddities));
    if (random() < 0.4) parts.push(pick(random, spaces));
  }
  return parts.join("");
}

/** Text whose UTF-8 was damaged: bytes dropped and overwritten, then decoded with U+FFFD in their place. */
function invalidUtf8(random: Random): string {
  const bytes = Buffer.from(pick(random, prose) + pick(random, emoji));
  const damaged = bytes
    .filter(() => random() > 0.04)
    .map((byte) => (random() < 0.03 ? 0x80 + (byte >> 1) : byte));
  return Buffer.from(damaged).toString("utf8");
}

type Random = () => number;

/** Mulberry32: uniform in [0, 1), enough for test text. */
function createRandom(seed: number): Random {
  let state = seed;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let t = Math.imul(state ^ (state >>> 15), 1 | state);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return ((t ^ (t >>> 14)) >>> 0) / 2 ** 32;
  };
}

function pick(random: Random, items: readonly string[]): string {
  return items[Math.floor(random() * items.length)] ?? "";
}
