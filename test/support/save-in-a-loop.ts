/** Saves a session to FILE over and over, until it is killed. Usage: save-in-a-loop.ts MODEL FILE */
import { loadModel } from "../../lib/index.js";

const [model, file] = process.argv.slice(2);
if (model === undefined || file === undefined) throw new Error("expected a model and a file");
using loaded = await loadModel(model, { contextTokens: 1024 });
using session = loaded.createSession();
for (let turn = 0; ; turn += 1) {
  await session.generate(`${"once upon a time ".repeat(60)} ${turn}`, { maxTokens: 2, ignoreEos: true })
    .result;
  await session.save(file);
  if (turn === 0) process.stdout.write("saved\n");
}
