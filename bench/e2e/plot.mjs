// Draws bench/results/e2e.json as an SVG in a folder, by default docs: e2e.svg, tokens per second and latency of each row.
//   node bench/e2e/plot.mjs [FOLDER]
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { colors, escape, text } from "../svg.mjs";

const here = fileURLToPath(new URL(".", import.meta.url));
const folder = process.argv[2] ?? join(here, "../../docs");
const { rows, machine, date, requests } = JSON.parse(readFileSync(join(here, "../results/e2e.json"), "utf8"));

const rowHeight = 34;
const top = 92;
const labels = 16;
const panels = [
  {
    title: "median tokens/s of a request",
    left: 176,
    width: 220,
    color: colors.blue,
    value: (row) => row.medianTokensPerSecond,
    digits: 1,
  },
  {
    title: "seconds of a request, p90",
    left: 470,
    width: 170,
    color: colors.orange,
    value: (row) => row.latency.p90,
    digits: 2,
  },
];
const width = 720;
const height = top + rows.length * rowHeight + 20;
const bars = panels.flatMap(({ title, left, width: full, color, value, digits }) => {
  const largest = Math.max(...rows.map(value));
  return [
    text(title, left, top - 14, { weight: 600 }),
    ...rows.flatMap((row, order) => {
      const y = top + order * rowHeight;
      const length = (value(row) / largest) * full;
      return [
        `<rect x="${left}" y="${y}" width="${length.toFixed(1)}" height="20" rx="2" fill="${color}"/>`,
        text(value(row).toFixed(digits), left + length + 6, y + 15, {}),
      ];
    }),
  ];
});
const title = "One mixed workload, each technique alone and together";
const remark = `${requests} requests, 60% simple, 30% demanding, 10% hard; tiers of 135M, 1.1B and 3B shapes; ${machine.cpu}, ${date}`;
const svg = [
  `<svg xmlns="http://www.w3.org/2000/svg" width="${width}" height="${height}" viewBox="0 0 ${width} ${height}"`,
  `  font-family="system-ui, sans-serif" font-size="12" fill="${colors.text}" role="img">`,
  `<title>${escape(title)}</title>`,
  `<rect width="${width}" height="${height}" fill="#ffffff"/>`,
  text(title, 16, 26, { weight: 600, size: 15 }),
  text(remark, 16, 45, { color: colors.faint, size: 11 }),
  ...rows.map(({ name }, order) => text(name, labels, top + order * rowHeight + 15, {})),
  ...bars,
  "</svg>",
  "",
].join("\n");
const path = join(folder, "e2e.svg");
writeFileSync(path, svg);
process.stdout.write(`${path}\n`);
