import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

import { afterAll, describe, expect, test } from "vitest";

import {
  AirConfigError,
  checkConfig,
  type ConfigProblem,
  configJsonSchema,
  parseConfig,
  readConfig,
  type ResolvedConfig,
} from "../../../lib/tiers/config.js";
import { isValid } from "../../support/schema-check.js";

const folder = mkdtempSync(join(tmpdir(), "air-config-"));
afterAll(() => {
  rmSync(folder, { recursive: true });
});

const small = { name: "small", model: "small.gguf" };
const large = { name: "large", model: "large.gguf" };
const cloud = { name: "cloud", url: "https://example.com/v1", model: "big-model" };

function problemsOf(value: unknown): readonly ConfigProblem[] {
  const checked = checkConfig(value);
  if ("problems" in checked) return checked.problems;
  throw new Error("expected problems");
}

const pathsOf = (value: unknown): readonly string[] => problemsOf(value).map(({ path }) => path);

function write(name: string, content: unknown): string {
  const file = join(folder, name);
  writeFileSync(file, typeof content === "string" ? content : JSON.stringify(content));
  return file;
}

/** Configurations that are fine. */
const fine: readonly (readonly [string, object])[] = [
  ["one tier", { tiers: [small] }],
  ["two and a remote one", { tiers: [small, large, cloud] }],
  [
    "all of a local tier",
    {
      tiers: [
        {
          ...{ ...large, draft: "small.gguf", heads: "large.heads.json", packCache: "packs" },
          ...{ contextTokens: 2048, kvTokens: 8192, kv: "int4", kvKeys: "f16", kvValues: "int8" },
          ...{ rotateKeys: true, window: 512, sinks: 4, threads: 2, cpuList: [0, 1], priority: "low" },
          ...{ pageTokens: 64, maxBatchTokens: 128, prefixCache: false, maxTokens: 64 },
          ...{ maxConcurrent: 2, maxWaiting: 0, idleUnloadSeconds: 0, preload: true },
          defaults: {
            temperature: 0.7,
            topK: 40,
            topP: 0.9,
            minP: 0.05,
            repetitionPenalty: 1.1,
            speculation: "off",
          },
        },
      ],
    },
  ],
  [
    "everything else",
    {
      $schema: "./air.config.schema.json",
      tiers: [small, large],
      router: { kind: "linear", file: "router.json", thresholds: [0.4] },
      cascade: { minLogprob: -1, holdTokens: 16, maxEscalations: 2, maxSeconds: 10 },
      governor: { root: "/host", intervalMs: 500, maxWatts: 15 },
      memory: "6GiB",
    },
  ],
  ["an encoder", { tiers: [small, large], router: { kind: "encoder", model: "org/name", budgetMs: 20 } }],
  ["no governor, memory as a number", { tiers: [small], governor: false, memory: 2 ** 30 }],
  ["thresholds of a cascade by tier", { tiers: [small, large], cascade: { minLogprob: { small: -0.5 } } }],
  ["four tiers with thresholds", fourTiers([0.2, 0.5, 0.5])],
];

function fourTiers(thresholds?: readonly number[]): object {
  const tiers = ["a", "b", "c", "d"].map((name) => ({ name, model: `${name}.gguf` }));
  return { tiers, router: { kind: "linear", ...(thresholds && { thresholds }) } };
}

