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
import { pullModel } from "../../../lib/hub/pull-model.js";
import type { PullOptions, PullProgress } from "../../../lib/hub/settings.js";
import {
  contentOf,
  corrupt,
  cutAfter,
  HubStub,
  ignoreRange,
  mainCommit,
  rangeStart,
  redirect,
  serve,
  sha256Of,
  stallAfter,
  status,
} from "../../support/hub-stub.js";

const repo = "acme/tiny-GGUF";
const content = contentOf("tiny", 300_000);
const token = "hf_secretOfTheTest";

let hub: HubStub;
let folder: string;

beforeEach(async () => {
  for (const name of ["HF_TOKEN", "HF_ENDPOINT", "HF_HUB_OFFLINE", "AIR_MODELS"]) vi.stubEnv(name, "");
  folder = mkdtempSync(path.join(os.tmpdir(), "air-pull-"));
  hub = await new HubStub().start();
  hub.put(repo, { "tiny-q4_0.gguf": { content } });
});

afterEach(async () => {
  vi.unstubAllEnvs();
  await hub.close();
  rmSync(folder, { recursive: true });
});

function pull(options: PullOptions = {}, reference = repo) {
  return pullModel(reference, {
    ...{ folder, endpoint: hub.url, retries: 2, retryBaseMs: 5, stallSeconds: 5 },
    ...options,
  });
}

async function failureOf(pulling: Promise<unknown>): Promise<AirError> {
  const thrown: unknown = await pulling.then(
    () => undefined,
    (reason: unknown) => reason,
  );
  expect(thrown).toBeInstanceOf(AirError);
  return thrown as AirError;
}

/** Compares the bytes as such: toEqual() takes seconds for as many. */
function expectSame(file: string, expected: Buffer | undefined): void {
  expect(readFileSync(file).equals(expected ?? Buffer.alloc(0)), file).toBe(true);
}

