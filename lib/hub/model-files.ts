import { AirError, invalidArgument } from "../errors/air-error.js";
import { formatBytes } from "../util/quantities.js";

/** How the content of a file is known before it is there. */
export interface FileDigest {
  /** `sha256` of the content (files in large file storage), or git's own SHA-1 of a blob (small files). */
  readonly kind: "sha256" | "git-sha1";
  /** Lower-case hexadecimal. */
  readonly hex: string;
}

/** A file of a repository. */
export interface HubFile {
  /** Within the repository, with forward slashes. */
  readonly path: string;
  readonly bytes: number;
  readonly digest: FileDigest;
}

/** A model of a repository: one file, or all of its parts in order. */
export interface HubModel {
  /** Its file, or its first part. */
  readonly path: string;
  readonly files: readonly HubFile[];
}

const partPattern = /-(\d{5})-of-(\d{5})[.]gguf$/i;
// Files in GGUF that are no language models: vision towers, and activations that quantisation was guided by.
const companionPattern = /(?:^|[-_.])(?:mmproj|imatrix)(?=[-_.])/i;
const quantizationPattern = /[-_.]((?:i?q\d|tq\d|mxfp\d)\w*|bf16|f16|f32|fp16|fp32)$/i;
/** What is taken where nobody says which: 4 bits, exact in memory first (docs/models.md). */
const preferredQuantizations: readonly string[] = ["Q4_0", "Q4_K_M"];
/** Most files that an error lists. */
const maxListed = 24;

/** `model-q4_0` for `sub/model-q4_0.gguf` and for `sub/model-q4_0-00001-of-00003.gguf`. */
export function stemOf(path: string): string {
  return path
    .replace(/^.*\//, "")
    .replace(partPattern, "")
    .replace(/[.]gguf$/i, "");
}

/** `Q4_0` for `model-q4_0.gguf`; undefined where a name does not end in a quantisation. */
export function quantizationOf(path: string): string | undefined {
  return quantizationPattern.exec(stemOf(path))?.[1]?.toUpperCase();
}

/**
 * The models among the files of a repository, in order of their paths. A model of several parts of which one is missing
 * is left out.
 */
export function modelsOf(files: readonly HubFile[]): readonly HubModel[] {
  const ggufs = files
    .filter(({ path }) => /[.]gguf$/i.test(path) && !companionPattern.test(path.replace(/^.*\//, "")))
    .sort((a, b) => (a.path < b.path ? -1 : 1));
  const models = new Map<string, { readonly files: HubFile[]; readonly parts: number }>();
  for (const file of ggufs) {
    const [tail, , parts] = partPattern.exec(file.path) ?? [];
    const key = tail === undefined ? file.path : `${file.path.slice(0, -tail.length)}\0${String(parts)}`;
    const model = models.get(key) ?? { files: [], parts: Number(parts ?? 1) };
    model.files.push(file);
    models.set(key, model);
  }
  return [...models.values()].flatMap(({ files: own, parts }) => {
    const [first] = own;
    const isWhole =
      own.length === parts && (parts === 1 || own.every(({ path }, i) => partOf(path) === i + 1));
    return first !== undefined && isWhole ? [{ path: first.path, files: own }] : [];
  });
}

function partOf(path: string): number {
  return Number(partPattern.exec(path)?.[1] ?? 1);
}

/** Whether `text` names the file: path, name with or without folder and ending, or quantisation, in either case. */
export function isNameOf(path: string, text: string): boolean {
  const asked = text.toLowerCase();
  const own = path.toLowerCase();
  const names = [own, own.replace(/^.*\//, ""), stemOf(own), quantizationOf(path)?.toLowerCase()];
  return names.includes(asked);
}

function listOf(models: readonly HubModel[]): string {
  const shown = models.slice(0, maxListed).map(({ path, files }) => {
    const bytes = files.reduce((sum, file) => sum + file.bytes, 0);
    return `${path} (${formatBytes(bytes)})`;
  });
  const rest = models.length - shown.length;
  return shown.join(", ") + (rest > 0 ? ` and ${rest} more` : "");
}

/**
 * The model that is meant: the one that `asked` names; without it the only one, else the only one in Q4_0, else the only
 * one in Q4_K_M.
 *
 * @throws {AirError} AIR_ERR_HUB_NOT_FOUND when the repository has no GGUF file, or none of that name;
 * AIR_ERR_ARGUMENT, with a list, when several could be meant
 */
export function chooseModel(repo: string, files: readonly HubFile[], asked: string | undefined): HubModel {
  const models = modelsOf(files);
  if (models.length === 0) {
    const message = `expected GGUF files for ${repo} but received a repository without any`;
    throw new AirError("AIR_ERR_HUB_NOT_FOUND", message);
  }
  if (asked === undefined) return chooseDefault(repo, models);
  const exact = models.filter((model) => model.files.some(({ path }) => path === asked));
  const named =
    exact.length > 0
      ? exact
      : models.filter(({ files: own }) => own.some(({ path }) => isNameOf(path, asked)));
  const [only] = named;
  if (only === undefined) {
    const message = `expected one of its files for ${repo}:${asked} but received none of that name; it has ${listOf(models)}`;
    throw new AirError("AIR_ERR_HUB_NOT_FOUND", message);
  }
  if (named.length > 1) throw invalidArgument(`the file of ${repo}`, `one of ${listOf(named)}`, asked);
  return only;
}

function chooseDefault(repo: string, models: readonly HubModel[]): HubModel {
  const [only] = models;
  if (only !== undefined && models.length === 1) return only;
  for (const preferred of preferredQuantizations) {
    const [found, ...more] = models.filter(({ path }) => quantizationOf(path) === preferred);
    if (found !== undefined && more.length === 0) return found;
  }
  throw invalidArgument(`the file of ${repo}`, `one of ${listOf(models)} after a colon`, undefined);
}
