// node scripts/kernel-names.mjs FILE.cu OUTPUT.cc ROOT COMPILER..: writes a C++ file that includes a .cu file and adds its
// kernels to the fake driver's table. The compiler's preprocessor finds them, those that macros define included.
import { spawnSync } from "node:child_process";
import { writeFileSync } from "node:fs";

const [source, output, root, compiler, ...options] = process.argv.slice(2);
const flags = ["-std=c++17", "-x", "c++", "-E", "-P", "-DAIR_EMULATOR", `-I${root}`];
const result = spawnSync(compiler, [...options, ...flags, source], { encoding: "utf8", maxBuffer: 1 << 28 });
if (result.status !== 0) {
  console.error(result.stderr);
  process.exit(1);
}
const names = [...result.stdout.matchAll(/extern\s+"C"\s+void\s+(\w+)\s*\([^;{]*\)\s*\{/g)].map(([, name]) => name);
const lines = names.map((name) => `const bool ${name}_is_there = fake::add_kernel("${name}", ${name});`);
writeFileSync(
  output,
  `// Made by scripts/kernel-names.mjs.
#include "${source}"
#include "test/native/fake_cuda/kernel_table.h"

namespace {
${lines.map((line) => `[[maybe_unused]] ${line}`).join("\n")}
}  // namespace
`,
);
