import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from "node:fs";
import os from "node:os";
import path from "node:path";

import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";

import { AirError } from "../../../lib/errors/air-error.js";
import { listModels, pruneModels, removeModel, resolveModel } from "../../../lib/hub/model-folder.js";
import { readRegistry, writeEntry } from "../../../lib/hub/registry.js";
import { modelFolder } from "../../../lib/hub/settings.js";
import { parseConfig, readConfig, withModelFiles } from "../../../lib/tiers/config.js";

let folder: string;

beforeEach(() => {
  folder = mkdtempSync(path.join(os.tmpdir(), "air-models-"));
  vi.stubEnv("AIR_MODELS", folder);
});

afterEach(() => {
  vi.unstubAllEnvs();
  rmSync(folder, { recursive: true });
});

/** Registers a model as a pull does, and returns where its file is. */
async function add(repo: string, file: string, key = file.replaceAll(/\W/g, "")): Promise<string> {
  const place = `files/${repo}/${key}`;
  const relative = `${place}/${path.basename(file)}`;
  mkdirSync(path.join(folder, place), { recursive: true });
  writeFileSync(path.join(folder, relative), "weights");
  await writeEntry(folder, {
    ...{ version: 1, repo, revision: "main", commit: "a".repeat(40), file, endpoint: "https://hub.example/" },
    pulledAt: "2026-11-21T00:00:00.000Z",
    files: [{ path: relative, bytes: 7, sha256: "b".repeat(64) }],
  });
  return path.join(folder, relative);
}

async function codeOf(work: Promise<unknown>): Promise<AirError> {
  const thrown: unknown = await work.then(
    () => undefined,
    (reason: unknown) => reason,
  );
  expect(thrown).toBeInstanceOf(AirError);
  return thrown as AirError;
}

describe("modelFolder", () => {
  test("is AIR_MODELS, else in XDG_DATA_HOME, else in the home folder", () => {
    expect(modelFolder()).toBe(folder);
    vi.stubEnv("AIR_MODELS", "");
    vi.stubEnv("XDG_DATA_HOME", "/data");
    expect(modelFolder()).toBe("/data/air-runtime/models");
    vi.stubEnv("XDG_DATA_HOME", "relative");
    expect(modelFolder()).toBe(path.join(os.homedir(), ".local/share/air-runtime/models"));
  });
});

describe("resolveModel", () => {
  test.each([
    "acme/m-GGUF:sub/m-q4_0.gguf",
    "acme/m-GGUF:m-q4_0.gguf",
    "acme/m-GGUF:m-q4_0",
    "ACME/m-gguf:Q4_0",
    "acme/m-GGUF:q4_0",
    "m-q4_0",
    "M-Q4_0",
    "m-q4_0.gguf",
  ])("finds %s", async (name) => {
    const file = await add("acme/m-GGUF", "sub/m-q4_0.gguf");
    await add("acme/m-GGUF", "sub/m-q8_0.gguf");
    await add("other/n-GGUF", "n-q4_0.gguf");
    expect(await resolveModel(name)).toBe(file);
  });

  test("finds a repository of which one model was pulled, and asks which of several", async () => {
    const file = await add("acme/m-GGUF", "m-q4_0.gguf");
    expect(await resolveModel("acme/m-GGUF")).toBe(file);
    await add("acme/m-GGUF", "m-q8_0.gguf");
    const error = await codeOf(resolveModel("acme/m-GGUF"));
    expect(error.code).toBe("AIR_ERR_ARGUMENT");
    expect(error.message).toContain("one of acme/m-GGUF:m-q4_0.gguf, acme/m-GGUF:m-q8_0.gguf");
  });

  test("prefers a file that exists, relative to a base too", async () => {
    await add("acme/m-GGUF", "m-q4_0.gguf");
    const own = path.join(folder, "m-q4_0.gguf");
    writeFileSync(own, "");
    expect(await resolveModel("m-q4_0.gguf", { base: folder })).toBe(own);
    expect(await resolveModel(own)).toBe(own);
    expect(await resolveModel("package.json")).toBe("package.json");
  });

  test("says what to pull for a name that is not here", async () => {
    const error = await codeOf(resolveModel("acme/m-GGUF:Q4_0"));
    expect(error.code).toBe("AIR_ERR_NOT_PULLED");
    expect(error.message).toContain("`air pull acme/m-GGUF:Q4_0`");
    for (const name of ["m-q4_0", "acme/m-GGUF", "Q4_0", "weird name:x"])
      expect((await codeOf(resolveModel(name))).code, name).toBe("AIR_ERR_NOT_PULLED");
  });

  test.each(["none.gguf", "./none", "../none", "/none", "models/none.gguf", "a/b/c", "~/m", "C:\\m"])(
    "leaves %s, which looks like a path, to whoever opens it",
    async (text) => {
      expect(await resolveModel(text)).toBe(text);
      expect(await resolveModel(text, { base: "/base" })).toBe(path.resolve("/base", text));
    },
  );

  test("does not take a quantisation alone for a name", async () => {
    await add("acme/m-GGUF", "m-q4_0.gguf");
    expect((await codeOf(resolveModel("q4_0"))).code).toBe("AIR_ERR_NOT_PULLED");
  });

  test("says that the files are gone", async () => {
    rmSync(await add("acme/m-GGUF", "m-q4_0.gguf"));
    const error = await codeOf(resolveModel("m-q4_0"));
    expect(error.code).toBe("AIR_ERR_NOT_PULLED");
    expect(error.message).toMatch(/air pull acme\/m-GGUF:m-q4_0[.]gguf.*files are gone/);
  });

  test("refuses what is no text", async () => {
    for (const bad of ["", "a\0b", undefined, 7])
      expect((await codeOf(resolveModel(bad as string))).code).toBe("AIR_ERR_ARGUMENT");
  });
});

