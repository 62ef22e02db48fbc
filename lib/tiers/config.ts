import path from "node:path";

import { z } from "zod";

import { AirError, describeValue } from "../errors/air-error.js";
import { readTextFile } from "../util/text-file.js";
import { integerFrom, numberFrom, pathName, valueAt, without } from "../util/options.js";
import { parseBytes } from "../util/quantities.js";
import { type LocalTierConfig, localTierSchema } from "./local-options.js";
import { remoteTierSchema, type ResolvedRemoteTierOptions } from "./remote/remote-options.js";

const thresholdsSchema = z.array(numberFrom(0, 1), "an array of numbers from 0 to 1").optional();

const routerSchema = z.discriminatedUnion(
  "kind",
  [
    z.strictObject({
      kind: z.literal("linear"),
      file: z
        .string("a router file")
        .min(1, "a router file")
        .optional()
        .describe("Router file of `air router train`. Default: the one that comes with air"),
      thresholds: thresholdsSchema.describe(
        "Scores from which the next larger tier answers, one fewer than tiers. Default: the file's",
      ),
    }),
    z.strictObject({
      kind: z.literal("encoder"),
      model: z
        .string("a model")
        .min(1, "a model")
        .describe(
          "Folder or name of an ONNX text classifier with three classes; needs @huggingface/transformers",
        ),
      budgetMs: numberFrom(1, 10_000)
        .default(50)
        .describe("Milliseconds after which the linear classifier decides instead"),
      thresholds: thresholdsSchema,
    }),
  ],
  { error: 'an object with kind "linear" or "encoder"' },
);

const cascadeSchema = z.strictObject(
  {
    minLogprob: z
      .union(
        [numberFrom(-100, 0), z.record(z.string(), numberFrom(-100, 0))],
        "a number from -100 to 0, or one for each tier by name",
      )
      .default(-1.2)
      .describe(
        "Mean log-probability in nats under which an answer is not trusted: of all tiers, or by tier; `air config cascade` finds it",
      ),
    holdTokens: integerFrom(1, 65_536)
      .default(32)
      .describe("Tokens after which an answer that is trusted so far is handed out"),
    maxEscalations: integerFrom(1, 16).default(1).describe("Most escalations of one request"),
    maxSeconds: numberFrom(0, 86_400)
      .default(60)
      .describe("Seconds that all attempts of a request may take before the last one is begun"),
  },
  "an object",
);

const governorSchema = z.strictObject(
  {
    root: z
      .string("a folder")
      .default("")
      .describe("Folder that holds sys/ and proc/, for containers that mount the host's elsewhere"),
    intervalMs: integerFrom(50, 3_600_000).default(1000),
    maxWatts: numberFrom(0.1, 10_000)
      .optional()
      .describe(
        "Watts that the board may draw for long; near it, as near the limit of heat. Default: no limit",
      ),
  },
  "an object",
);

const memorySchema = z
  .union([z.number(), z.string()], "a size such as 6GiB or a number of bytes")
  .transform((value, context) => {
    try {
      return parseBytes("memory", String(value));
    } catch {
      context.addIssue({ code: "custom", message: "a size such as 6GiB or a number of bytes" });
      return z.NEVER;
    }
  });

const maxTiers = 16;
const tierExpected = "an object with a model, or with a url and a model";

const frameSchema = z.strictObject(
  {
    $schema: z.string().optional(),
    tiers: z
      .array(z.looseObject({}, tierExpected), "an array of tiers")
      .min(1, "at least one tier")
      .max(maxTiers, `at most ${maxTiers} tiers`)
      .describe("The smallest first"),
    router: routerSchema.prefault({ kind: "linear" }),
    cascade: cascadeSchema
      .optional()
      .describe("Hands answers that a small tier is not sure of to the next one; off by default"),
    governor: z
      .union([z.literal(false), governorSchema], "false or an object")
      .prefault({})
      .describe("Watches heat and memory; false switches it off"),
    memory: memorySchema
      .optional()
      .describe("Memory for all local models together. Default: what is available"),
  },
  "an object",
);