/** Configurations with one mistake, and where it is. */
const wrong: readonly (readonly [string, unknown, string])[] = [
  ["nothing", undefined, ""],
  ["a list", [], ""],
  ["no tiers", {}, "tiers"],
  ["an empty list of tiers", { tiers: [] }, "tiers"],
  ["17 tiers", { tiers: Array.from({ length: 17 }, (_, i) => ({ name: `t${i}`, model: "m" })) }, "tiers"],
  ["a tier that is text", { tiers: ["small.gguf"] }, "tiers[0]"],
  ["a tier that is null", { tiers: [small, null] }, "tiers[1]"],
  ["a tier without a model", { tiers: [small, { name: "large" }] }, "tiers[1].model"],
  ["a tier without a name", { tiers: [{ model: "small.gguf" }] }, "tiers[0].name"],
  ["an empty name", { tiers: [{ ...small, name: "" }] }, "tiers[0].name"],
  ["an unknown name in a tier", { tiers: [{ ...small, contextToken: 5 }] }, "tiers[0].contextToken"],
  ["an unknown name of defaults", { tiers: [{ ...small, defaults: { temp: 1 } }] }, "tiers[0].defaults.temp"],
  [
    "too high a temperature",
    { tiers: [{ ...small, defaults: { temperature: 101 } }] },
    "tiers[0].defaults.temperature",
  ],
  ["no turns", { tiers: [{ ...small, maxConcurrent: 0 }] }, "tiers[0].maxConcurrent"],
  ["half a page", { tiers: [{ ...small, pageTokens: 8 }] }, "tiers[0].pageTokens"],
  ["a negative CPU", { tiers: [{ ...small, cpuList: [0, -1] }] }, "tiers[0].cpuList[1]"],
  ["a remote tier that is no URL", { tiers: [{ ...cloud, url: "example" }] }, "tiers[0].url"],
  ["a local option of a remote tier", { tiers: [{ ...cloud, threads: 2 }] }, "tiers[0].threads"],
  ["the same name twice", { tiers: [small, { ...large, name: "small" }] }, "tiers[1].name"],
  ["an unknown name", { tiers: [small], cascades: {} }, "cascades"],
  ["a cascade that is true", { tiers: [small], cascade: true }, "cascade"],
  ["positive log-probabilities", { tiers: [small], cascade: { minLogprob: 1 } }, "cascade.minLogprob"],
  [
    "a threshold of a tier that is not there",
    { tiers: [small], cascade: { minLogprob: { small: -1, smal: -1 } } },
    "cascade.minLogprob.smal",
  ],
  ["no hold", { tiers: [small], cascade: { holdTokens: 0 } }, "cascade.holdTokens"],
  ["an unknown router", { tiers: [small], router: { kind: "quadratic" } }, "router.kind"],
  ["an encoder without a model", { tiers: [small], router: { kind: "encoder" } }, "router.model"],
  [
    "a threshold above 1",
    { tiers: [small, large], router: { kind: "linear", thresholds: [2] } },
    "router.thresholds[0]",
  ],
  [
    "too many thresholds",
    { tiers: [small, large], router: { kind: "linear", thresholds: [0.1, 0.2] } },
    "router.thresholds",
  ],
  ["falling thresholds", fourTiers([0.5, 0.4, 0.6]), "router.thresholds"],
  ["four tiers without thresholds", fourTiers(), "router.thresholds"],
  ["memory in words", { tiers: [small], memory: "much" }, "memory"],
  ["negative memory", { tiers: [small], memory: -1 }, "memory"],
  ["a governor that is true", { tiers: [small], governor: true }, "governor"],
  ["sampling without a break", { tiers: [small], governor: { intervalMs: 1 } }, "governor.intervalMs"],
];

describe("checkConfig", () => {
  test.each(fine)("takes %s", (_name, value) => {
    expect(checkConfig(value)).toHaveProperty("config");
  });

  test.each(wrong)("refuses %s and says where", (_name, value, path) => {
    const problems = problemsOf(value);
    expect(problems.map((problem) => problem.path)).toEqual([path]);
    expect(problems[0]?.expected).not.toMatch(/invalid|zod|undefined/i);
    expect(problems[0]?.received).not.toBe("");
  });

  test("finds all that is wrong at once", () => {
    const value = {
      tiers: [{ ...small, threads: "all", maxTokens: 0 }, 5, { ...cloud, url: 7, secret: 1 }],
      cascade: { holdTokens: 0.5, hold: 1 },
      router: { kind: "linear", file: "" },
      memory: {},
    };
    expect([...pathsOf(value)].sort()).toEqual([
      ...["cascade.hold", "cascade.holdTokens", "memory", "router.file", "tiers[0].maxTokens"],
      ...["tiers[0].threads", "tiers[1]", "tiers[2].secret", "tiers[2].url"],
    ]);
  });

  test("says what was expected and what was there", () => {
    expect(problemsOf({ tiers: [{ ...small, threads: "all" }] })).toEqual([
      { path: "tiers[0].threads", expected: "an integer from 1 to 1024", received: '"all"' },
    ]);
    expect(problemsOf(fourTiers([0.5, 0.4, 0.6]))).toEqual([
      { path: "router.thresholds", expected: "ascending numbers", received: "0.5, 0.4, 0.6" },
    ]);
  });

  test("fills in defaults", () => {
    expect(parseConfig({ tiers: [small, cloud] })).toMatchObject({
      tiers: [
        {
          ...{ kind: "local", name: "small", maxConcurrent: 4, maxWaiting: 64, idleUnloadSeconds: 300 },
          ...{ preload: false, defaults: {} },
        },
        { kind: "remote", name: "cloud" },
      ],
      router: { kind: "linear" },
      governor: { root: "", intervalMs: 1000 },
    });
    const { cascade, memory } = parseConfig({ tiers: [small] });
    expect({ cascade, memory }).toEqual({ cascade: undefined, memory: undefined });
    expect(parseConfig({ tiers: [small], cascade: {} }).cascade).toEqual({
      ...{ minLogprob: -1.2, holdTokens: 32, maxEscalations: 1, maxSeconds: 60 },
    });
  });

  test("leaves options of loadModel() that have no value to loadModel()", () => {
    const [tier] = parseConfig({ tiers: [small] }).tiers;
    for (const name of ["kv", "pageTokens", "maxBatchTokens", "prefixCache", "contextTokens"])
      expect(tier).not.toHaveProperty(name);
  });

  test("reads sizes of memory", () => {
    expect(parseConfig({ tiers: [small], memory: "6GiB" }).memory).toBe(6 * 2 ** 30);
    expect(parseConfig({ tiers: [small], memory: 1000 }).memory).toBe(1000);
  });
});

