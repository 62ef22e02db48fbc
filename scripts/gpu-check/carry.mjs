// node scripts/gpu-check/carry.mjs [FILE]: packs this Node, the packages that scripts/gpu-check.sh needs and dist/, if it has
// been built, into FILE (.gpu-carry.tar.xz), for a machine without them. gpu-check.sh unpacks it where it finds no Node in
// .node/bin.
import { spawnSync } from "node:child_process";
import { cpSync, existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, statSync } from "node:fs";
import os from "node:os";
import path from "node:path";
import { fileURLToPath } from "node:url";

const root = path.resolve(path.dirname(fileURLToPath(import.meta.url)), "../..");
const file = path.resolve(process.argv[2] ?? path.join(root, ".gpu-carry.tar.xz"));
const readPackage = (folder) => JSON.parse(readFileSync(path.join(folder, "package.json"), "utf8"));

/** The installed folder of a package as seen from another one's folder, or undefined. */
function findPackage(name, from) {
  for (let folder = from; folder.startsWith(root); folder = path.dirname(folder)) {
    const candidate = path.join(folder, "node_modules", name);
    if (existsSync(path.join(candidate, "package.json"))) return candidate;
  }
  return undefined;
}

/** Packages with all that they depend on, optional ones as far as they are installed. */
function closure(names) {
  const found = new Set();
  const queue = names.map((name) => [name, root]);
  for (let next = queue.pop(); next !== undefined; next = queue.pop()) {
    const folder = findPackage(...next);
    if (folder === undefined || found.has(folder)) continue;
    found.add(folder);
    const { dependencies, optionalDependencies, peerDependencies, peerDependenciesMeta } =
      readPackage(folder);
    const names = Object.keys({ ...dependencies, ...optionalDependencies, ...peerDependencies });
    for (const name of names) {
      if (peerDependenciesMeta?.[name]?.optional !== true || name in (dependencies ?? {}))
        queue.push([name, folder]);
    }
  }
  return [...found];
}

// cmake-js only starts CMake, which gpu-check.sh does itself.
const runtime = Object.keys(readPackage(root).dependencies).filter((name) => name !== "cmake-js");
const staging = mkdtempSync(path.join(os.tmpdir(), "air-gpu-carry-"));
try {
  for (const folder of closure([...runtime, "vitest", "tsx"])) {
    cpSync(folder, path.join(staging, path.relative(root, folder)), { recursive: true });
  }
  mkdirSync(path.join(staging, ".node/bin"), { recursive: true });
  cpSync(process.execPath, path.join(staging, ".node/bin/node"));
  // A few tests start the built command line.
  const dist = path.join(root, "dist");
  if (existsSync(dist)) cpSync(dist, path.join(staging, "dist"), { recursive: true });
  const args = ["-cJf", file, "-C", staging, "."];
  const { status, error } = spawnSync("tar", args, {
    env: { ...process.env, XZ_OPT: "-9 -T1" },
    stdio: "inherit",
  });
  if (status !== 0) throw new Error(`expected tar to succeed but received ${error?.message ?? status}`);
  console.log(`${file}: ${(statSync(file).size / 2 ** 20).toFixed(1)} MiB`);
} finally {
  rmSync(staging, { recursive: true });
}
