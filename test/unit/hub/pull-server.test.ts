import { readFileSync } from "node:fs";
import path from "node:path";

import { describe, expect, test, vi } from "vitest";

import { pullModel } from "../../../lib/hub/pull-model.js";
import {
  contentOf,
  corrupt,
  cutAfter,
  HubStub,
  mainCommit,
  rangeStart,
  redirect,
  serve,
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
  pull,
  repo,
  token,
  usePulls,
} from "../../support/pulls.js";

usePulls();

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
