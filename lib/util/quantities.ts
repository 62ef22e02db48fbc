import { invalidArgument } from "../errors/air-error.js";

const byteUnits = ["B", "KiB", "MiB", "GiB", "TiB"] as const;
const countUnits = ["", "K", "M", "B", "T"] as const;

function scaled(
  value: number,
  base: number,
  units: readonly string[],
): { readonly text: string; readonly unit: string } {
  let power = 0;
  let rest = value;
  while (rest >= base && power < units.length - 1) {
    rest /= base;
    power += 1;
  }
  return { text: power === 0 ? String(rest) : rest.toFixed(rest < 10 ? 2 : 1), unit: units[power] ?? "" };
}

/** 5391424 as "5.14 MiB". */
export function formatBytes(bytes: number): string {
  const { text, unit } = scaled(bytes, 1024, byteUnits);
  return `${text} ${unit}`;
}

/** 8392960 as "8.39M". */
export function formatCount(count: number): string {
  const { text, unit } = scaled(count, 1000, countUnits);
  return `${text}${unit}`;
}

const unitBytes: Readonly<Record<string, number>> = {
  "": 1,
  b: 1,
  ...Object.fromEntries(["k", "m", "g", "t"].map((letter, i) => [`${letter}ib`, 1024 ** (i + 1)])),
  ...Object.fromEntries(["k", "m", "g", "t"].map((letter, i) => [`${letter}b`, 1000 ** (i + 1)])),
};

/**
 * Bytes of "8GiB" (powers of 1024), "8GB" (powers of 1000), "1.5 GiB" or "123456"; letters in either case.
 * @throws {AirArgumentError} AIR_ERR_ARGUMENT naming the subject
 */
export function parseBytes(subject: string, text: string): number {
  const [, number = "", unit = ""] = /^(\d+(?:\.\d+)?)\s*([a-z]*)$/i.exec(text.trim()) ?? [];
  const bytes = Math.floor(Number(number) * (unitBytes[unit.toLowerCase()] ?? Number.NaN));
  if (number === "" || !(bytes >= 1) || !Number.isSafeInteger(bytes)) {
    throw invalidArgument(subject, "a size such as 8GiB, 8GB, 512MiB or a number of bytes", text);
  }
  return bytes;
}
