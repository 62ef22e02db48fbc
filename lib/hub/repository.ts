import { z } from "zod";

import { AirError, reasonOf } from "../errors/air-error.js";
import type { HubConnection } from "./connection.js";
import { HubError } from "./hub-error.js";
import type { HubFile } from "./model-files.js";

/** What a repository holds at a commit. */
export interface RepositoryListing {
  /** 40 hexadecimal digits. */
  readonly commit: string;
  /** Its GGUF files. */
  readonly files: readonly HubFile[];
}

/** Whether a revision is a commit, which never changes. */
export function isCommit(revision: string): boolean {
  return /^[0-9a-f]{40}$/.test(revision);
}

const sha1 = z.string().regex(/^[0-9a-f]{40}$/);
const commitSchema = z.object({ sha: sha1 });
const bytesSchema = z.int().min(0);
// The file's name becomes one on this machine.
const pathSchema = z
  .string()
  .max(1024)
  .refine((path) => !/[\0\\]|^\/|(?:^|\/)[.]{0,2}(?:\/|$)/.test(path));
const fileSchema = z.object({
  path: pathSchema,
  size: bytesSchema,
  oid: sha1,
  lfs: z.object({ oid: z.string().regex(/^[0-9a-f]{64}$/), size: bytesSchema }).optional(),
});

function nonsense(repo: string, cause: unknown): HubError {
  const message = `expected a listing as the hub's for ${repo} but received ${reasonOf(cause)}`;
  return new HubError(message.replaceAll(/\s+/g, " "), { cause });
}

function toHubFile(entry: unknown): HubFile {
  const { path, size, oid, lfs } = fileSchema.parse(entry);
  return lfs === undefined
    ? { path, bytes: size, digest: { kind: "git-sha1", hex: oid } }
    : { path, bytes: lfs.size, digest: { kind: "sha256", hex: lfs.oid } };
}

/**
 * The commit that a revision is now, and the GGUF files of the repository at that commit.
 *
 * @huggingface/hub knows the addresses and the pages of listings. It gets neither the token nor a connection of its own,
 * and does not download: its downloads begin from the start every time and check nothing.
 *
 * @throws {AirError} AIR_ERR_HUB, AIR_ERR_HUB_ACCESS, AIR_ERR_HUB_NOT_FOUND, AIR_ERR_CANCELLED
 */
export async function listRepository(
  connection: HubConnection,
  repo: string,
  revision: string,
): Promise<RepositoryListing> {
  const { listFiles, modelInfo } = await import("@huggingface/hub");
  const source = {
    hubUrl: connection.endpoint.href.replace(/\/$/, ""),
    fetch: async (input: string | URL | Request): Promise<Response> => {
      const { text, headers } = await connection.getText(
        new URL(input instanceof Request ? input.url : input),
      );
      return new Response(text, { headers });
    },
  };
  try {
    const info: unknown = await modelInfo({ name: repo, revision, additionalFields: ["sha"], ...source });
    const { sha: commit } = commitSchema.parse(info);
    const files: HubFile[] = [];
    const entries = listFiles({
      repo: { type: "model", name: repo },
      revision: commit,
      recursive: true,
      ...source,
    });
    for await (const entry of entries)
      if (entry.type === "file" && /[.]gguf$/i.test(entry.path)) files.push(toHubFile(entry));
    return { commit, files };
  } catch (thrown) {
    throw thrown instanceof AirError ? thrown : nonsense(repo, thrown);
  }
}

/** Where a file's content is. */
export function fileUrl(endpoint: URL, repo: string, commit: string, path: string): URL {
  const name = path.split("/").map(encodeURIComponent).join("/");
  return new URL(`${endpoint.href.replace(/\/$/, "")}/${repo}/resolve/${commit}/${name}`);
}
