/** Rows of text in columns; the first row is the head. */
export function textTable(rows, numbers = []) {
  const widths = rows[0].map((_, column) => Math.max(...rows.map((row) => String(row[column] ?? "").length)));
  return rows
    .map((row) =>
      row
        .map((cell, column) => {
          const text = String(cell ?? "");
          return numbers.includes(column) ? text.padStart(widths[column]) : text.padEnd(widths[column]);
        })
        .join("  ")
        .trimEnd(),
    )
    .join("\n");
}
