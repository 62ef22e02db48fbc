import { createHash } from "node:crypto";
import { once } from "node:events";
import { createServer, type IncomingHttpHeaders, type Server, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";

export const mainCommit = "0123456789abcdef0123456789abcdef01234567";

/** A request that came in. */
export interface HubRequest {
  readonly path: string;
  readonly headers: IncomingHttpHeaders;
  readonly at: number;
}

/** What a handler of file requests gets. */
export interface FileExchange {
  readonly request: HubRequest;
  readonly response: ServerResponse;
  readonly content: Buffer;
  readonly etag: string;
}

/** Answers one request for a file. */
export type FileHandler = (exchange: FileExchange) => void;

/** A file of the stub's repositories. */
export interface StubFile {
  readonly content: Buffer;
  /** Small files are in git itself, which knows them by a SHA-1. Default: true. */
  readonly lfs?: boolean;
  /** What the listing says instead of the truth. */
  readonly listedBytes?: number;
  readonly listedSha256?: string;
}

/** Bytes that no other seed gives. */
export function contentOf(seed: string, bytes: number): Buffer {
  const blocks: Buffer[] = [];
  for (let i = 0; i * 32 < bytes; i += 1) blocks.push(createHash("sha256").update(`${seed} ${i}`).digest());
  return Buffer.concat(blocks).subarray(0, bytes);
}

export function sha256Of(content: Uint8Array): string {
  return createHash("sha256").update(content).digest("hex");
}

/** Where the asked range begins; 0 without one. */
export function rangeStart({ headers }: HubRequest): number {
  return Number(/^bytes=(\d+)-$/.exec(headers.range ?? "")?.[1] ?? 0);
}

/** Begins a true answer, range and If-Range honoured, and returns the bytes that belong into it. */
function head({ request, response, content, etag }: FileExchange): Buffer {
  const asked = rangeStart(request);
  const condition = request.headers["if-range"];
  const start = condition === undefined || condition === etag ? asked : 0;
  const rest = content.subarray(start);
  if (start === 0) response.writeHead(200, { etag, "content-length": rest.length });
  else {
    const range = `bytes ${start}-${content.length - 1}/${content.length}`;
    response.writeHead(206, { etag, "content-length": rest.length, "content-range": range });
  }
  return rest;
}

export const serve: FileHandler = (exchange) => {
  exchange.response.end(head(exchange));
};

/** Sends that many bytes and destroys the connection. */
export function cutAfter(bytes: number): FileHandler {
  return (exchange) => {
    const { response } = exchange;
    response.write(head(exchange).subarray(0, bytes), () => setTimeout(() => response.destroy(), 20));
  };
}

/** Sends that many bytes and then nothing, for ever. */
export function stallAfter(bytes: number): FileHandler {
  return (exchange) => {
    exchange.response.write(head(exchange).subarray(0, bytes));
  };
}

/** Sends other bytes of the right number. */
export const corrupt: FileHandler = (exchange) => {
  exchange.response.end(Buffer.from(head(exchange).map((byte) => byte ^ 1)));
};

/** Sends it all, whatever was asked for. */
export const ignoreRange: FileHandler = ({ response, content, etag }) => {
  response.writeHead(200, { etag, "content-length": content.length }).end(content);
};

export function status(code: number, headers: Readonly<Record<string, string>> = {}): FileHandler {
  return ({ response }) => {
    response.writeHead(code, headers).end("no");
  };
}

export function redirect(to: string): FileHandler {
  return ({ response, request }) => {
    response.writeHead(302, { location: `${to}${request.path}` }).end();
  };
}

/** A hub on this machine that misbehaves on request. */
export class HubStub {
  readonly requests: HubRequest[] = [];
  /** What answers the next requests for files, one after the other; then `otherwise`. */
  readonly next: FileHandler[] = [];
  otherwise: FileHandler = serve;
  /** Answers requests of the API in place of the stub when it returns true. */
  api: (request: HubRequest, response: ServerResponse) => boolean = () => false;
  /** Of all files: what the server calls their content. */
  etagOf = (content: Buffer): string => `"${sha256Of(content).slice(0, 12)}"`;
  readonly #repos = new Map<string, Record<string, StubFile>>();
  readonly #server: Server;
  #port = 0;
  commit = mainCommit;
  /** Files per page of a listing. */
  pageFiles = 1000;

  constructor() {
    this.#server = createServer((incoming, response) => {
      const request = { path: incoming.url ?? "", headers: incoming.headers, at: performance.now() };
      this.requests.push(request);
      response.on("error", () => undefined);
      this.#answer(request, response);
    });
  }

  async start(): Promise<this> {
    this.#server.listen(0, "127.0.0.1");
    await once(this.#server, "listening");
    this.#port = (this.#server.address() as AddressInfo).port;
    return this;
  }

  /** Where it is, and was after close(). */
  get url(): string {
    return `http://127.0.0.1:${this.#port}`;
  }

  /** The requests for files. */
  get fileRequests(): readonly HubRequest[] {
    return this.requests.filter(({ path }) => path.includes("/resolve/"));
  }

  put(repo: string, files: Record<string, StubFile>): void {
    this.#repos.set(repo, files);
  }

  async close(): Promise<void> {
    this.#server.closeAllConnections();
    this.#server.close();
    await once(this.#server, "close");
  }

  #answer(request: HubRequest, response: ServerResponse): void {
    const { pathname, searchParams } = new URL(request.path, this.url);
    const [, repo = "", revision] = /^\/api\/models\/([^/]+\/[^/]+)\/revision\/([^/]+)$/.exec(pathname) ?? [];
    const [, treeRepo = ""] = /^\/api\/models\/([^/]+\/[^/]+)\/tree\//.exec(pathname) ?? [];
    const [, fileRepo = "", commit, name = ""] =
      /^\/([^/]+\/[^/]+)\/resolve\/([^/]+)\/(.+)$/.exec(pathname) ?? [];
    const file = this.#repos.get(fileRepo)?.[decodeURIComponent(name)];
    if (pathname.startsWith("/api/") && this.api(request, response)) return;
    if (this.#repos.has(repo) && ["main", "v1", this.commit].includes(revision ?? ""))
      this.#info(repo, response);
    else if (this.#repos.has(treeRepo)) this.#tree(treeRepo, Number(searchParams.get("page") ?? 0), response);
    else if (file !== undefined && commit === this.commit) {
      const handler = this.next.shift() ?? this.otherwise;
      handler({ request, response, content: file.content, etag: this.etagOf(file.content) });
    } else response.writeHead(404, { "x-error-code": "RepoNotFound" }).end("{}");
  }

  #info(repo: string, response: ServerResponse): void {
    const facts = { _id: "1", id: repo, private: false, downloads: 1, gated: false, likes: 1 };
    const text = JSON.stringify({ ...facts, lastModified: "2026-01-01T00:00:00Z", sha: this.commit });
    response.writeHead(200, { "content-type": "application/json" }).end(text);
  }

  #tree(repo: string, page: number, response: ServerResponse): void {
    const all = Object.entries(this.#repos.get(repo) ?? {}).map(([path, file]) => listingOf(path, file));
    const start = page * this.pageFiles;
    const isLast = start + this.pageFiles >= all.length;
    const link = `<${this.url}/api/models/${repo}/tree/${this.commit}?page=${page + 1}>; rel="next"`;
    response.writeHead(200, { "content-type": "application/json", ...(!isLast && { link }) });
    response.end(JSON.stringify(all.slice(start, start + this.pageFiles)));
  }
}

function listingOf(path: string, { content, lfs = true, listedBytes, listedSha256 }: StubFile): object {
  const size = listedBytes ?? content.length;
  const oid = createHash("sha1").update(`blob ${content.length}\0`).update(content).digest("hex");
  const sha256 = listedSha256 ?? sha256Of(content);
  return { type: "file", path, size, oid, ...(lfs && { lfs: { oid: sha256, size, pointerSize: 130 } }) };
}
