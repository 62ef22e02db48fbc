// Token ids by node-llama-cpp, without special tokens and BOS.
//   node peer-tokenize.mjs --model FILE [TEXT | < text]            one JSON object {"tokens": [...]}
//   node peer-tokenize.mjs --model FILE --lines < lines.jsonl      one JSON string per input line, one array per output line
import { readFileSync } from "node:fs";
import { parseArgs } from "node:util";
import { loadPeerModel, printAndExit, usageError } from "./peer.mjs";

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: { model: { type: "string" }, lines: { type: "boolean", default: false } },
});
if (values.model === undefined || positionals.length > 1)
  usageError("expected --model FILE and at most one TEXT");

const model = await loadPeerModel(values.model, { tokenizerOnly: true });
const tokenize = (text) => model.tokenize(text, false);
if (values.lines) {
  const lines = readFileSync(0, "utf8").split("\n").filter(Boolean);
  const output = lines.map((line) => `${JSON.stringify(tokenize(JSON.parse(line)))}\n`).join("");
  process.stdout.write(output, () => process.exit(0));
} else {
  printAndExit({ tokens: tokenize(positionals[0] ?? readFileSync(0, "utf8")) });
}
