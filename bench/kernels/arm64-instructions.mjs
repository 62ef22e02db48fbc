// Counts what the compiler made of the ARM kernels: instructions per byte of weights, for rows of activations.
// usage: npm run test:arm64 && node bench/kernels/arm64-instructions.mjs
//
// The loop over groups of 32 k is the smallest one that both multiplies and fetches ahead. Kernels of more than
// four rows have a loop over outputs within it, which counts as often as it takes to make all the products.
import { spawnSync } from "node:child_process";
import path from "node:path";
import { fileURLToPath } from "node:url";

const root = path.resolve(path.dirname(fileURLToPath(import.meta.url)), "..", "..");

/** Weights as the kernels' template arguments name them; bytes of 32 k of a tile, scales and mins included. */
const kinds = [
  { name: "int4 (Q4_0)", file: "matmul_int4", pattern: /Int4<false>/, bytes: 288 },
  { name: "int4 with mins (Q4_K)", file: "matmul_int4", pattern: /Int4<true>/, bytes: 320 },
  { name: "int8 (Q8_0)", file: "matmul_int8", pattern: /Int8<\S+( \S+)?Kind\)0>/, bytes: 544 },
  { name: "int8, scale per 16 (Q6_K)", file: "matmul_int8", pattern: /Int8<\S+( \S+)?Kind\)2>/, bytes: 576 },
];
const rowCounts = [1, 2, 4, 8, 12, 16];
const isas = [
  { name: "neon", products: (rows) => 32 * rows },
  { name: "neoni8mm", products: (rows) => 32 * Math.ceil(rows / 2) },
];

/** [{ name, code: [{ at, op, target }] }] of an object file. */
function disassemble(isa, file) {
  const object = `build-arm64/CMakeFiles/air_kernels_${isa}.dir/kernels/${isa}/${file}.cc.o`;
  const args = ["-dC", "--no-show-raw-insn", object];
  const { status, stdout, stderr } = spawnSync("aarch64-linux-gnu-objdump", args, {
    cwd: root,
    encoding: "utf8",
    maxBuffer: 1 << 28,
  });
  if (status !== 0) throw new Error(`expected a disassembly of ${object} but received ${stderr}`);
  const functions = [];
  for (const line of stdout.split("\n")) {
    const start = /^[0-9a-f]+ <(.*)>:$/.exec(line);
    if (start) functions.push({ name: start[1], code: [] });
    const instruction = /^\s+([0-9a-f]+):\s+(\S+)\s*(.*)$/.exec(line);
    if (!instruction) continue;
    const target = /(?:^|, )([0-9a-f]+) </.exec(instruction[3]);
    functions.at(-1).code.push({
      at: parseInt(instruction[1], 16),
      op: instruction[2],
      target: target && instruction[2] !== "bl" ? parseInt(target[1], 16) : undefined,
    });
  }
  return functions;
}

/** Instructions per 32 k of a tile, and how many of them multiply. */
function count({ code }, products) {
  const multiplies = (loop) => loop.filter(({ op }) => op === "sdot" || op === "smmla").length;
  const loops = code
    .filter(({ at, target }) => target !== undefined && target <= at)
    .map((jump) => code.filter(({ at }) => at >= jump.target && at <= jump.at))
    .filter((loop) => multiplies(loop) > 0)
    .sort((a, b) => a.length - b.length);
  const inner = loops[0];
  const group = loops.find((loop) => loop.some(({ op }) => op === "prfm"));
  const times = products / multiplies(inner);
  return times * inner.length + (group === inner ? 0 : group.length - inner.length);
}

/** 16 rows are two panels of 8. */
function instructions(isa, functions, kind, rows) {
  if (rows > 12) return 2 * instructions(isa, functions, kind, rows / 2);
  const kernel = functions.find(
    ({ name }) =>
      kind.pattern.test(name) &&
      (name.includes(`, ${String(rows)}>(`) || (rows === 1 && name.includes("multiply_row"))),
  );
  return count(kernel, isa.products(rows));
}

console.log(
  `| weights | instruction set | ${rowCounts.map((rows) => (rows === 1 ? "1 row" : `${String(rows)} rows`)).join(" | ")} |`,
);
console.log(`| --- | --- | ${rowCounts.map(() => "---:").join(" | ")} |`);
for (const kind of kinds) {
  const counts = isas.map((isa) => {
    const functions = disassemble(isa.name, kind.file);
    return rowCounts.map((rows) => instructions(isa, functions, kind, rows));
  });
  for (const [i, isa] of isas.entries()) {
    const cells = counts[i].map((n) => `${String(n)} (${(n / kind.bytes).toFixed(2)})`);
    console.log(`| ${kind.name} | ${isa.name} | ${cells.join(" | ")} |`);
  }
  const ratios = rowCounts.map((_, i) => (counts[0][i] / counts[1][i]).toFixed(2));
  console.log(`| | neon / neoni8mm | ${ratios.join(" | ")} |`);
}
