import { createHash } from "node:crypto";
import { mkdir, readdir, readFile, rm, stat } from "node:fs/promises";
import path from "node:path";

import { z } from "zod";

import { ioError } from "../errors/air-error.js";
import { writeWhole } from "../util/text-file.js";
import { isNameOf, stemOf } from "./model-files.js";
import { matchReference } from "./reference.js";

const hex = (digits: number) => z.string().regex(new RegExp(`^[0-9a-f]{${digits}}$`));

const pulledFileSchema = z.object({
  /** Relative to the model folder, with forward slashes; never out of it. */
  path: z.string().refine((text) => !path.isAbsolute(text) && !/(?:^|[\\/])[.]{2}(?:[\\/]|$)/.test(text)),
  bytes: z.int().min(0),
  sha256: hex(64),
});

const entrySchema = z.object({
  version: z.literal(1),
  repo: z.string().min(1),
  revision: z.string().min(1),
  commit: hex(40),
  file: z.string().min(1),
  endpoint: z.string().min(1),
  pulledAt: z.iso.datetime(),
  files: z.array(pulledFileSchema).min(1),
});

/** What the registry keeps about a pulled model: one JSON file each. */
export type RegistryEntry = z.output<typeof entrySchema>;

/** A pulled model. */
export interface PulledModel {
  /** `owner/repo:file`, which -m and configurations take. */
  readonly name: string;
  /** The file's name without its ending, which they take too where it is the only one. */
  readonly shortName: string;
  readonly repo: string;
  /** The branch, tag or commit that was asked for. */
  readonly revision: string;
  /** What that was when the model was pulled. */
  readonly commit: string;
  /** Within the repository; of a model in parts, the first one. */
  readonly file: string;
  /** Where it is on this machine. */
  readonly path: string;
  readonly bytes: number;
  readonly sha256: string;
  /** All parts; `path` and `sha256` are those of the first. */
  readonly files: readonly { readonly path: string; readonly bytes: number; readonly sha256: string }[];
  /** When, as ISO 8601. */
  readonly pulledAt: string;
  /** Whether its files are there, in full length. */
  readonly isPresent: boolean;
}

/** What is in a registry. */
export interface Registry {
  readonly models: readonly PulledModel[];
  /** Files of the registry that cannot be read. */
  readonly damaged: readonly string[];
}

function registryFolder(folder: string): string {
  return path.join(folder, "registry");
}

/** Where the entry of a model lies: a name for people, and a hash that keeps models of one name apart. */
function entryPath(folder: string, repo: string, file: string): string {
  const hash = createHash("sha256").update(`${repo}:${file}`).digest("hex").slice(0, 12);
  return path.join(registryFolder(folder), `${stemOf(file).slice(0, 100)}-${hash}.json`);
}

/** Whether a file is there and has that many bytes. */
export async function hasBytes(file: string, bytes: number): Promise<boolean> {
  const stats = await stat(file).catch(() => undefined);
  return stats !== undefined && stats.isFile() && stats.size === bytes;
}

async function toPulledModel(folder: string, entry: RegistryEntry): Promise<PulledModel> {
  const { repo, revision, commit, file, pulledAt } = entry;
  const files = entry.files.map((own) => ({ ...own, path: path.join(folder, ...own.path.split("/")) }));
  const present = await Promise.all(files.map((own) => hasBytes(own.path, own.bytes)));
  return {
    ...{ name: `${repo}:${file}`, shortName: stemOf(file), repo, revision, commit, file },
    path: files[0]?.path ?? "",
    bytes: files.reduce((sum, own) => sum + own.bytes, 0),
    sha256: files[0]?.sha256 ?? "",
    ...{ files, pulledAt, isPresent: present.every(Boolean) },
  };
}

/**
 * The models of a folder, by name. A folder that does not exist holds none.
 *
 * @throws {AirError} AIR_ERR_IO when the folder cannot be read
 */
export async function readRegistry(folder: string): Promise<Registry> {
  const registry = registryFolder(folder);
  let names: readonly string[];
  try {
    names = (await readdir(registry)).filter((name) => name.endsWith(".json"));
  } catch (cause) {
    if ((cause as NodeJS.ErrnoException).code === "ENOENT") return { models: [], damaged: [] };
    throw ioError(registry, "a readable folder", cause);
  }
  const damaged: string[] = [];
  const read = async (name: string): Promise<readonly PulledModel[]> => {
    const file = path.join(registry, name);
    try {
      return [await toPulledModel(folder, entrySchema.parse(JSON.parse(await readFile(file, "utf8"))))];
    } catch (thrown) {
      // One that another process has just removed is no damage.
      if ((thrown as NodeJS.ErrnoException).code !== "ENOENT") damaged.push(file);
      return [];
    }
  };
  const models = (await Promise.all(names.map(read))).flat();
  return { models: models.sort((a, b) => (a.name < b.name ? -1 : 1)), damaged };
}

/**
 * Writes an entry whole, in place of an earlier one of the same model.
 *
 * @throws {AirError} AIR_ERR_IO
 */
export async function writeEntry(folder: string, entry: RegistryEntry): Promise<PulledModel> {
  const file = entryPath(folder, entry.repo, entry.file);
  try {
    await mkdir(path.dirname(file), { recursive: true });
  } catch (cause) {
    throw ioError(file, "a writable folder", cause);
  }
  await writeWhole(file, `${JSON.stringify(entry, undefined, 2)}\n`);
  return toPulledModel(folder, entry);
}

/** @throws {AirError} AIR_ERR_IO */
export async function removeEntry(folder: string, { repo, file }: PulledModel): Promise<void> {
  const entry = entryPath(folder, repo, file);
  await rm(entry, { force: true }).catch((cause: unknown) => {
    throw ioError(entry, "a file that can be removed", cause);
  });
}

/** The models that a text may mean: `owner/repo`, `owner/repo:file` or a file's name, in either case. */
export function modelsNamed(models: readonly PulledModel[], text: string): readonly PulledModel[] {
  const { repo, file } = matchReference(text) ?? {};
  if (repo === undefined) return models.filter(({ shortName }) => isSame(shortName, stemOf(text)));
  const ofRepo = models.filter((model) => isSame(model.repo, repo));
  if (file === undefined) return ofRepo;
  const exact = ofRepo.filter((model) => model.file === file);
  return exact.length > 0 ? exact : ofRepo.filter((model) => isNameOf(model.file, file));
}

function isSame(one: string, other: string): boolean {
  return one.toLowerCase() === other.toLowerCase();
}
