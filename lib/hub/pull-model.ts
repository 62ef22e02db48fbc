import { createHash } from "node:crypto";
import { mkdir, stat, statfs } from "node:fs/promises";
import path from "node:path";

import { AirError, ioError } from "../errors/air-error.js";
import { formatBytes } from "../util/quantities.js";
import { HubConnection } from "./connection.js";
import { downloadFile, partialPath } from "./download.js";
import { FolderLock } from "./folder-lock.js";
import { chooseModel, type HubFile, type HubModel } from "./model-files.js";
import { type ModelReference, parseReference } from "./reference.js";
import {
  hasBytes,
  modelsNamed,
  type PulledModel,
  readRegistry,
  type RegistryEntry,
  writeEntry,
} from "./registry.js";
import { fileUrl, isCommit, listRepository } from "./repository.js";
import { type PullOptions, pullSettings, type PullSettings } from "./settings.js";

/** What {@link pullModel} returns. */
export interface PullResult extends PulledModel {
  /** Bytes that came over the network now; 0 when everything was here. */
  readonly downloadedBytes: number;
  /** Bytes that interrupted pulls had left. */
  readonly resumedBytes: number;
}

/** Left over on the disk after a download, for the registry and for others. */
const spareBytes = 16 << 20;

/**
 * Downloads a GGUF model from the Hugging Face Hub, or a mirror of it, into the model folder, and registers it there.
 * Interrupted downloads go on where they stopped. Nothing appears under its name before its SHA-256 is what the hub says.
 *
 * @param reference - `owner/repo`, or `owner/repo:file`, where the file may be a path, a name without ending, or a
 * quantisation such as `Q4_0`
 * @throws {AirError} AIR_ERR_ARGUMENT, also when several files could be meant; AIR_ERR_HUB_NOT_FOUND,
 * AIR_ERR_HUB_ACCESS, AIR_ERR_HUB after retries, AIR_ERR_CHECKSUM, AIR_ERR_DISK_SPACE, AIR_ERR_OFFLINE, AIR_ERR_IO,
 * AIR_ERR_CANCELLED
 *
 * @example
 * const { path } = await pullModel("bartowski/SmolLM2-135M-Instruct-GGUF:Q4_0");
 * using model = await loadModel(path);
 */
export async function pullModel(reference: string, options: PullOptions = {}): Promise<PullResult> {
  const asked = parseReference(reference);
  const settings = pullSettings(options);
  const here = await findHere(reference, settings);
  if (here !== undefined) return { ...here, downloadedBytes: 0, resumedBytes: 0 };
  if (settings.offline) {
    const message = `expected a pulled model for ${reference} while offline but received none of that name and revision`;
    throw new AirError("AIR_ERR_OFFLINE", message);
  }
  const connection = new HubConnection(settings);
  const revision = settings.revision ?? "main";
  const { commit, files } = await listRepository(connection, asked.repo, revision);
  const model = chooseModel(asked.repo, files, asked.file);
  return new Pull(connection, settings, asked, { revision, commit, model }).run();
}

/** A model that need not be asked for: offline any of that name and revision, else one of that very commit. */
async function findHere(
  reference: string,
  { offline, folder, revision }: PullSettings,
): Promise<PulledModel | undefined> {
  const isPinned = revision !== undefined && isCommit(revision);
  if (!offline && !isPinned) return undefined;
  const { models } = await readRegistry(folder);
  const [found, ...more] = modelsNamed(models, reference).filter(
    (model) =>
      model.isPresent &&
      (revision === undefined || model.commit === revision || (offline && model.revision === revision)),
  );
  // Without a file's name the hub's listing may choose another one.
  const isCertain = offline || parseReference(reference).file !== undefined;
  return more.length === 0 && isCertain ? found : undefined;
}

interface Chosen {
  readonly revision: string;
  readonly commit: string;
  readonly model: HubModel;
}

/** One model on its way into the folder. */
class Pull {
  readonly #connection: HubConnection;
  readonly #settings: PullSettings;
  readonly #repo: string;
  readonly #chosen: Chosen;
  /** Of the model's files, relative to the model folder. */
  readonly #place: string;
  readonly #totalBytes: number;

  constructor(connection: HubConnection, settings: PullSettings, { repo }: ModelReference, chosen: Chosen) {
    this.#connection = connection;
    this.#settings = settings;
    this.#repo = repo;
    this.#chosen = chosen;
    this.#place = `files/${repo}/${contentKey(chosen.model)}`;
    this.#totalBytes = chosen.model.files.reduce((sum, { bytes }) => sum + bytes, 0);
  }

