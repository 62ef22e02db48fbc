import { existsSync, mkdirSync, rmSync, writeFileSync } from "node:fs";
import path from "node:path";

import { describe, expect, test, vi } from "vitest";

import type { PullProgress } from "../../../lib/hub/settings.js";
import {
  contentOf,
  corrupt,
  ignoreRange,
  mainCommit,
  rangeStart,
  serve,
  sha256Of,
  stallAfter,
  status,
} from "../../support/hub-stub.js";
import {
  content,
  expectSame,
  failureOf,
  filesHere,
  folder,
  hub,
  leavePart,
  pull,
  repo,
  usePulls,
} from "../../support/pulls.js";

usePulls();

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
