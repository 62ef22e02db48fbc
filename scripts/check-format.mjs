// Checks (or with --write applies) the formatting: prettier everywhere, clang-format for C++. Formatting differs
// between major versions of clang-format, so only the pinned one counts. Where it is missing the C++ check is
// skipped with a line that says so; AIR_REQUIRE_TOOLS=1 (CI) makes that a failure.
import { spawnSync } from "node:child_process";
import { readdirSync } from "node:fs";
import path from "node:path";
import { fileURLToPath } from "node:url";

const root = path.resolve(path.dirname(fileURLToPath(import.meta.url)), "..");
const write = process.argv.includes("--write");
const clangFormatMajor = 14;

function prettier() {
  const bin = path.join(root, "node_modules", "prettier", "bin", "prettier.cjs");
  const mode = write ? "--write" : "--check";
  const args = [bin, mode, "--log-level", "warn", "."];
  return spawnSync(process.execPath, args, { cwd: root, stdio: "inherit" }).status === 0;
}

function findClangFormat() {
  return [`clang-format-${clangFormatMajor}`, "clang-format"].find((command) => {
    const { status, stdout } = spawnSync(command, ["--version"], { encoding: "utf8" });
    return status === 0 && stdout.includes(`version ${clangFormatMajor}.`);
  });
}

function cppFiles() {
  return ["native", "kernels", "test", "bench"].flatMap((folder) =>
    readdirSync(path.join(root, folder), { recursive: true })
      .filter((file) => /\.(cc|h|cu|cuh)$/.test(file) && !file.includes("node_modules"))
      .map((file) => path.join(folder, file)),
  );
}

function clangFormat() {
  const command = findClangFormat();
  if (command === undefined) {
    const what = `clang-format ${clangFormatMajor} missing`;
    const required = process.env["AIR_REQUIRE_TOOLS"] === "1";
    console.log(required ? `C++ formatting: ${what}` : `not checked: C++ formatting (${what})`);
    return !required;
  }
  const args = [...(write ? ["-i"] : ["--dry-run", "--Werror"]), ...cppFiles()];
  return spawnSync(command, args, { cwd: root, stdio: "inherit" }).status === 0;
}

const results = [prettier(), clangFormat()];
process.exitCode = results.every(Boolean) ? 0 : 1;
