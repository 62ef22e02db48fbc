import { execFileSync } from "node:child_process";
import { existsSync } from "node:fs";
import { fileURLToPath } from "node:url";

const root = fileURLToPath(new URL("../../", import.meta.url));
const folder = `${root}build-fake-cuda`;
const library = `${folder}/test/native/fake_cuda/libair_fake_cuda.so`;

/** Builds the fake CUDA driver of test/native/fake_cuda if it is older than its sources; returns its file. */
export function fakeCudaLibrary(): string {
  const options = { cwd: root, stdio: ["ignore", "ignore", "inherit"] as ["ignore", "ignore", "inherit"] };
  const cache = ["-DCMAKE_BUILD_TYPE=Release", "-DAIR_CUDA=OFF", "-DAIR_BUILD_ADDON=OFF", "-DAIR_BUILD_FAKE_CUDA=ON"];
  if (!existsSync(`${folder}/CMakeCache.txt`))
    execFileSync("cmake", ["-S", root, "-B", folder, ...cache], options);
  execFileSync("cmake", ["--build", folder, "--target", "air_fake_cuda", "--parallel", "2"], options);
  return library;
}
