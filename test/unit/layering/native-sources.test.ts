import { readdirSync, readFileSync } from "node:fs";
import path from "node:path";
import { fileURLToPath } from "node:url";

import { describe, expect, test } from "vitest";

const root = fileURLToPath(new URL("../../../", import.meta.url));

function sources(folder: string): readonly string[] {
  return readdirSync(path.join(root, folder), { recursive: true, encoding: "utf8" })
    .filter((file) => /\.(cc|h|cu|cuh)$/.test(file))
    .map((file) => path.join(folder, file));
}

/** "file:line text" of the code lines (comments removed) that match. */
function matches(files: readonly string[], pattern: RegExp): readonly string[] {
  return files.flatMap((file) => {
    const code = readFileSync(path.join(root, file), "utf8")
      .replaceAll(/\/\*[\s\S]*?\*\//g, (comment) => comment.replaceAll(/[^\n]/g, " "))
      .replaceAll(/\/\/.*$/gm, "");
    return code
      .split("\n")
      .map((text, index) => ({ text, line: index + 1 }))
      .filter(({ text }) => pattern.test(text))
      .map(({ text, line }) => `${file}:${line} ${text.trim()}`);
  });
}

const core = sources("native/core");
const kernels = sources("kernels");
const all = [...sources("native"), ...kernels];

describe("native sources", () => {
  test("are found", () => {
    expect(core.length).toBeGreaterThan(0);
    expect(kernels.length).toBeGreaterThan(0);
  });

  test("know nothing of tiers, not even in a comment", () => {
    const files = all.filter((file) => /\btiers?\b/i.test(readFileSync(path.join(root, file), "utf8")));
    expect(files).toEqual([]);
  });

  test("include napi.h only in native/binding", () => {
    const outside = all.filter((file) => !file.startsWith(path.join("native", "binding")));
    expect(matches(outside, /#\s*include\s*[<"](napi|node_api|js_native_api)/)).toEqual([]);
  });

  test("never end the process, print or throw in core and kernels", () => {
    const pattern =
      /\b(abort|exit|_Exit|quick_exit|terminate|f?printf|puts|perror|assert)\s*\(|std::c(out|err)\b|\bthrow\b/;
    expect(matches([...core, ...kernels], pattern)).toEqual([]);
  });
});

describe("kernels", () => {
  test("declare what their instruction sets share static", () => {
    // A function that two of them define may be merged by the linker into the one that this machine cannot run;
    // test/integration/kernel-symbols.test.ts looks for the same in what the compiler made.
    const inline = matches([...sources("kernels/include"), ...sources("kernels/shared")], /\binline\b/);
    expect(inline.length).toBeGreaterThan(0);
    expect(inline.filter((line) => !/\bstatic\b/.test(line))).toEqual([]);
  });
});
