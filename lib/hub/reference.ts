import { invalidArgument } from "../errors/air-error.js";

/** What `owner/repo:file` says. */
export interface ModelReference {
  /** Such as `owner/repo`. */
  readonly repo: string;
  /** A file of it, the name of one without its folder or ending, or a quantisation such as `Q4_0`. */
  readonly file?: string;
}

// The hub's own rules for names: letters, digits, ".", "-" and "_", neither at the ends, and no ".." or "--" within.
const namePart = "(?!.*(?:--|[.]{2}))[A-Za-z0-9_](?:[A-Za-z0-9._-]{0,94}[A-Za-z0-9_])?";
const referencePattern = new RegExp(`^(${namePart}/${namePart})(?::([^\\0:]+))?$`);

/** The parts of `owner/repo` or `owner/repo:file`; undefined when the text is neither. */
export function matchReference(text: string): ModelReference | undefined {
  const [, repo, file] = referencePattern.exec(text) ?? [];
  if (repo === undefined) return undefined;
  return { repo, ...(file !== undefined && { file }) };
}

/** @throws {AirArgumentError} AIR_ERR_ARGUMENT */
export function parseReference(text: string): ModelReference {
  const reference = typeof text === "string" ? matchReference(text) : undefined;
  if (reference === undefined)
    throw invalidArgument("the model to pull", "owner/repo or owner/repo:file", text);
  return reference;
}
