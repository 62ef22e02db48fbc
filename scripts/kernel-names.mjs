// node scripts/kernel-names.mjs OUTPUT.cc ROOT COMPILER FILE.cu..: writes a C++ file that adds the kernels of .cu files to
// the fake driver's table. The compiler's preprocessor finds them, those that macros define included.
import { spawnSync } from "node:child_process";
import { readdirSync, writeFileSync } from "node:fs";
import path from "node:path";

const [output, root, compiler, ...sources] = process.argv.slice(2);
const flags = ["-std=c++17", "-x", "c++", "-E", "-P", "-DAIR_EMULATOR", `-I${root}`];

/** Declarations of the kernels of a file. */
function kernelsOf(source) {
  const result = spawnSync(compiler, [...flags, source], { encoding: "utf8", maxBuffer: 1 << 28 });
  if (result.status !== 0) throw new Error(result.stderr);
  const found = [...result.stdout.matchAll(/extern\s+"C"\s+void\s+(\w+)\s*\(([^;{]*)\)\s*\{/g)];
  return found.map(([, name, parameters]) => ({ name, parameters }));
}

const kernels = sources.flatMap(kernelsOf);
const headers = readdirSync(path.join(root, "kernels/cuda")).filter((name) => name.endsWith("_params.h"));
writeFileSync(
  output,
  `// Made by scripts/kernel-names.mjs.
#include "test/native/fake_cuda/kernel_table.h"
${headers.map((name) => `#include "kernels/cuda/${name}"`).join("\n")}

${kernels.map(({ name, parameters }) => `extern "C" void ${name}(${parameters});`).join("\n")}

namespace {
${kernels.map(({ name }) => `[[maybe_unused]] const bool ${name}_is_there = fake::add_kernel("${name}", ${name});`).join("\n")}
}  // namespace
`,
);
