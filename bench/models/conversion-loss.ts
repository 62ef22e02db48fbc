/**
 * What packing does to the weights of a file, measured against the file's own values while it loads.
 *
 *   npx tsx bench/models/conversion-loss.ts FILE.gguf
 */
import { loadModel } from "../../lib/index.js";

const [file] = process.argv.slice(2);
if (file === undefined) {
  console.error("usage: npx tsx bench/models/conversion-loss.ts FILE.gguf");
  process.exit(2);
}
using model = await loadModel(file, { contextTokens: 32 });
console.log("in file   packed   tensors   relative RMS error   largest error");
for (const { from, to, tensors, relativeRmsError, maxAbsError } of model.info.conversions) {
  const errors =
    relativeRmsError === 0 ? "             exact" : relativeRmsError.toExponential(2).padStart(18);
  const largest = relativeRmsError === 0 ? "0" : maxAbsError.toExponential(2);
  console.log(
    `${from.padEnd(10)}${to.padEnd(9)}${String(tensors).padStart(7)}   ${errors}   ${largest.padStart(13)}`,
  );
}
