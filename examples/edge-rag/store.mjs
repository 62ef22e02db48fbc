// Passages and their vectors in one SQLite file; sqlite-vec finds the nearest ones.
import Database from "better-sqlite3";
import { load } from "sqlite-vec";

/** A vector as sqlite-vec takes it: its float32 values in order. */
const bytesOf = (vector) => Buffer.from(vector.buffer, vector.byteOffset, vector.byteLength);

/**
 * Opens or makes a store.
 *
 * file: the SQLite file, or ":memory:". dimensions: of the vectors. model: the fingerprint of the model that makes
 * them; vectors of another model mean something else, so that a store of one is refused.
 */
export function openStore(file, dimensions, model) {
  const database = new Database(file);
  load(database);
  database.exec(
    "CREATE TABLE IF NOT EXISTS about (model TEXT NOT NULL);" +
      "CREATE TABLE IF NOT EXISTS passages (id INTEGER PRIMARY KEY, name TEXT NOT NULL, text TEXT NOT NULL);" +
      `CREATE VIRTUAL TABLE IF NOT EXISTS vectors USING vec0(vector float[${dimensions}] distance_metric=cosine)`,
  );
  const known = database.prepare("SELECT model FROM about").pluck().get();
  if (known === undefined) database.prepare("INSERT INTO about VALUES (?)").run(model);
  else if (known !== model)
    throw new Error(`expected a store of model ${model} but received one of ${known}`);
  const addPassage = database.prepare("INSERT INTO passages (name, text) VALUES (?, ?)");
  const addVector = database.prepare("INSERT INTO vectors (rowid, vector) VALUES (?, ?)");
  const nearest = database.prepare(
    "SELECT name, text, distance FROM vectors JOIN passages ON passages.id = vectors.rowid " +
      "WHERE vector MATCH ? AND k = ? ORDER BY distance",
  );
  return {
    size: () => database.prepare("SELECT count(*) FROM passages").pluck().get(),
    add: database.transaction((passages) => {
      for (const { name, text, vector } of passages) {
        const { lastInsertRowid } = addPassage.run(name, text);
        addVector.run(BigInt(lastInsertRowid), bytesOf(vector));
      }
    }),
    nearest: (vector, count) => nearest.all(bytesOf(vector), count),
    close: () => database.close(),
  };
}
