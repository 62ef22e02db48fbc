/** Spoils bodies of requests at random places. */
import type { Dice } from "./dice.js";

/** Values that a field of another kind may get. */
const strangers: readonly (() => unknown)[] = [
  () => null,
  () => true,
  () => -1,
  () => 0.5,
  () => 1e308,
  () => Number.MAX_SAFE_INTEGER,
  () => "",
  () => "x",
  () => "\u0000\ud800",
  () => "y".repeat(5000),
  () => [],
  () => [[]],
  () => ({}),
  () => ({ type: "text" }),
  () => [null],
  () => Array.from({ length: 200 }, () => 0),
  () => JSON.parse(`${"[".repeat(60)}${"]".repeat(60)}`) as unknown,
  () =>
    JSON.parse('{"__proto__":{"polluted":true},"constructor":{"prototype":{"polluted":true}}}') as unknown,
  () => ({ $ref: "#" }),
  () => ({ type: "object", properties: { a: { $ref: "#/nowhere" } } }),
  () => ({ anyOf: [] }),
  () => ({ pattern: "(((a*)*)*)*$" }),
];

type Place = readonly [Record<string, unknown> | unknown[], string | number];

/** Every place in a value where something could be put. */
function placesOf(value: unknown): Place[] {
  if (Array.isArray(value)) {
    const items = value as unknown[];
    return items.flatMap((item, index): Place[] => [[items, index], ...placesOf(item)]);
  }
  if (typeof value !== "object" || value === null) return [];
  const record = value as Record<string, unknown>;
  return Object.entries(record).flatMap(([key, item]): Place[] => [[record, key], ...placesOf(item)]);
}

/** The body with one to three of its values changed, moved or left out. */
function mutateValue(body: unknown, dice: Dice): unknown {
  const copy = structuredClone(body);
  for (let changes = 1 + dice(3); changes > 0; changes -= 1) {
    const places = placesOf(copy);
    const place = places[dice(places.length)];
    if (place === undefined) break;
    const [holder, key] = place as [Record<string | number, unknown>, string | number];
    const kind = dice(10);
    if (kind === 0) Reflect.deleteProperty(holder, key);
    else if (kind === 1) {
      const [from, name] = places[dice(places.length)] ?? place;
      holder[key] = structuredClone((from as Record<string | number, unknown>)[name]);
    } else holder[key] = strangers[dice(strangers.length)]?.();
  }
  return copy;
}

/** The bytes with one to four of them changed, doubled or left out. */
function mutateBytes(bytes: Uint8Array, dice: Dice): Uint8Array {
  const list = [...bytes];
  for (let changes = 1 + dice(4); changes > 0; changes -= 1) {
    const index = dice(list.length);
    const kind = dice(4);
    if (kind === 0) list.splice(index, 1 + dice(20));
    else if (kind === 1) list.splice(index, 0, ...list.slice(index, index + dice(20)));
    else list[index] = kind === 2 ? dice(256) : `{}[]",:0\\`.charCodeAt(dice(10)) | 0;
  }
  return Uint8Array.from(list);
}

/** A spoilt body: its values, its bytes, or both. */
export function mutateBody(body: unknown, dice: Dice): Uint8Array {
  const kind = dice(3);
  const value = kind === 0 ? body : mutateValue(body, dice);
  const bytes = Buffer.from(JSON.stringify(value));
  return kind === 1 || bytes.length === 0 ? bytes : mutateBytes(bytes, dice);
}
