import { access, mkdir, readdir, rm, stat } from "node:fs/promises";
import path from "node:path";

import { AirError, describeValue, invalidArgument, ioError } from "../errors/air-error.js";
import { FolderLock } from "./folder-lock.js";
import { matchReference } from "./reference.js";
import { modelsNamed, type PulledModel, readRegistry, removeEntry } from "./registry.js";
import { modelFolder } from "./settings.js";

/** Options of what works on the model folder. */
export interface ModelFolderOptions {
  /** Default: AIR_MODELS, else `air-runtime/models` in XDG_DATA_HOME (`~/.local/share`). */
  readonly folder?: string;
}

function folderOf({ folder }: ModelFolderOptions): string {
  return folder === undefined ? modelFolder() : path.resolve(folder);
}

/**
 * The pulled models, by name.
 *
 * @throws {AirError} AIR_ERR_IO
 */
export async function listModels(options: ModelFolderOptions = {}): Promise<readonly PulledModel[]> {
  return (await readRegistry(folderOf(options))).models;
}

/** What a text that names no pulled model would be if it were a path. */
function looksLikePath(text: string): boolean {
  return (
    /^[./~\\]|^[A-Za-z]:[\\/]/.test(text) ||
    (!text.includes(":") && (/[.]gguf$/i.test(text) || !isName(text)))
  );
}

function isName(text: string): boolean {
  return /^[A-Za-z0-9][\w.-]*$/.test(text) || matchReference(text) !== undefined;
}

function notPulled(text: string, reason: string): AirError {
  const name = matchReference(text) === undefined ? "owner/repo:file" : text;
  const message = `expected a file or a pulled model (\`air pull ${name}\`) for the model but received ${reason}`;
  return new AirError("AIR_ERR_NOT_PULLED", message);
}

function assertOne(text: string, found: readonly PulledModel[]): PulledModel | undefined {
  if (found.length > 1) {
    const names = found.map(({ name }) => name).join(", ");
    throw invalidArgument("the model", `one of ${names}`, text);
  }
  return found[0];
}

/** Options of {@link resolveModel}. */
export interface ResolveModelOptions extends ModelFolderOptions {
  /** What relative paths are relative to. Default: the working directory. */
  readonly base?: string;
}

/**
 * The file that a path or the name of a pulled model means. A path to something that exists comes first; what looks like
 * a path and names no model is returned too, for whoever opens it to say what is wrong.
 *
 * @throws {AirError} AIR_ERR_NOT_PULLED for the name of a model that is not here, AIR_ERR_ARGUMENT for one of several
 */
export async function resolveModel(text: string, options: ResolveModelOptions = {}): Promise<string> {
  if (typeof text !== "string" || text === "" || text.includes("\0"))
    throw invalidArgument("the model", "a path or the name of a pulled model", text);
  const { base } = options;
  const file = base === undefined ? text : path.resolve(base, text);
  const isThere = await access(file).then(
    () => true,
    (thrown: unknown) => !["ENOENT", "ENOTDIR"].includes((thrown as NodeJS.ErrnoException).code ?? ""),
  );
  if (isThere) return file;
  const found = assertOne(text, modelsNamed(await listModels(options), text));
  if (found?.isPresent === true) return found.path;
  if (found !== undefined) throw notPulled(found.name, `${found.name}, whose files are gone`);
  if (looksLikePath(text)) return file;
  throw notPulled(text, describeValue(text));
}

/**
 * Removes a pulled model: its entry, and its files unless another one shares them.
 *
 * @throws {AirError} AIR_ERR_NOT_PULLED, AIR_ERR_ARGUMENT when several could be meant, AIR_ERR_BUSY while it is pulled,
 * AIR_ERR_IO
 */
export async function removeModel(name: string, options: ModelFolderOptions = {}): Promise<PulledModel> {
  const folder = folderOf(options);
  const found = assertOne(name, modelsNamed(await listModels(options), name));
  if (found === undefined) throw notPulled(name, describeValue(name));
  await atRest(path.dirname(found.path), async () => {
    await removeEntry(folder, found);
    await removeUnused(folder, path.dirname(found.path));
  });
  return found;
}

/** Does something to a folder of content while no pull is at work on it. @throws {AirError} AIR_ERR_BUSY when one is */
async function atRest(place: string, work: () => Promise<void>): Promise<void> {
  await mkdir(path.dirname(place), { recursive: true }).catch((cause: unknown) => {
    throw ioError(place, "a writable folder", cause);
  });
  const lock = await FolderLock.acquire(`${place}.lock`, () => {
    const message = `expected ${place} to be at rest but received a pull into it that is under way`;
    return Promise.reject(new AirError("AIR_ERR_BUSY", message));
  });
  try {
    await work();
  } finally {
    await lock.release();
  }
}

/** Removes a folder of content that no entry names, and says how many bytes that freed. */
async function removeUnused(folder: string, place: string): Promise<number | undefined> {
  const { models } = await readRegistry(folder);
  if (models.some((model) => path.dirname(model.path) === place)) return undefined;
  const bytes = await bytesIn(place);
  try {
    await rm(place, { recursive: true, force: true });
  } catch (cause) {
    throw ioError(place, "a folder that can be removed", cause);
  }
  return bytes;
}

/** What {@link pruneModels} removed. */
export interface PrunedFiles {
  /** Folders of content. */
  readonly folders: readonly string[];
  readonly bytes: number;
}

/**
 * Removes what no entry names and no pull is at work on: unfinished downloads, and files of revisions that newer ones
 * have replaced.
 *
 * @throws {AirError} AIR_ERR_IO
 */
export async function pruneModels(options: ModelFolderOptions = {}): Promise<PrunedFiles> {
  const folder = folderOf(options);
  const { damaged } = await readRegistry(folder);
  const [first] = damaged;
  if (first !== undefined) throw ioError(first, "an entry of the registry", "one that cannot be read");
  const folders: string[] = [];
  let bytes = 0;
  for (const place of await contentFolders(path.join(folder, "files"))) {
    try {
      await atRest(place, async () => {
        const freed = await removeUnused(folder, place);
        if (freed === undefined) return;
        bytes += freed;
        folders.push(place);
      });
    } catch (thrown) {
      if (!(thrown instanceof AirError) || thrown.code !== "AIR_ERR_BUSY") throw thrown;
    }
  }
  return { folders, bytes };
}

async function directoriesIn(folder: string): Promise<readonly string[]> {
  const entries = await readdir(folder, { withFileTypes: true }).catch(() => []);
  return entries.filter((entry) => entry.isDirectory()).map(({ name }) => path.join(folder, name));
}

/** `files/owner/repo/key`, all of them. */
async function contentFolders(files: string): Promise<readonly string[]> {
  const owners = await directoriesIn(files);
  const repos = (await Promise.all(owners.map(directoriesIn))).flat();
  return (await Promise.all(repos.map(directoriesIn))).flat();
}

async function bytesIn(folder: string): Promise<number> {
  const names = await readdir(folder).catch(() => []);
  const sizes = await Promise.all(
    names.map((name) =>
      stat(path.join(folder, name)).then(
        ({ size }) => size,
        () => 0,
      ),
    ),
  );
  return sizes.reduce((sum, size) => sum + size, 0);
}
