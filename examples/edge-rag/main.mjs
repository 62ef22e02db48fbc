// node main.mjs MODEL.gguf FOLDER "QUESTION": answers from the .md and .txt files of a folder.
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";

import { loadModel } from "air-runtime";

import { addDocuments, findPassages, toMessages } from "./rag.mjs";
import { openStore } from "./store.mjs";

const [path, folder, question] = process.argv.slice(2);
if (question === undefined) {
  console.error('usage: node main.mjs MODEL.gguf FOLDER "QUESTION"');
  process.exit(2);
}

const model = await loadModel(path);
const [{ vector }] = await model.embed(["how long is a vector?"]);
const store = openStore(join(folder, "air-rag.sqlite"), vector.length, model.info.fingerprint);
try {
  if (store.size() === 0) {
    const names = readdirSync(folder, { recursive: true }).filter((name) => /[.](md|txt)$/.test(name));
    const documents = names.map((name) => ({ name, text: readFileSync(join(folder, name), "utf8") }));
    console.error(`${await addDocuments(model, store, documents)} passages of ${names.length} files`);
  }
  const passages = await findPassages(model, store, question);
  for (const { name, distance } of passages) console.error(`${distance.toFixed(3)}  ${name}`);
  const session = model.createSession();
  const answer = session.generate(toMessages(question, passages), { maxTokens: 256 });
  for await (const { text } of answer) process.stdout.write(text);
  process.stdout.write("\n");
} finally {
  store.close();
  model.close();
}
