import { z } from "zod";

import { invalidArgument } from "../errors/air-error.js";

/** A number in [min, max]; the message of its issues is the expectation in words. */
export function numberFrom(min: number, max: number): z.ZodNumber {
  const expected = `a number from ${min} to ${max}`;
  return z.number(expected).min(min, expected).max(max, expected);
}

/** An integer in [min, max]; the message of its issues is the expectation in words. */
export function integerFrom(min: number, max: number = Number.MAX_SAFE_INTEGER): z.ZodNumber {
  const range = max === Number.MAX_SAFE_INTEGER ? `of at least ${min}` : `from ${min} to ${max}`;
  const expected = `an integer ${range}`;
  return z.number(expected).int(expected).min(min, expected).max(max, expected);
}

/** What is at a path within a value; undefined where there is nothing. */
export function valueAt(value: unknown, path: readonly PropertyKey[]): unknown {
  return path.reduce<unknown>(
    (inner, key) => (typeof inner === "object" && inner !== null ? Reflect.get(inner, key) : undefined),
    value,
  );
}

/** `stop[1]` for ["stop", 1]. */
export function pathName(path: readonly PropertyKey[]): string {
  return path
    .map((key, index) => (typeof key === "number" ? `[${key}]` : (index > 0 ? "." : "") + String(key)))
    .join("");
}

/**
 * Validates options against a schema whose issue messages are expectations ("a number from 0 to 1").
 *
 * @param subject - what the options belong to, for messages about the object itself
 * @throws {AirArgumentError} AIR_ERR_ARGUMENT "expected a number from 0 to 1 for topP but received 3"
 */
export function parseOptions<Schema extends z.ZodType>(
  schema: Schema,
  value: unknown,
  subject: string,
): z.output<Schema> {
  const parsed = schema.safeParse(value);
  if (parsed.success) return parsed.data;
  const issue = parsed.error.issues[0];
  if (issue === undefined) throw invalidArgument(subject, "valid options", value);
  if (issue.code === "unrecognized_keys") {
    throw invalidArgument(subject, "only documented option names", issue.keys[0]);
  }
  const name = issue.path.length === 0 ? subject : pathName(issue.path);
  throw invalidArgument(name, issue.message, valueAt(value, issue.path));
}

/**
 * The options of these names that are given. Absent ones stay absent, so that defaults hold where the result goes.
 *
 * @example
 * createRunner(model, arena, { maxTokens, ...pickGiven(options, ["threads", "cpuList", "priority"]) });
 */
export function pickGiven<Options extends object, Name extends keyof Options>(
  options: Options,
  names: readonly Name[],
): { [Key in Name]?: Exclude<Options[Key], undefined> } {
  const given: { [Key in Name]?: Exclude<Options[Key], undefined> } = {};
  for (const name of names) {
    const value = options[name];
    if (value !== undefined) given[name] = value as Exclude<Options[Name], undefined>;
  }
  return given;
}

/** The object without these names. */
export function without<Options extends object, Name extends keyof Options>(
  options: Options,
  names: readonly Name[],
): Omit<Options, Name> {
  const rest = { ...options };
  for (const name of names) Reflect.deleteProperty(rest, name);
  return rest;
}
