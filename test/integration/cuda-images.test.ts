import { spawnSync } from "node:child_process";
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";

import { afterAll, beforeAll, describe, expect, test } from "vitest";

const root = fileURLToPath(new URL("../../", import.meta.url));
const targets = [80, 86, 87, 89, 90];
let folder: string;

beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), "air-cuda-images-"));
});
afterAll(() => {
  rmSync(folder, { recursive: true });
});

/** Kernels of kernels/cuda that no macro names, which the script finds in the sources itself. */
const kernels = readdirSync(`${root}kernels/cuda`)
  .filter((name) => name.endsWith(".cu"))
  .map((name) => readFileSync(`${root}kernels/cuda/${name}`, "utf8"))
  .flatMap((text) => [...text.matchAll(/^AIR_KERNEL\(\d+\) (\w+)\(/gm)].map(([, name = ""]) => name));

/** An ELF image for a GPU, with nothing in it but the names of its sections. */
function elf(target: number, names: readonly string[]): Buffer {
  const headerBytes = 64;
  const sections = [...names.map((name) => `.text.${name}`), ".shstrtab"];
  const strings = Buffer.from(`${sections.join("\0")}\0`);
  const image = Buffer.alloc(headerBytes + sections.length * headerBytes + strings.length);
  const header: readonly [at: number, value: number][] = [
    [40, headerBytes], // section headers
    [48, (target << 8) | 4],
  ];
  image.writeUInt32BE(0x7f454c46, 0);
  image.writeUInt8(8, 8); // ABI version
  image.writeUInt16LE(190, 18); // machine
  for (const [at, value] of header) image.writeUInt32LE(value, at);
  image.writeUInt16LE(headerBytes, 58);
  image.writeUInt16LE(sections.length, 60);
  image.writeUInt16LE(sections.length - 1, 62);
  let name = 0;
  sections.forEach((section, index) => {
    image.writeUInt32LE(name, headerBytes * (1 + index));
    name += section.length + 1;
  });
  const stringsAt = image.length - strings.length;
  image.writeUInt32LE(stringsAt, headerBytes * sections.length + 24);
  strings.copy(image, stringsAt);
  return image;
}

/** nvcc's container of these images. */
function container(images: readonly (readonly [target: number, image: Buffer])[]): Buffer {
  const entries = images.map(([target, image]) => {
    const header = Buffer.alloc(64);
    header.writeUInt16LE(2, 0);
    header.writeUInt32LE(64, 4);
    header.writeUInt32LE(image.length, 8);
    header.writeUInt32LE(target, 28);
    return Buffer.concat([header, image]);
  });
  const content = Buffer.concat(entries);
  const header = Buffer.alloc(16);
  header.writeUInt32LE(0xba55ed50, 0);
  header.writeUInt16LE(1, 4);
  header.writeUInt16LE(16, 6);
  header.writeUInt32LE(content.length, 8);
  return Buffer.concat([header, content]);
}

const ptx = (names: readonly string[], version = "7.4"): Buffer =>
  Buffer.from(
    `//\n.version ${version}\n.target sm_80\n${names.map((name) => `.visible .entry ${name}(\n`).join("")}\0`,
  );

/** What the script says of a file of these parts. */
function check(parts: readonly Buffer[], requiresTools = "1"): { status: number | null; output: string } {
  const file = join(folder, "addon.node");
  writeFileSync(file, Buffer.concat([Buffer.from("other bytes P\xedU\xba of an addon", "latin1"), ...parts]));
  const { status, stdout, stderr } = spawnSync(process.execPath, [`${root}scripts/cuda-images.mjs`, file], {
    encoding: "utf8",
    env: { ...process.env, AIR_REQUIRE_TOOLS: requiresTools },
  });
  return { status, output: stdout + stderr };
}

const whole = (): Buffer => container(targets.map((target) => [target, elf(target, kernels)] as const));

describe("the check of the addon's kernels", () => {
  test("passes when every target has every kernel, in any number of containers", () => {
    const [first = "", ...others] = kernels;
    expect(others.length).toBeGreaterThan(5);
    expect(check([whole(), ptx(kernels)])).toMatchObject({ status: 0 });
    const parts = [[first], others].map((names) =>
      container(targets.map((target) => [target, elf(target, names)] as const)),
    );
    expect(check([...parts, ptx([first]), ptx(others)])).toMatchObject({ status: 0 });
  });

  test("names a target or a kernel that is missing", () => {
    const without87 = container(targets.filter((t) => t !== 87).map((t) => [t, elf(t, kernels)] as const));
    expect(check([without87, ptx(kernels)])).toMatchObject({
      status: 1,
      output: expect.stringContaining("no SASS for sm_87") as string,
    });
    const fewer = container(targets.map((t) => [t, elf(t, t === 89 ? kernels.slice(1) : kernels)] as const));
    expect(check([fewer, ptx(kernels)]).output).toContain(`no SASS for sm_89 of ${kernels[0] ?? ""}`);
    // What only the macros of a source name is known from the PTX.
    expect(check([whole(), ptx([...kernels, "air_of_a_macro"])]).output).toContain("air_of_a_macro");
  });

  test("takes no other PTX, no image whose ELF header names another target, and no cut one", () => {
    expect(check([whole(), ptx(kernels, "9.0")]).output).toContain("no PTX 7.4 of");
    const mislabelled = container(targets.map((t) => [t, elf(t === 87 ? 86 : t, kernels)] as const));
    expect(check([mislabelled, ptx(kernels)]).output).toContain("no SASS for sm_87");
    expect(check([ptx(kernels), whole().subarray(0, -100)]).output).toContain("no SASS for sm_90");
  });

  test("an addon without kernels is a failure where tools are required", () => {
    expect(check([])).toMatchObject({ status: 1 });
    expect(check([], "0")).toMatchObject({
      status: 0,
      output: expect.stringContaining("not checked") as string,
    });
  });
});
