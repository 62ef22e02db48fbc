import { createRequire } from "node:module";
import { existsSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { AirNativeError } from "../errors/air-error.js";
import type { NativeAddon } from "./native.js";
import { wrapAddon, type RawAddon } from "./wrap.js";

/** The version of the C++ surface that this TypeScript was written for; native/binding/addon.cc says the same. */
const abiVersion = 6;

/** node-gyp-build: finds prebuilds/<platform>-<arch>/ or build/Release/ below a package directory. */
type LoadBinding = (directory: string) => unknown;

let loaded: NativeAddon | undefined;

/**
 * Loads the native addon once per thread and checks that it fits this TypeScript.
 * @throws {AirNativeError} AIR_ERR_ADDON when no binary loads, naming what was tried; AIR_ERR_UNSUPPORTED
 * when AIR_FORCE_ISA names an instruction set that is unusable here.
 */
export function loadAddon(): NativeAddon {
  loaded ??= wrapAddon(openBinary(packageDirectory()));
  return loaded;
}

/** The folder of our package.json: this file runs from dist/native/, and from lib/native/ in tests. */
function packageDirectory(): string {
  let directory = dirname(fileURLToPath(import.meta.url));
  while (!existsSync(join(directory, "package.json")) && dirname(directory) !== directory) {
    directory = dirname(directory);
  }
  return directory;
}

function openBinary(directory: string): RawAddon {
  const require = createRequire(import.meta.url);
  let raw: RawAddon;
  try {
    raw = (require("node-gyp-build") as LoadBinding)(directory) as RawAddon;
  } catch (cause) {
    const reason = cause instanceof Error ? cause.message.trim() : String(cause);
    throw new AirNativeError(
      "AIR_ERR_ADDON",
      `expected a native addon for ${process.platform}-${process.arch} under ${directory} ` +
        `(prebuilds, build/Release) but received: ${reason}`,
      { cause },
    );
  }
  const { abiVersion: received } = wrapAddon(raw).capabilities();
  if (received !== abiVersion) {
    throw new AirNativeError(
      "AIR_ERR_ADDON",
      `expected version ${String(abiVersion)} for the native addon but received ${String(received)}`,
    );
  }
  return raw;
}