  async run(): Promise<PullResult> {
    const directory = this.#local(this.#place);
    try {
      await mkdir(directory, { recursive: true });
    } catch (cause) {
      throw ioError(directory, "a writable folder", cause);
    }
    const lock = await FolderLock.acquire(`${directory}.lock`, async (ms) => {
      this.#report("waiting", 0);
      await this.#connection.pause(ms);
      this.#connection.throwIfAborted();
    });
    try {
      return await this.#pull(lock);
    } finally {
      await lock.release();
    }
  }

  async #pull(lock: FolderLock): Promise<PullResult> {
    await this.#assertRoom();
    const { files } = this.#chosen.model;
    const entryFiles: RegistryEntry["files"] = [];
    const known = await this.#knownSums();
    const counts = { downloadedBytes: 0, resumedBytes: 0 };
    let doneBytes = 0;
    for (const file of files) {
      const sha256 = known.get(file) ?? (await this.#download(file, doneBytes, counts));
      await lock.assertOwned();
      entryFiles.push({ path: this.#pathOf(file), bytes: file.bytes, sha256 });
      doneBytes += file.bytes;
    }
    const { revision, commit, model } = this.#chosen;
    const entry: RegistryEntry = {
      ...{ version: 1, repo: this.#repo, revision, commit, file: model.path },
      endpoint: this.#connection.endpoint.href,
      pulledAt: new Date().toISOString(),
      files: entryFiles,
    };
    return { ...(await writeEntry(this.#settings.folder, entry)), ...counts };
  }

  /** Files that are here already, with the SHA-256 that they were found to have when they were put in place. */
  async #knownSums(): Promise<ReadonlyMap<HubFile, string>> {
    const { models } = await readRegistry(this.#settings.folder);
    const registered = new Map(models.flatMap(({ files }) => files.map((file) => [file.path, file.sha256])));
    const known = new Map<HubFile, string>();
    for (const file of this.#chosen.model.files) {
      const local = this.#local(this.#pathOf(file));
      const { kind, hex } = file.digest;
      const sha256 = kind === "sha256" ? hex : registered.get(local);
      if (sha256 !== undefined && (await hasBytes(local, file.bytes))) known.set(file, sha256);
    }
    return known;
  }

  async #download(
    file: HubFile,
    beforeBytes: number,
    counts: { downloadedBytes: number; resumedBytes: number },
  ): Promise<string> {
    const { sha256, resumedBytes, receivedBytes } = await downloadFile(this.#connection, {
      file,
      url: fileUrl(this.#connection.endpoint, this.#repo, this.#chosen.commit, file.path),
      target: this.#local(this.#pathOf(file)),
      onProgress: (phase, doneBytes) => {
        this.#report(phase, beforeBytes + doneBytes);
      },
    });
    counts.downloadedBytes += receivedBytes;
    counts.resumedBytes += resumedBytes;
    return sha256;
  }

  /** @throws {AirError} AIR_ERR_DISK_SPACE */
  async #assertRoom(): Promise<void> {
    let neededBytes = 0;
    for (const file of this.#chosen.model.files) {
      const local = this.#local(this.#pathOf(file));
      const here =
        (await stat(local).catch(() => undefined)) ?? (await stat(partialPath(local)).catch(() => undefined));
      neededBytes += Math.max(0, file.bytes - (here?.size ?? 0));
    }
    if (neededBytes === 0) return;
    const { bavail, bsize } = await statfs(this.#local(this.#place));
    const freeBytes = bavail * bsize;
    if (freeBytes >= neededBytes + spareBytes) return;
    throw new AirError(
      "AIR_ERR_DISK_SPACE",
      `expected ${formatBytes(neededBytes + spareBytes)} of room in ${this.#settings.folder} but received ${formatBytes(freeBytes)}`,
    );
  }

  #report(phase: "waiting" | "downloading" | "verifying", doneBytes: number): void {
    this.#settings.onProgress?.({ phase, doneBytes, totalBytes: this.#totalBytes });
  }

  /** Relative to the model folder. */
  #pathOf(file: HubFile): string {
    return `${this.#place}/${path.posix.basename(file.path)}`;
  }

  #local(relative: string): string {
    return path.join(this.#settings.folder, ...relative.split("/"));
  }
}

/** A folder's name for content: the same content has the same place in whatever commit, other content another one. */
function contentKey({ files }: HubModel): string {
  const digests = files.map(({ digest }) => digest.hex).join("\n");
  return createHash("sha256").update(digests).digest("hex").slice(0, 16);
}