/** Every file under the model folder, relative to it. */
function filesHere(): readonly string[] {
  return readdirSync(folder, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map((entry) => path.join(path.relative(folder, entry.parentPath), entry.name))
    .sort();
}

/** Leaves a part behind, as a pull that was stopped. */
async function leavePart(bytes: number): Promise<string> {
  hub.next.push(cutAfter(bytes));
  await failureOf(pull({ retries: 0 }));
  const [partial = ""] = filesHere().filter((name) => name.endsWith(".partial"));
  expect(readFileSync(path.join(folder, partial)).length).toBe(bytes);
  return path.join(folder, partial);
}

describe("pullModel", () => {
  test("puts a verified file into the folder and records what it is", async () => {
    const progress: PullProgress[] = [];
    const result = await pull({ revision: "v1", onProgress: (step) => progress.push(step) });
    expectSame(result.path, content);
    expect(result).toMatchObject({
      ...{ name: `${repo}:tiny-q4_0.gguf`, shortName: "tiny-q4_0", repo, revision: "v1", commit: mainCommit },
      ...{ bytes: content.length, sha256: sha256Of(content), isPresent: true },
      ...{ downloadedBytes: content.length, resumedBytes: 0 },
    });
    expect(hub.fileRequests.map((request) => request.path)).toEqual([
      `/${repo}/resolve/${mainCommit}/tiny-q4_0.gguf`,
    ]);
    expect(filesHere().map((name) => path.extname(name))).toEqual([".gguf", ".json"]);
    const bytes = progress.filter(({ phase }) => phase === "downloading").map(({ doneBytes }) => doneBytes);
    expect(bytes).toEqual([...bytes].sort((a, b) => a - b));
    expect(bytes.at(-1)).toBe(content.length);
    expect(progress.at(-1)).toEqual({
      phase: "verifying",
      doneBytes: content.length,
      totalBytes: content.length,
    });
  });

  test("downloads nothing a second time, and asks nobody about a commit and file that are here", async () => {
    await pull();
    const again = await pull();
    expect(again.downloadedBytes).toBe(0);
    expect(hub.fileRequests.length).toBe(1);
    const before = hub.requests.length;
    const pinned = await pull({ revision: mainCommit }, `${repo}:tiny-q4_0.gguf`);
    expect(pinned.path).toBe(again.path);
    expect(hub.requests.length).toBe(before);
  });

  test("keeps the file and moves its commit when a new commit has the same content", async () => {
    const first = await pull();
    hub.commit = "f".repeat(40);
    const second = await pull();
    expect(second).toMatchObject({ commit: "f".repeat(40), path: first.path, downloadedBytes: 0 });
  });

  test("downloads a new version beside the old one", async () => {
    const first = await pull();
    const changed = contentOf("changed", 1000);
    hub.commit = "f".repeat(40);
    hub.put(repo, { "tiny-q4_0.gguf": { content: changed } });
    const second = await pull();
    expectSame(second.path, changed);
    expectSame(first.path, content);
  });

  test("downloads all parts of a model in parts", async () => {
    const parts = [1, 2, 3].map(
      (part) => [`big/m-q8_0-0000${part}-of-00003.gguf`, contentOf(`${part}`, 999)] as const,
    );
    hub.put(repo, Object.fromEntries(parts.map(([name, bytes]) => [name, { content: bytes }])));
    const result = await pull();
    expect(result.files.map((file) => path.basename(file.path))).toEqual(
      parts.map(([name]) => path.basename(name)),
    );
    for (const [index, { path: file }] of result.files.entries()) expectSame(file, parts[index]?.[1]);
    expect(new Set(result.files.map((file) => path.dirname(file.path))).size).toBe(1);
    expect(result).toMatchObject({ bytes: 2997, shortName: "m-q8_0" });
  });

  test("verifies a file that is in git itself by git's checksum", async () => {
    hub.put(repo, { "tiny-q4_0.gguf": { content, lfs: false } });
    hub.next.push(corrupt);
    expect((await failureOf(pull())).code).toBe("AIR_ERR_CHECKSUM");
    expect((await pull()).sha256).toBe(sha256Of(content));
    expect((await pull()).downloadedBytes).toBe(0);
  });

  test("reads listings of several pages", async () => {
    hub.pageFiles = 1;
    hub.put(repo, { "a-q8_0.gguf": { content: contentOf("a", 10) }, "b-q4_0.gguf": { content } });
    expect((await pull()).file).toBe("b-q4_0.gguf");
  });

  test("keeps an empty endpoint path, and uses one that a mirror has", async () => {
    await failureOf(pull({ endpoint: `${hub.url}/mirror/` }));
    expect(hub.requests[0]?.path).toMatch(/^\/mirror\/api\/models\/acme\//);
  });
});

describe("a pull that was interrupted", () => {
  test("goes on where it stopped, and says how much had been left", async () => {
    await leavePart(100_000);
    const result = await pull();
    expectSame(result.path, content);
    expect(result).toMatchObject({ resumedBytes: 100_000, downloadedBytes: 200_000 });
    const [, second] = hub.fileRequests;
    expect(second?.headers).toMatchObject({ range: "bytes=100000-", "if-range": hub.etagOf(content) });
  });

  test("begins anew when the server calls the content by another name", async () => {
    await leavePart(100_000);
    hub.etagOf = () => '"another"';
    const result = await pull();
    expectSame(result.path, content);
    expect(result.downloadedBytes).toBe(content.length);
  });

  test("begins anew when a range comes under another name although it was asked not to", async () => {
    await leavePart(100_000);
    hub.next.push(({ response }) => {
      const range = `bytes 100000-${content.length - 1}/${content.length}`;
      response.writeHead(206, { etag: '"another"', "content-range": range }).end(content.subarray(100_000));
    });
    const result = await pull();
    expectSame(result.path, content);
    expect(hub.fileRequests.map(rangeStart)).toEqual([0, 100_000, 0]);
  });

  test("begins anew when the server ignores the range", async () => {
    await leavePart(100_000);
    hub.next.push(ignoreRange);
    const result = await pull();
    expectSame(result.path, content);
    expect(result.downloadedBytes).toBe(content.length);
    expect(hub.fileRequests.length).toBe(2);
  });

  test("begins anew when the server sends another range than was asked for", async () => {
    await leavePart(100_000);
    hub.next.push(({ response, etag }) => {
      const range = `bytes 50000-${content.length - 1}/${content.length}`;
      response.writeHead(206, { etag, "content-range": range }).end(content.subarray(50_000));
    });
    expectSame((await pull()).path, content);
    expect(hub.fileRequests.map(rangeStart)).toEqual([0, 100_000, 0]);
  });

  test("begins anew after status 416, and when more is here than there is", async () => {
    const partial = await leavePart(100_000);
    hub.next.push(status(416));
    await failureOf(pull({ retries: 0 }));
    writeFileSync(partial, Buffer.alloc(content.length + 5));
    expectSame((await pull()).path, content);
    expect(hub.fileRequests.map(rangeStart)).toEqual([0, 100_000, 0]);
  });

  test("is downloaded once more, in one go, when what was left turns out to be wrong", async () => {
    const partial = await leavePart(100_000);
    writeFileSync(partial, Buffer.alloc(100_000));
    const result = await pull();
    expectSame(result.path, content);
    expect(hub.fileRequests.map(rangeStart)).toEqual([0, 100_000, 0]);
  });

  test("goes on without If-Range where the server has no name for the content", async () => {
    hub.etagOf = () => 'W/"weak"';
    await leavePart(100_000);
    expect((await pull()).downloadedBytes).toBe(200_000);
    expect(hub.fileRequests[1]?.headers["if-range"]).toBeUndefined();
  });
});

describe("a bad connection", () => {
  test("that is cut goes on from the last byte", async () => {
    hub.next.push(cutAfter(90_000), cutAfter(90_000));
    const result = await pull();
    expectSame(result.path, content);
    expect(hub.fileRequests.map(rangeStart)).toEqual([0, 90_000, 180_000]);
    expect(result.downloadedBytes).toBe(content.length);
  });

  test("that is cut too often is an error, and leaves the part", async () => {
    hub.otherwise = cutAfter(10);
    const failure = await failureOf(pull());
    expect(failure.code).toBe("AIR_ERR_HUB");
    expect(failure.message).toMatch(/^expected .* for http:.*tiny-q4_0[.]gguf but received/);
    expect(hub.fileRequests.map(rangeStart)).toEqual([0, 10, 20]);
    expect(filesHere().filter((name) => name.endsWith(".gguf"))).toEqual([]);
    expect(filesHere().filter((name) => name.endsWith(".partial")).length).toBe(1);
    expect(filesHere().filter((name) => name.endsWith(".lock"))).toEqual([]);
  });

  test("that is cut after every megabyte may be cut more often than there are retries", async () => {
    const large = contentOf("large", 5 << 20);
    hub.put(repo, { "tiny-q4_0.gguf": { content: large } });
    hub.next.push(...Array.from({ length: 4 }, () => cutAfter((1 << 20) + 1)));
    expectSame((await pull({ retries: 1 })).path, large);
  });

  test("that stalls is given up and tried again", async () => {
    hub.next.push(stallAfter(50_000));
    const started = performance.now();
    expectSame((await pull({ stallSeconds: 0.3 })).path, content);
    expect(performance.now() - started).toBeGreaterThan(290);
    expect(hub.fileRequests.map(rangeStart)).toEqual([0, 50_000]);
  });

  test("that stalls for ever is an error that says so", async () => {
    hub.otherwise = stallAfter(0);
    const failure = await failureOf(pull({ stallSeconds: 0.1, retries: 1 }));
    expect(failure.code).toBe("AIR_ERR_HUB");
    expect(failure.message).toContain("nothing for 0.1 s");
  });

  test("that cannot be made is an error that says why", async () => {
    const gone = await new HubStub().start();
    const endpoint = gone.url;
    await gone.close();
    const failure = await failureOf(pull({ endpoint, retries: 0 }));
    expect(failure.code).toBe("AIR_ERR_HUB");
    expect(failure.message).toContain("ECONNREFUSED");
  });
});

describe("a server that fails", () => {
  test.each([500, 502, 503, 408])("with status %i is asked again", async (code) => {
    hub.next.push(status(code), status(code));
    expect((await pull()).isPresent).toBe(true);
    expect(hub.fileRequests.length).toBe(3);
  });

  test("with status 500 every time is an error after the retries", async () => {
    hub.otherwise = status(500);
    const failure = await failureOf(pull());
    expect([failure.code, hub.fileRequests.length]).toEqual(["AIR_ERR_HUB", 3]);
    expect(failure.message).toContain("status 500");
  });

  test("is not asked again before the time that Retry-After names", async () => {
    hub.next.push(status(429, { "retry-after": "0.4" }));
    await pull();
    const [first, second] = hub.fileRequests;
    expect((second?.at ?? 0) - (first?.at ?? 0)).toBeGreaterThanOrEqual(395);
  });

  test("is not waited for longer than the limit", async () => {
    hub.next.push(status(429, { "retry-after": "600" }));
    const failure = await failureOf(pull());
    expect([failure.code, hub.fileRequests.length]).toEqual(["AIR_ERR_HUB", 1]);
    expect(failure.message).toContain("600 s");
  });

  test("in its listing is asked again", async () => {
    let failures = 2;
    hub.api = (_, response) => {
      if (failures-- <= 0) return false;
      response.writeHead(503).end();
      return true;
    };
    expect((await pull()).isPresent).toBe(true);
  });

  test.each([
    ["no JSON", "{"],
    ["something else", "[]"],
    ["a commit that is none", '{"_id":"1","id":"x","lastModified":"2026-01-01","sha":"../../etc"}'],
  ])("with %s for a listing is an error", async (_, text) => {
    hub.api = (request, response) => {
      if (!request.path.includes("/revision/")) return false;
      response.writeHead(200, { "content-type": "application/json" }).end(text);
      return true;
    };
    expect((await failureOf(pull())).code).toBe("AIR_ERR_HUB");
  });

  test.each([
    "../evil-q4_0.gguf",
    "/etc/evil-q4_0.gguf",
    "a/../../evil-q4_0.gguf",
    "a\\evil-q4_0.gguf",
    "a//b.gguf",
  ])("with a file called %s is refused", async (name) => {
    hub.put(repo, { [name]: { content } });
    expect((await failureOf(pull())).code).toBe("AIR_ERR_HUB");
    expect(hub.fileRequests).toEqual([]);
  });
});

describe("content that is not what was listed", () => {
  test("does not appear under its name, and the part goes", async () => {
    hub.otherwise = corrupt;
    const failure = await failureOf(pull());
    expect(failure.code).toBe("AIR_ERR_CHECKSUM");
    expect(hub.fileRequests.length).toBe(1);
    expect(filesHere().filter((name) => /gguf$|json$/.test(name))).toEqual([]);
    hub.otherwise = serve;
    expect((await pull()).resumedBytes).toBe(0);
  });

  test("and cut is downloaded twice at most", async () => {
    hub.otherwise = (exchange) => {
      const from = rangeStart(exchange.request);
      (from === 0 ? cutAfter(150_000) : corrupt)(exchange);
    };
    expect((await failureOf(pull())).code).toBe("AIR_ERR_CHECKSUM");
    expect(hub.fileRequests.map(rangeStart)).toEqual([0, 150_000, 0, 150_000]);
  });

  test("in length is refused when the server announces it", async () => {
    hub.put(repo, { "tiny-q4_0.gguf": { content, listedBytes: content.length + 1 } });
    const failure = await failureOf(pull());
    expect([failure.code, hub.fileRequests.length]).toEqual(["AIR_ERR_HUB", 1]);
    expect(failure.message).toContain("expected 300001 bytes, as listed,");
  });

  test("in length is refused when more comes than was listed, and none of it stays", async () => {
    hub.otherwise = ({ response }) => {
      response.write(content); // without a length
      response.end("more");
    };
    const failure = await failureOf(pull());
    expect(failure.message).toContain("received more");
    const [partial = ""] = filesHere().filter((name) => name.endsWith(".partial"));
    expect(readFileSync(path.join(folder, partial)).length).toBe(0);
  });

  test("in length is a broken connection when less comes than was listed", async () => {
    hub.otherwise = ({ response }) => {
      response.end(content.subarray(0, 1000));
    };
    hub.next.push(({ response }) => {
      response.write(content.subarray(0, 1000));
      response.end();
    });
    hub.next.push(serve);
    expectSame((await pull()).path, content);
  });
});

describe("access", () => {
  test("is asked for with the token, which goes to the hub and not where it redirects to", async () => {
    const cdn = await new HubStub().start();
    cdn.put(repo, { "tiny-q4_0.gguf": { content } });
    hub.otherwise = redirect(cdn.url);
    const result = await pull({ token }).finally(() => cdn.close());
    expectSame(result.path, content);
    expect(hub.requests.length).toBe(3);
    for (const { headers } of hub.requests) expect(headers.authorization).toBe(`Bearer ${token}`);
    expect(cdn.requests.length).toBe(1);
    expect(JSON.stringify(cdn.requests)).not.toContain(token);
    for (const name of filesHere()) expect(readFileSync(path.join(folder, name)).includes(token)).toBe(false);
  });

  test("keeps the token from the next page of a listing on another host", async () => {
    const other = await new HubStub().start();
    other.put(repo, { "tiny-q4_0.gguf": { content } });
    hub.api = (request, response) => {
      if (!request.path.includes("/tree/")) return false;
      const link = `<${other.url}/api/models/${repo}/tree/${mainCommit}>; rel="next"`;
      response.writeHead(200, { link }).end("[]");
      return true;
    };
    await pull({ token }).finally(() => other.close());
    expect(other.requests.length).toBe(1);
    expect(other.requests[0]?.headers.authorization).toBeUndefined();
  });

  test("takes the token from HF_TOKEN and the address from HF_ENDPOINT", async () => {
    vi.stubEnv("HF_TOKEN", ` ${token}\n`);
    vi.stubEnv("HF_ENDPOINT", `${hub.url}/`);
    await pullModel(repo, { folder });
    expect(hub.requests[0]?.headers.authorization).toBe(`Bearer ${token}`);
  });

  test("sends no token where there is none", async () => {
    await pull();
    expect(hub.requests[0]?.headers.authorization).toBeUndefined();
  });

  test.each([401, 403])("that is refused with status %i says so, without the token", async (code) => {
    hub.api = (_, response) => {
      const words = `Access to model is restricted for ${token}, accept its terms`;
      response.writeHead(code, { "x-error-code": "GatedRepo", "x-error-message": words }).end();
      return true;
    };
    const failure = await failureOf(pull({ token }));
    expect(failure.code).toBe("AIR_ERR_HUB_ACCESS");
    expect(failure.message).toContain("Access to model is restricted for ***, accept its terms");
    expect(failure.remedy).toContain("HF_TOKEN");
    expect(hub.requests.length).toBe(1);
  });

  test("that is refused for the file, not the listing, is the same error", async () => {
    hub.otherwise = status(403);
    const failure = await failureOf(pull());
    expect([failure.code, hub.fileRequests.length]).toEqual(["AIR_ERR_HUB_ACCESS", 1]);
  });

  test("that ran out elsewhere is asked for again at the hub", async () => {
    const cdn = await new HubStub().start();
    cdn.put(repo, { "tiny-q4_0.gguf": { content } });
    cdn.next.push(cutAfter(1000), status(403));
    hub.otherwise = redirect(cdn.url);
    const result = await pull().finally(() => cdn.close());
    expectSame(result.path, content);
    expect(hub.fileRequests.length).toBe(3);
  });

  test("never shows the query of an address, which may be a signature", async () => {
    hub.otherwise = ({ response, request }) => {
      if (request.path.includes("?")) response.writeHead(400).end();
      else response.writeHead(302, { location: `${request.path}?Signature=secret` }).end();
    };
    const failure = await failureOf(pull());
    expect(failure.message).toContain("status 400");
    expect(failure.message).not.toContain("secret");
  });

  test("refuses a token that is no token without showing it", async () => {
    const failure = await failureOf(pull({ token: "hf_se cret" }));
    expect(failure.code).toBe("AIR_ERR_ARGUMENT");
    expect(failure.message).not.toContain("hf_se");
  });

  test("refuses an endpoint with a password without showing it, and what is no address", async () => {
    const failure = await failureOf(pull({ endpoint: "https://me:secret@hub.example" }));
    expect(failure.code).toBe("AIR_ERR_ARGUMENT");
    expect(failure.message).not.toContain("secret");
    for (const endpoint of ["hub.example", "ftp://hub.example", "https://hub.example/?a=b"])
      expect((await failureOf(pull({ endpoint }))).code).toBe("AIR_ERR_ARGUMENT");
  });
});

describe("redirects", () => {
  test("that never end are an error", async () => {
    hub.otherwise = redirect("");
    const failure = await failureOf(pull());
    expect(failure.message).toContain("at most 5 redirects");
    expect(hub.fileRequests.length).toBe(6);
  });

  test.each(["", "http://", "file:///etc/passwd"])("to %j are an error", async (location) => {
    hub.otherwise = ({ response }) => {
      response.writeHead(302, { location }).end();
    };
    expect((await failureOf(pull())).code).toBe("AIR_ERR_HUB");
  });
});

describe("what is not there", () => {
  test.each([
    ["a repository", { reference: "acme/none" }],
    ["a revision", { revision: "nightly" }],
    ["a file", { reference: `${repo}:Q8_0` }],
  ])(
    "%s is AIR_ERR_HUB_NOT_FOUND",
    async (_, { reference = repo, ...options }: { reference?: string; revision?: string }) => {
      const failure = await failureOf(pull(options, reference));
      expect(failure.code).toBe("AIR_ERR_HUB_NOT_FOUND");
      expect(hub.requests.length).toBeLessThanOrEqual(2);
    },
  );

  test("a file that vanished between listing and download is AIR_ERR_HUB_NOT_FOUND", async () => {
    hub.otherwise = status(404);
    expect((await failureOf(pull())).code).toBe("AIR_ERR_HUB_NOT_FOUND");
  });

  test("room on the disk is AIR_ERR_DISK_SPACE before anything is downloaded", async () => {
    hub.put(repo, { "tiny-q4_0.gguf": { content, listedBytes: 2 ** 52 } });
    const failure = await failureOf(pull());
    expect(failure.code).toBe("AIR_ERR_DISK_SPACE");
    expect(failure.message).toContain("4096.0 TiB");
    expect(hub.fileRequests).toEqual([]);
  });

  test("a folder that can be written is AIR_ERR_IO", async () => {
    const file = path.join(folder, "file");
    writeFileSync(file, "");
    expect((await failureOf(pull({ folder: path.join(file, "models") }))).code).toBe("AIR_ERR_IO");
  });
});

describe("offline", () => {
  test("uses no network: what is here is found, what is not is AIR_ERR_OFFLINE", async () => {
    const failure = await failureOf(pull({ offline: true }));
    expect([failure.code, hub.requests.length]).toEqual(["AIR_ERR_OFFLINE", 0]);
    const { path: file } = await pull();
    const before = hub.requests.length;
    expect((await pull({ offline: true })).path).toBe(file);
    expect((await pull({ offline: true }, `${repo}:q4_0`)).path).toBe(file);
    expect((await pull({ offline: true, revision: mainCommit })).path).toBe(file);
    expect((await failureOf(pull({ offline: true, revision: "v1" }))).code).toBe("AIR_ERR_OFFLINE");
    rmSync(file);
    expect((await failureOf(pull({ offline: true }))).code).toBe("AIR_ERR_OFFLINE");
    expect(hub.requests.length).toBe(before);
  });

  test.each(["1", "ON", "true", "Yes"])("is what HF_HUB_OFFLINE=%s says", async (value) => {
    vi.stubEnv("HF_HUB_OFFLINE", value);
    expect((await failureOf(pull())).code).toBe("AIR_ERR_OFFLINE");
    expect((await pull({ offline: false })).isPresent).toBe(true);
  });

  test("is not what HF_HUB_OFFLINE=0 says", async () => {
    vi.stubEnv("HF_HUB_OFFLINE", "0");
    expect((await pull()).isPresent).toBe(true);
  });
});

describe("a signal", () => {
  test("stops a download, and the part stays", async () => {
    hub.next.push(stallAfter(50_000));
    const controller = new AbortController();
    const pulling = pull({
      signal: controller.signal,
      onProgress: ({ doneBytes }) => {
        if (doneBytes === 50_000) controller.abort();
      },
    });
    expect((await failureOf(pulling)).code).toBe("AIR_ERR_CANCELLED");
    expect(filesHere().some((name) => name.endsWith(".lock"))).toBe(false);
    expect((await pull()).resumedBytes).toBe(50_000);
  });

  test("ends a pause between attempts", async () => {
    hub.otherwise = status(503, { "retry-after": "60" });
    const started = performance.now();
    const failure = await failureOf(pull({ signal: AbortSignal.timeout(100) }));
    expect(failure.code).toBe("AIR_ERR_CANCELLED");
    expect(performance.now() - started).toBeLessThan(10_000);
  });

  test("that has aborted before lets nothing happen", async () => {
    expect((await failureOf(pull({ signal: AbortSignal.abort() }))).code).toBe("AIR_ERR_CANCELLED");
    expect(hub.requests).toEqual([]);
  });
});

describe("two pulls of one model", () => {
  test("download it once", async () => {
    hub.otherwise = (exchange) => setTimeout(serve, 300, exchange);
    const phases = new Set<string>();
    const [first, second] = await Promise.all([
      pull(),
      pull({ onProgress: ({ phase }) => phases.add(phase) }),
    ]);
    expect(first.path).toBe(second.path);
    expect(first.downloadedBytes + second.downloadedBytes).toBe(content.length);
    expect(hub.fileRequests.length).toBe(1);
    expect(existsSync(`${path.dirname(first.path)}.lock`)).toBe(false);
  });
});

describe("arguments", () => {
  test.each([
    "",
    "tiny",
    "a/b/c",
    "acme/..",
    "../etc",
    "acme/tiny:",
    "acme/ti ny",
    "-a/b",
    "a--b/c",
    "a/b:c:d",
  ])("%j is no model to pull", async (reference) => {
    const failure = await failureOf(pull({}, reference));
    expect(failure.code).toBe("AIR_ERR_ARGUMENT");
    expect(hub.requests).toEqual([]);
  });

  test("options are checked", async () => {
    expect((await failureOf(pull({ retries: -1 }))).message).toContain("for retries");
    expect((await failureOf(pull({ stallSeconds: 0 }))).message).toContain("for stallSeconds");
    expect((await failureOf(pull({ revision: "" }))).message).toContain("for revision");
  });

  test("a damaged registry does not stand in the way", async () => {
    mkdirSync(path.join(folder, "registry"));
    writeFileSync(path.join(folder, "registry", "x.json"), "{");
    expect((await pull()).isPresent).toBe(true);
  });
});
