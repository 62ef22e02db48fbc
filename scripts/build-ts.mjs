// Compiles lib to dist, and copies the files of the server's page, which need no compiling: node scripts/build-ts.mjs
import { spawnSync } from "node:child_process";
import { chmodSync, cpSync, rmSync } from "node:fs";
import path from "node:path";
import { fileURLToPath } from "node:url";

const root = path.resolve(path.dirname(fileURLToPath(import.meta.url)), "..");
const compiler = path.join(root, "node_modules", "typescript", "bin", "tsc");
const { status } = spawnSync(process.execPath, [compiler, "-p", "tsconfig.build.json"], {
  cwd: root,
  stdio: "inherit",
});
if (status !== 0) process.exit(status ?? 1);

const page = path.join("server", "page");
rmSync(path.join(root, "dist", page), { recursive: true, force: true });
cpSync(path.join(root, "lib", page), path.join(root, "dist", page), {
  recursive: true,
  filter: (file) => !/[.]d[.]ts$|tsconfig[.]json$/.test(file), // for checking only
});
chmodSync(path.join(root, "dist", "cli", "main.js"), 0o755);
