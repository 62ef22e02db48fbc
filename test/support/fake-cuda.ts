import { execFileSync } from "node:child_process";
import { existsSync, readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";

const root = fileURLToPath(new URL("../../", import.meta.url));
const own = `${root}build-fake-cuda`;
const options = { cwd: root, stdio: ["ignore", "ignore", "inherit"] as ["ignore", "ignore", "inherit"] };

/** A folder that is configured to build the driver: that of the native tests where it is there, else one of its own. */
function buildFolder(): string {
  const cache = `${root}build-tests/CMakeCache.txt`;
  if (existsSync(cache)) {
    const home = /^CMAKE_HOME_DIRECTORY:INTERNAL=(.*)$/m.exec(readFileSync(cache, "utf8"))?.[1];
    if (home !== undefined && `${home}/` === root) return `${root}build-tests`;
  }
  const settings = [
    "-DCMAKE_BUILD_TYPE=Release",
    "-DAIR_CUDA=OFF",
    "-DAIR_BUILD_ADDON=OFF",
    "-DAIR_BUILD_FAKE_CUDA=ON",
  ];
  if (!existsSync(`${own}/CMakeCache.txt`))
    execFileSync("cmake", ["-S", root, "-B", own, ...settings], options);
  return own;
}

/** Builds the fake CUDA driver of test/native/fake_cuda if it is older than its sources; returns its file. */
export function fakeCudaLibrary(): string {
  const folder = buildFolder();
  execFileSync("cmake", ["--build", folder, "--target", "air_fake_cuda", "--parallel", "2"], options);
  return `${folder}/test/native/fake_cuda/libair_fake_cuda.so`;
}