/** Of the JSON schema: the same, with tiers spelled out. */
const documentSchema = frameSchema.extend({
  tiers: z
    .array(z.union([localTierSchema, remoteTierSchema]))
    .min(1)
    .max(maxTiers),
});

/** What `AirRuntime.create()` and configuration files take; see docs/configuration.md. */
export type AirConfig = z.input<typeof documentSchema>;

export type TierConfig =
  ({ readonly kind: "local" } & LocalTierConfig) | ({ readonly kind: "remote" } & ResolvedRemoteTierOptions);

/** A configuration with defaults. */
export interface ResolvedConfig extends Omit<z.output<typeof frameSchema>, "tiers" | "$schema"> {
  readonly tiers: readonly TierConfig[];
}

/** Something wrong in a configuration. */
export interface ConfigProblem {
  /** Such as `tiers[1].model`; empty for the whole. */
  readonly path: string;
  readonly expected: string;
  readonly received: string;
}

/** One problem for each value, however many checks it fails. */
function problemsOf(error: z.ZodError, value: unknown, prefix: readonly PropertyKey[]): ConfigProblem[] {
  const problems = error.issues.flatMap((issue): ConfigProblem[] => {
    const keys = [...prefix, ...issue.path];
    if (issue.code === "unrecognized_keys") {
      return issue.keys.map((key) => ({
        path: pathName([...keys, key]),
        expected: "only documented names",
        received: describeValue(key),
      }));
    }
    return [
      {
        path: pathName(keys),
        expected: issue.message,
        received: describeValue(valueAt(value, issue.path)),
      },
    ];
  });
  return problems.filter(
    ({ path: place }, index) => problems.findIndex(({ path: other }) => other === place) === index,
  );
}

function parseTier(
  value: Readonly<Record<string, unknown>>,
): { readonly tier: TierConfig } | { readonly error: z.ZodError } {
  if ("url" in value) {
    const parsed = remoteTierSchema.safeParse(value);
    return parsed.success ? { tier: { kind: "remote", ...parsed.data } } : { error: parsed.error };
  }
  const parsed = localTierSchema.safeParse(value);
  return parsed.success ? { tier: { kind: "local", ...parsed.data } } : { error: parsed.error };
}

function crossChecks(
  tiers: readonly TierConfig[],
  thresholds: readonly number[] | undefined,
): ConfigProblem[] {
  const problems: ConfigProblem[] = [];
  for (const [index, { name }] of tiers.entries()) {
    if (tiers.findIndex((tier) => tier.name === name) === index) continue;
    problems.push({
      path: `tiers[${index}].name`,
      expected: "a name that no other tier has",
      received: describeValue(name),
    });
  }
  const path = "router.thresholds";
  if (thresholds === undefined) {
    if (tiers.length > 3) {
      const expected = `${tiers.length - 1} thresholds, as there are more than three tiers`;
      problems.push({ path, expected, received: "none" });
    }
  } else if (thresholds.length !== tiers.length - 1) {
    const expected = `${tiers.length - 1} thresholds, one fewer than tiers`;
    problems.push({ path, expected, received: String(thresholds.length) });
  } else if (thresholds.some((value, index) => value < (thresholds[index - 1] ?? 0))) {
    problems.push({ path, expected: "ascending numbers", received: thresholds.join(", ") });
  }
  return problems;
}

/** Thresholds of tiers that are not there would have no effect. */
function unknownTiers(
  tiers: readonly TierConfig[],
  minLogprob: number | Readonly<Record<string, number>> | undefined,
): ConfigProblem[] {
  const names = typeof minLogprob === "object" ? Object.keys(minLogprob) : [];
  const expected = `the name of a tier (${tiers.map(({ name }) => name).join(", ")})`;
  return names
    .filter((name) => !tiers.some((tier) => tier.name === name))
    .map((name) => ({
      path: pathName(["cascade", "minLogprob", name]),
      expected,
      received: describeValue(name),
    }));
}