describe("a configuration", () => {
  test("takes names of pulled models, beside files relative to its folder", async () => {
    const file = await add("acme/m-GGUF", "m-q4_0.gguf");
    const tiers = [
      { name: "a", model: "acme/m-GGUF:Q4_0", draft: "m-q4_0" },
      { name: "b", model: "none.gguf" },
      { name: "c", model: "own" },
    ];
    const place = path.join(folder, "air.config.json");
    writeFileSync(place, JSON.stringify({ tiers }));
    writeFileSync(path.join(folder, "own"), "");
    const config = await readConfig(place);
    expect(config.tiers).toMatchObject([
      { model: file, draft: file },
      { model: path.join(folder, "none.gguf") },
      { model: path.join(folder, "own") },
    ]);
    expect((await withModelFiles(parseConfig({ tiers: tiers.slice(0, 1) }))).tiers).toMatchObject([
      { model: file },
    ]);
  });

  test("that names a model that is not here is AIR_ERR_NOT_PULLED", async () => {
    const place = path.join(folder, "air.config.json");
    writeFileSync(place, JSON.stringify({ tiers: [{ name: "a", model: "acme/m-GGUF:Q4_0" }] }));
    expect((await codeOf(readConfig(place))).code).toBe("AIR_ERR_NOT_PULLED");
  });
});

describe("listModels", () => {
  test("of a folder that does not exist is empty", async () => {
    expect(await listModels({ folder: path.join(folder, "none") })).toEqual([]);
  });

  test("leaves out damaged entries, which readRegistry() names", async () => {
    await add("acme/m-GGUF", "m-q4_0.gguf");
    const [name = ""] = readdirSync(path.join(folder, "registry"));
    const text = readFileSync(path.join(folder, "registry", name), "utf8");
    const spoil = (file: string, from: string, to: string) => {
      const spoiled = text.replace(from, to);
      expect(spoiled).not.toBe(text);
      writeFileSync(path.join(folder, "registry", file), spoiled);
    };
    spoil("a.json", "}", "");
    spoil("b.json", '"files/', '"../files/');
    spoil("c.json", '"files/', '"/files/');
    spoil("d.json", '"version": 1', '"version": 2');
    spoil("e.json", '"bytes": 7', '"bytes": -7');
    const { models, damaged } = await readRegistry(folder);
    expect(models.map(({ name: own }) => own)).toEqual(["acme/m-GGUF:m-q4_0.gguf"]);
    expect(damaged.map((file) => path.basename(file)).sort()).toEqual([
      "a.json",
      "b.json",
      "c.json",
      "d.json",
      "e.json",
    ]);
  });

  test("keeps models of one file name apart", async () => {
    await Promise.all([add("acme/m-GGUF", "m-q4_0.gguf"), add("other/m-GGUF", "m-q4_0.gguf")]);
    expect((await listModels()).map(({ repo }) => repo)).toEqual(["acme/m-GGUF", "other/m-GGUF"]);
  });
});

describe("removeModel", () => {
  test("removes the entry and the file", async () => {
    const file = await add("acme/m-GGUF", "m-q4_0.gguf");
    expect(await removeModel("m-q4_0")).toMatchObject({ name: "acme/m-GGUF:m-q4_0.gguf", bytes: 7 });
    expect(existsSync(path.dirname(file))).toBe(false);
    expect(await listModels()).toEqual([]);
    expect((await codeOf(removeModel("m-q4_0"))).code).toBe("AIR_ERR_NOT_PULLED");
  });

  test("keeps a file that another entry shares", async () => {
    const file = await add("acme/m-GGUF", "m-q4_0.gguf", "same");
    await add("acme/m-GGUF", "copy/m-q4_0.gguf", "same");
    await removeModel("acme/m-GGUF:copy/m-q4_0.gguf");
    expect(existsSync(file)).toBe(true);
    await removeModel("m-q4_0");
    expect(existsSync(file)).toBe(false);
  });

  test("is AIR_ERR_BUSY while a pull is at work, and nothing goes", async () => {
    const file = await add("acme/m-GGUF", "m-q4_0.gguf");
    writeFileSync(`${path.dirname(file)}.lock`, "somebody");
    expect((await codeOf(removeModel("m-q4_0"))).code).toBe("AIR_ERR_BUSY");
    expect(await resolveModel("m-q4_0")).toBe(file);
  });
});

describe("pruneModels", () => {
  test("removes what no entry names, but not what is being pulled", async () => {
    const kept = await add("acme/m-GGUF", "m-q4_0.gguf");
    const place = (key: string) => path.join(folder, "files/acme/m-GGUF", key);
    for (const key of ["unfinished", "busy"]) {
      mkdirSync(place(key));
      writeFileSync(path.join(place(key), "m.gguf.partial"), "part");
    }
    writeFileSync(`${place("busy")}.lock`, "somebody");
    expect(await pruneModels()).toEqual({ folders: [place("unfinished")], bytes: 4 });
    expect([existsSync(kept), existsSync(place("busy")), existsSync(place("unfinished"))]).toEqual([
      true,
      true,
      false,
    ]);
    expect(await pruneModels({ folder: path.join(folder, "none") })).toEqual({ folders: [], bytes: 0 });
  });

  test("removes nothing while an entry cannot be read", async () => {
    const file = await add("acme/m-GGUF", "m-q4_0.gguf");
    const [name = ""] = readdirSync(path.join(folder, "registry"));
    writeFileSync(path.join(folder, "registry", name), "{");
    expect((await codeOf(pruneModels())).code).toBe("AIR_ERR_IO");
    expect(existsSync(file)).toBe(true);
  });
});
