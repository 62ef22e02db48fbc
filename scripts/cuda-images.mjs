// node scripts/cuda-images.mjs [ADDON]: proves that the built addon carries every kernel of kernels/cuda as SASS for every
// target and as PTX 7.4. Reads the addon's bytes itself: containers of nvcc (magic, entries), the ELF images in them (machine,
// target, sections), and PTX text. Without nvcc there is nothing to find: AIR_REQUIRE_TOOLS=1 (CI) makes that a failure.
import { readdirSync, readFileSync } from "node:fs";
import path from "node:path";
import { fileURLToPath } from "node:url";

const root = path.resolve(path.dirname(fileURLToPath(import.meta.url)), "..");
const containerMagic = 0xba55ed50;
const containerHeaderBytes = 16;
const entryHeaderBytes = 64;
const elfKind = 2;
const cudaMachine = 190; // EM_CUDA
const ptxVersion = "7.4";

/** Names of the sections of an ELF image of 64 bits. */
function sectionNames(elf) {
  const headers = Number(elf.readBigUInt64LE(40));
  const [size, count, namesIndex] = [58, 60, 62].map((at) => elf.readUInt16LE(at));
  const names = Number(elf.readBigUInt64LE(headers + namesIndex * size + 24));
  return Array.from({ length: count }, (_, index) => {
    const from = names + elf.readUInt32LE(headers + index * size);
    return elf.toString("latin1", from, elf.indexOf(0, from));
  });
}

/** The target and the kernels of an ELF image; undefined when it is not one for a GPU. */
export function readImage(elf) {
  if (elf.length < 64 || elf.readUInt32BE(0) !== 0x7f454c46 || elf.readUInt16LE(18) !== cudaMachine)
    return undefined;
  const flags = elf.readUInt32LE(48);
  // The target's number is the lowest byte up to ABI version 7, the second one in version 8.
  const target = elf[8] >= 8 ? (flags >> 8) & 0xff : flags & 0xff;
  const text = ".text.";
  const kernels = sectionNames(elf)
    .filter((name) => name.startsWith(text))
    .map((name) => name.slice(text.length));
  return { target, kernels };
}

/** The ELF images of all containers in a file. An entry and its image have to name the same target. */
export function readImages(bytes) {
  const magic = Buffer.alloc(4);
  magic.writeUInt32LE(containerMagic);
  const images = [];
  for (let start = bytes.indexOf(magic); start >= 0; start = bytes.indexOf(magic, start + 4)) {
    if (start + containerHeaderBytes > bytes.length || bytes.readUInt16LE(start + 6) !== containerHeaderBytes)
      continue;
    const end = start + containerHeaderBytes + Number(bytes.readBigUInt64LE(start + 8));
    let at = start + containerHeaderBytes;
    while (at + entryHeaderBytes <= Math.min(end, bytes.length)) {
      const kind = bytes.readUInt16LE(at);
      const payload = at + bytes.readUInt32LE(at + 4);
      const next = payload + Number(bytes.readBigUInt64LE(at + 8));
      if (payload < at + entryHeaderBytes || next > Math.min(end, bytes.length)) break;
      const image = kind === elfKind ? readImage(bytes.subarray(payload, next)) : undefined;
      if (image !== undefined && image.target === bytes.readUInt32LE(at + 28)) images.push(image);
      at = next;
    }
  }
  return images;
}

/** Kernels of all PTX texts of the version in a file. */
export function readPtx(bytes, version = ptxVersion) {
  const kernels = [];
  const begin = Buffer.from(`.version ${version}\n`);
  for (let start = bytes.indexOf(begin); start >= 0; start = bytes.indexOf(begin, start + 1)) {
    const end = bytes.indexOf(0, start);
    const text = bytes.toString("latin1", start, end < 0 ? bytes.length : end);
    for (const [, name] of text.matchAll(/^\.(?:visible )?\.?entry (\w+)/gm)) kernels.push(name);
  }
  return kernels;
}

/** Kernels that the sources define, as far as no macro does. */
export function kernelsOf(sources) {
  return sources.flatMap((text) =>
    [...text.matchAll(/^AIR_KERNEL\(\w+\) (\w+)\(/gm)].map(([, name]) => name),
  );
}

/** What is missing, in words; empty when everything is there. */
export function missingKernels({ images, ptx, kernels, targets }) {
  const problems = [];
  const names = [...new Set([...kernels, ...ptx])];
  for (const target of targets) {
    const found = new Set(
      images.filter((image) => image.target === target).flatMap((image) => image.kernels),
    );
    const missing = names.filter((name) => !found.has(name));
    if (missing.length > 0) problems.push(`no SASS for sm_${target} of ${missing.join(", ")}`);
  }
  const missing = kernels.filter((name) => !ptx.includes(name));
  if (missing.length > 0) problems.push(`no PTX ${ptxVersion} of ${missing.join(", ")}`);
  return problems;
}

function main([file = "build/Release/air_runtime.node"]) {
  const folder = path.join(root, "kernels/cuda");
  const sources = readdirSync(folder).filter((name) => name.endsWith(".cu"));
  const kernels = kernelsOf(sources.map((name) => readFileSync(path.join(folder, name), "utf8")));
  const cmake = readFileSync(path.join(root, "cmake/cuda.cmake"), "utf8");
  const targets = (/set\(AIR_CUDA_TARGETS ([\d ]+)/.exec(cmake)?.[1] ?? "").trim().split(" ").map(Number);
  const bytes = readFileSync(path.resolve(root, file));
  const [images, ptx] = [readImages(bytes), readPtx(bytes)];
  if (images.length === 0 && ptx.length === 0 && process.env["AIR_REQUIRE_TOOLS"] !== "1") {
    console.log("not checked: kernels in the addon, which was built without nvcc");
    return 0;
  }
  const problems = missingKernels({ images, ptx, kernels, targets });
  for (const problem of problems) console.error(`${file}: ${problem}`);
  const count = new Set([...kernels, ...ptx]).size;
  console.log(
    `cuda images: ${count} kernels, SASS for sm_${targets.join(", ")} and PTX ${ptxVersion} in ${file}`,
  );
  console.log(`${targets.length + 1 - problems.length} passed, ${problems.length} failed`);
  return problems.length === 0 && count > 0 ? 0 : 1;
}

if (process.argv[1] === fileURLToPath(import.meta.url)) process.exitCode = main(process.argv.slice(2));
