// Retrieval-augmented generation: passages that are near a question go before it. Knows neither SQLite nor files:
// `store` keeps vectors, `model` is what loadModel() gives.

/** Characters of a passage, about; paragraphs stay whole where they are no longer than that. */
const passageCharacters = 600;
/** Texts that are embedded with one call, so that progress can be told and a folder of any size will do. */
const textsPerCall = 32;

/** The passages of a Markdown or plain text: paragraphs, joined as long as there is room. */
export function toPassages(text, limit = passageCharacters) {
  const passages = [];
  let passage = "";
  const flush = () => {
    if (passage.trim() !== "") passages.push(passage.trim());
    passage = "";
  };
  for (const paragraph of text.split(/\n\s*\n/)) {
    if (passage !== "" && passage.length + paragraph.length > limit) flush();
    let rest = paragraph;
    for (; rest.length > limit; rest = rest.slice(limit)) {
      flush();
      passages.push(rest.slice(0, limit).trim());
    }
    passage += `${rest}\n\n`;
  }
  flush();
  return passages;
}

/** Adds the passages of documents ({ name, text }) to the store; returns how many there were. */
export async function addDocuments(model, store, documents) {
  const passages = documents.flatMap(({ name, text }) =>
    toPassages(text).map((passage) => ({ name, text: passage })),
  );
  for (let start = 0; start < passages.length; start += textsPerCall) {
    const part = passages.slice(start, start + textsPerCall);
    const embeddings = await model.embed(part.map(({ text }) => text));
    store.add(part.map((passage, index) => ({ ...passage, vector: embeddings[index].vector })));
  }
  return passages.length;
}

/** The passages that are nearest to a question, the nearest first. */
export async function findPassages(model, store, question, count = 4) {
  const [{ vector }] = await model.embed([question]);
  return store.nearest(vector, count);
}

/** The messages that ask a question of passages. */
export function toMessages(question, passages) {
  const sources = passages.map(({ name, text }, index) => `[${index + 1}] ${name}\n${text}`).join("\n\n");
  const content = `Answer from the sources. Say so if they do not tell.\n\n${sources}\n\nQuestion: ${question}`;
  return [{ role: "user", content }];
}
