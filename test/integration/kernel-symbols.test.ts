import { spawnSync } from "node:child_process";
import { readdirSync } from "node:fs";
import path from "node:path";
import { fileURLToPath } from "node:url";

import { describe, expect, test } from "vitest";

const build = fileURLToPath(new URL("../../build/CMakeFiles/", import.meta.url));

/** Symbols that an instruction set's object files define, as [type letter, name]. */
function definedSymbols(folder: string): readonly (readonly [string, string])[] {
  const objects = readdirSync(path.join(build, folder), { recursive: true, encoding: "utf8" })
    .filter((file) => file.endsWith(".o"))
    .map((file) => path.join(build, folder, file));
  const { stdout } = spawnSync("nm", ["--defined-only", "--no-sort", ...objects], { encoding: "utf8" });
  return [...stdout.matchAll(/^[0-9a-f]+ ([A-Za-z]) (\S+)$/gm)].map(([, type = "", name = ""]) => [
    type,
    name,
  ]);
}

// The build folder's layout and nm's options are those of CMake and binutils on Linux.
describe.skipIf(process.platform !== "linux")("kernel object files", () => {
  const folders = readdirSync(build).filter((folder) => /^air_kernels_\w+\.dir$/.test(folder));

  test("are there for the reference and each vectorised instruction set", () => {
    expect(folders).toContain("air_kernels_reference.dir");
  });

  test.each(folders)(
    "%s defines nothing that the linker may merge with another instruction set's",
    (folder) => {
      const symbols = definedSymbols(folder);
      expect(symbols.length).toBeGreaterThan(0);
      expect(symbols.filter(([type]) => "WwVvu".includes(type))).toEqual([]);
    },
  );

  test("share no global name between instruction sets", () => {
    const names = folders.flatMap((folder) =>
      definedSymbols(folder)
        .filter(([type]) => "TDBR".includes(type))
        .map(([, name]) => name),
    );
    expect(names.length).toBe(new Set(names).size);
  });
});