describe("parseConfig", () => {
  test("throws one error with all problems, and the first in its message", () => {
    const value = { tiers: [{ ...small, threads: 0 }], memory: "much" };
    let thrown: unknown;
    try {
      parseConfig(value, "air.config.json");
    } catch (error) {
      thrown = error;
    }
    expect(thrown).toBeInstanceOf(AirConfigError);
    const { code, message, problems } = thrown as AirConfigError;
    expect(code).toBe("AIR_ERR_CONFIG");
    expect(message).toBe(
      'expected a size such as 6GiB or a number of bytes for memory of air.config.json but received "much" (and 1 more)',
    );
    expect(problems).toHaveLength(2);
  });
});

describe("readConfig", () => {
  test("makes paths relative to the file's folder, and leaves absolute ones and names", async () => {
    mkdirSync(join(folder, "inner"), { recursive: true });
    const heads = join(folder, "heads.json");
    const file = write("inner/paths.json", {
      tiers: [
        { ...small, model: "../small.gguf", draft: "draft.gguf", heads, packCache: "packs" },
        { ...cloud, model: "big-model" },
      ],
      router: { kind: "linear", file: "router.json" },
    });
    const { tiers, router } = await readConfig(file);
    expect(tiers).toMatchObject([
      {
        model: join(folder, "small.gguf"),
        draft: join(folder, "inner", "draft.gguf"),
        heads,
        packCache: join(folder, "inner", "packs"),
      },
      { model: "big-model" },
    ]);
    expect(router).toMatchObject({ file: join(folder, "inner", "router.json") });
  });

  test("takes the model of an encoder for a path where it begins like one", async () => {
    const routerOf = async (model: string): Promise<ResolvedConfig["router"]> => {
      const file = write("encoder.json", { tiers: [small], router: { kind: "encoder", model } });
      return (await readConfig(file)).router;
    };
    expect(await routerOf("org/name")).toMatchObject({ model: "org/name", budgetMs: 50 });
    expect(await routerOf("./router")).toMatchObject({ model: join(folder, "router") });
    expect(await routerOf("../router")).toMatchObject({ model: join(folder, "..", "router") });
  });

  test("names the file that is missing, no JSON, or wrong", async () => {
    await expect(readConfig(join(folder, "none.json"))).rejects.toMatchObject({ code: "AIR_ERR_IO" });
    await expect(readConfig(write("half.json", '{"tiers": ['))).rejects.toMatchObject({
      code: "AIR_ERR_CONFIG",
      message: expect.stringMatching(/^expected JSON for .*half\.json but received /) as string,
    });
    await expect(readConfig(write("wrong.json", { tiers: [{ name: "a" }] }))).rejects.toMatchObject({
      code: "AIR_ERR_CONFIG",
      message: expect.stringMatching(
        /^expected a GGUF file for tiers\[0\]\.model of .*wrong\.json/,
      ) as string,
    });
  });
});

describe("configJsonSchema", () => {
  const schema: unknown = JSON.parse(JSON.stringify(configJsonSchema()));

  test.each(fine)("allows %s", (_name, value) => {
    expect(isValid(schema, JSON.parse(JSON.stringify(value)))).toBe(true);
  });

  /** What takes more than one value to tell, or a function. */
  const beyondSchemas =
    /not there|same name|too many thresholds|falling|without thresholds|memory in words|negative memory|no URL/;

  test.each(wrong.filter(([name, value]) => value !== undefined && !beyondSchemas.test(name)))(
    "forbids %s",
    (_name, value) => {
      expect(isValid(schema, value)).toBe(false);
    },
  );

  test("needs nothing but tiers", () => {
    expect(schema).toMatchObject({ type: "object", required: ["tiers"], additionalProperties: false });
  });
});