/** Checks a configuration: the resolved one, or all that is wrong. */
export function checkConfig(
  value: unknown,
): { readonly config: ResolvedConfig } | { readonly problems: readonly ConfigProblem[] } {
  const frame = frameSchema.safeParse(value);
  const problems = frame.success ? [] : problemsOf(frame.error, value, []);
  const given: unknown =
    typeof value === "object" && value !== null ? Reflect.get(value, "tiers") : undefined;
  const tiers: TierConfig[] = [];
  for (const [index, tier] of (Array.isArray(given) ? (given as unknown[]) : []).entries()) {
    if (typeof tier !== "object" || tier === null) continue; // the frame has complained
    const parsed = parseTier(tier as Readonly<Record<string, unknown>>);
    if ("tier" in parsed) tiers.push(parsed.tier);
    else problems.push(...problemsOf(parsed.error, tier, ["tiers", index]));
  }
  if (!frame.success || problems.length > 0) return { problems };
  const { router, cascade } = frame.data;
  problems.push(...crossChecks(tiers, router.thresholds), ...unknownTiers(tiers, cascade?.minLogprob));
  if (problems.length > 0) return { problems };
  return { config: { ...without(frame.data, ["$schema", "tiers"]), tiers } };
}

/** A configuration that cannot be used, with all that is wrong with it. */
export class AirConfigError extends AirError {
  override readonly name = "AirConfigError";
  readonly problems: readonly ConfigProblem[];

  /** @param subject - where the configuration comes from */
  constructor(subject: string, problems: readonly ConfigProblem[]) {
    const [first = { path: "", expected: "a configuration", received: "another" }, ...more] = problems;
    const { path: where, expected, received } = first;
    const place = where === "" ? subject : `${where} of ${subject}`;
    const rest = more.length === 0 ? "" : ` (and ${more.length} more)`;
    super("AIR_ERR_CONFIG", `expected ${expected} for ${place} but received ${received}${rest}`);
    this.problems = problems;
  }
}

/**
 * Checks a configuration.
 *
 * @param subject - where it comes from, for messages
 * @throws {AirConfigError} AIR_ERR_CONFIG
 */
export function parseConfig(value: unknown, subject = "the configuration"): ResolvedConfig {
  const checked = checkConfig(value);
  if ("config" in checked) return checked.config;
  throw new AirConfigError(subject, checked.problems);
}

/** The model of an encoder may be a name, too: it is a path where it begins like one. */
function resolveRouter(
  router: ResolvedConfig["router"],
  absolute: (file: string) => string,
): ResolvedConfig["router"] {
  if (router.kind === "encoder")
    return /^\.{1,2}[\\/]/.test(router.model) ? { ...router, model: absolute(router.model) } : router;
  return router.file === undefined ? router : { ...router, file: absolute(router.file) };
}

/** Paths of a configuration file are relative to its folder. */
function resolvePaths(config: ResolvedConfig, folder: string): ResolvedConfig {
  const absolute = (file: string): string => path.resolve(folder, file);
  return {
    ...config,
    router: resolveRouter(config.router, absolute),
    tiers: config.tiers.map((tier): TierConfig => {
      if (tier.kind === "remote") return tier;
      const { model, draft, heads, packCache } = tier;
      return {
        ...tier,
        model: absolute(model),
        ...(draft !== undefined && { draft: absolute(draft) }),
        ...(heads !== undefined && { heads: absolute(heads) }),
        ...(packCache !== undefined && { packCache: absolute(packCache) }),
      };
    }),
  };
}

/** The JSON of a configuration file. @throws {AirError} AIR_ERR_IO, AIR_ERR_CONFIG when it is no JSON */
export async function readConfigJson(file: string): Promise<unknown> {
  const text = await readTextFile(file, "a readable configuration");
  try {
    return JSON.parse(text) as unknown;
  } catch (cause) {
    throw new AirError("AIR_ERR_CONFIG", `expected JSON for ${file} but received ${String(cause)}`, {
      cause,
    });
  }
}

/**
 * Reads a configuration file; its paths are relative to its folder.
 *
 * @throws {AirError} AIR_ERR_IO, AIR_ERR_CONFIG
 */
export async function readConfig(file: string): Promise<ResolvedConfig> {
  return resolvePaths(parseConfig(await readConfigJson(file), file), path.dirname(path.resolve(file)));
}

/** The JSON schema of configuration files, for editors. */
export function configJsonSchema(): object {
  return z.toJSONSchema(documentSchema, { io: "input", unrepresentable: "any" });
}
