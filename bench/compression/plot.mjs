// Draws bench/results/compression-*.json as SVG line charts in a folder, by default docs: kv-streaming.svg, perplexity by
// position of the three kinds of attention, and kv-memory.svg, memory over tokens of the steps of compression.
//   node bench/compression/plot.mjs [FOLDER]
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { colors, escape, text, tickStep } from "../svg.mjs";

const here = fileURLToPath(new URL(".", import.meta.url));
const folder = process.argv[2] ?? join(here, "../../docs");
const layout = { left: 64, top: 96, width: 620, height: 260, bottom: 56, right: 24 };
const lineColors = [colors.grey, colors.orange, colors.blue, colors.green];

const read = (name) => JSON.parse(readFileSync(join(here, "../results", `${name}.json`), "utf8"));

const streaming = read("compression-streaming-f16");
const { binTokens, model: streamedModel, segments } = streaming.settings;
save("kv-streaming.svg", {
  title: "Perplexity by position in the text (lower is better)",
  remark: `${streamedModel}, trained for 1024 tokens; ${segments} texts of 4096; ${streaming.date}`,
  xLabel: `position, in bins of ${binTokens} tokens`,
  yLabel: "perplexity",
  lines: streaming.curves.map(({ name, byPosition }) => ({
    name,
    points: byPosition.map((value, bin) => [(bin + 0.5) * binTokens, value]),
  })),
});

const memory = read("compression-memory");
/** What is drawn of the table, in its order. */
const drawn = ["f16", "int8", "int8, heads", "int8, window"];
save("kv-memory.svg", {
  title: "Memory without weights over tokens of a text",
  remark: `${memory.settings.model}: anonymous memory of the process, Node included; ${memory.machine.cpu}, ${memory.date}`,
  xLabel: "tokens",
  yLabel: "MiB",
  lines: memory.rows
    .filter(({ name }) => drawn.includes(name))
    .map(({ name, samples }) => ({
      name,
      points: samples.map(({ computedTokens, anonymousBytes }) => [computedTokens, anonymousBytes / 2 ** 20]),
    })),
});

function save(name, chart) {
  const path = join(folder, name);
  writeFileSync(path, draw(chart));
  process.stdout.write(`${path}\n`);
}

function draw({ title, remark, xLabel, yLabel, lines }) {
  const points = lines.flatMap((line) => line.points);
  const stepY = tickStep(Math.max(...points.map(([, value]) => value)));
  const topY = Math.ceil(Math.max(...points.map(([, value]) => value)) / stepY) * stepY;
  const widest = Math.max(...points.map(([position]) => position));
  const rightX = 2 ** Math.ceil(Math.log2(widest));
  const x = (position) => layout.left + (position / rightX) * layout.width;
  const y = (value) => layout.top + layout.height * (1 - value / topY);
  const width = layout.left + layout.width + layout.right;
  const height = layout.top + layout.height + layout.bottom;
  return [
    `<svg xmlns="http://www.w3.org/2000/svg" width="${width}" height="${height}" viewBox="0 0 ${width} ${height}"`,
    `  font-family="system-ui, sans-serif" font-size="12" fill="${colors.text}" role="img">`,
    `<title>${escape(title)}</title>`,
    `<rect width="${width}" height="${height}" fill="#ffffff"/>`,
    text(title, 16, 26, { weight: 600, size: 15 }),
    text(remark, 16, 45, { color: colors.faint }),
    ...lines.map(({ name }, order) => legendEntry(name, order)),
    ...ticksY(topY, stepY, width, y),
    ...Array.from({ length: 5 }, (_, tick) => {
      const position = (rightX * tick) / 4;
      return text(String(position), x(position), y(0) + 18, { anchor: "middle", color: colors.faint });
    }),
    text(xLabel, layout.left + layout.width / 2, y(0) + 38, { anchor: "middle", color: colors.faint }),
    `<text transform="translate(18 ${layout.top + layout.height / 2}) rotate(-90)" text-anchor="middle"` +
      ` fill="${colors.faint}">${escape(yLabel)}</text>`,
    ...lines.map((line, order) => polyline(line.points, lineColors[order], x, y)),
    "</svg>",
    "",
  ].join("\n");
}

function legendEntry(name, order) {
  const x = 16 + order * 170;
  return (
    `<line x1="${x}" x2="${x + 20}" y1="70" y2="70" stroke="${lineColors[order]}" stroke-width="3"/>` +
    text(name, x + 26, 74, {})
  );
}

function ticksY(top, step, width, y) {
  return Array.from({ length: Math.round(top / step) + 1 }, (_, tick) => {
    const at = y(tick * step).toFixed(1);
    return (
      `<line x1="${layout.left - 6}" x2="${width - layout.right}" y1="${at}" y2="${at}" stroke="${colors.grid}"/>` +
      text(String(Number((tick * step).toFixed(2))), layout.left - 12, Number(at) + 4, {
        anchor: "end",
        color: colors.faint,
      })
    );
  });
}

function polyline(points, color, x, y) {
  const path = points
    .map(([position, value]) => `${x(position).toFixed(1)},${y(value).toFixed(1)}`)
    .join(" ");
  return `<polyline points="${path}" fill="none" stroke="${color}" stroke-width="2.5"/>`;
}
