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

/** Rows in columns that are as wide as their widest cell, two spaces apart. */
export function table(
  rows: readonly (readonly string[])[],
  align: readonly ("left" | "right")[] = [],
): string {
  const widths: number[] = [];
  for (const row of rows)
    for (const [i, cell] of row.entries()) widths[i] = Math.max(widths[i] ?? 0, cell.length);
  const line = (row: readonly string[]) =>
    row
      .map((cell, i) => (align[i] === "right" ? cell.padStart(widths[i] ?? 0) : cell.padEnd(widths[i] ?? 0)))
      .join("  ")
      .trimEnd();
  return rows.map(line).join("\n");
}
