// Draws bench/results/cpu-*.json as an SVG bar chart: node bench/plot.mjs [OUTPUT], by default docs/performance.svg.
// Bars are speeds relative to node-llama-cpp on the same file, which is 1; each bar carries its own rate.
import { readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { colors, escape, text, tickStep } from "./svg.mjs";

const here = fileURLToPath(new URL(".", import.meta.url));
const resultsFolder = join(here, "results");
const output = process.argv[2] ?? join(here, "../docs/performance.svg");

/**
 * The tests that are drawn, from left to right. Memory is no speed, and the peer beside a busy loop is so slow that its
 * ratio would flatten all others; both are in the tables.
 */
const tests = [
  { name: "decode", title: () => "decode" },
  { name: "prefill", title: ({ promptTokens }) => `prefill, ${promptTokens} tokens` },
  { name: "deep-q8_0", title: ({ depth }) => `decode at depth ${depth}, 8-bit KV` },
];

const layout = { left: 64, top: 92, plotHeight: 220, bar: 34, gap: 22, panelGap: 56, bottom: 76, right: 24 };

const results = readdirSync(resultsFolder)
  .filter((name) => /^cpu-.*\.json$/.test(name))
  .map((name) => JSON.parse(readFileSync(join(resultsFolder, name), "utf8")))
  .sort((a, b) => (rowOf(b, "decode")?.air.median ?? 0) - (rowOf(a, "decode")?.air.median ?? 0));
if (results.length === 0) {
  process.stderr.write("expected bench/results/cpu-*.json, which bench/peers/suite.mjs writes\n");
  process.exit(2);
}
writeFileSync(output, draw(results));
process.stdout.write(`${output}\n`);

function rowOf(result, test) {
  return result.rows.find((row) => row.test === test);
}

/** One panel per test, one pair of bars per model. */
function draw(files) {
  const panels = tests
    .map(({ name, title }) => ({
      title: title(files[0].settings),
      pairs: files.flatMap((file) => {
        const row = rowOf(file, name);
        return row === undefined ? [] : [{ model: file.model, row }];
      }),
    }))
    .filter(({ pairs }) => pairs.length > 0);
  const highest = Math.max(...panels.flatMap(({ pairs }) => pairs.map(({ row }) => row.ratio)), 1);
  const step = tickStep(highest);
  const top = Math.ceil((highest * 1.05) / step) * step;
  const pairWidth = 2 * layout.bar + layout.gap;
  const panelWidths = panels.map(({ title, pairs }) => Math.max(pairs.length * pairWidth, title.length * 8));
  const width =
    layout.left +
    panelWidths.reduce((sum, panel) => sum + panel, 0) +
    (panels.length - 1) * layout.panelGap +
    layout.right;
  const height = layout.top + layout.plotHeight + layout.bottom;
  const y = (value) => layout.top + layout.plotHeight * (1 - value / top);

  const parts = [heading(files[0]), legend(files[0].peer), axis(top, step, width, y)];
  let left = layout.left + layout.gap / 2;
  for (const [index, { title, pairs }] of panels.entries()) {
    const middle = left + panelWidths[index] / 2;
    const first = middle - (pairs.length * pairWidth - layout.gap) / 2;
    for (const [order, pair] of pairs.entries()) parts.push(drawPair(pair, first + order * pairWidth, y));
    parts.push(text(title, middle, height - 16, { anchor: "middle", weight: 600 }));
    left += panelWidths[index] + layout.panelGap;
  }
  return [
    `<svg xmlns="http://www.w3.org/2000/svg" width="${width}" height="${height}" viewBox="0 0 ${width} ${height}"`,
    `  font-family="system-ui, sans-serif" font-size="12" fill="${colors.text}" role="img">`,
    `<title>Speed of air-runtime relative to ${escape(files[0].peer)}</title>`,
    `<rect width="${width}" height="${height}" fill="#ffffff"/>`,
    ...parts,
    "</svg>",
    "",
  ].join("\n");
}

function heading({ machine, settings, date }) {
  const where = `${machine.cpu}, ${machine.isa}, ${settings.threads} threads, medians, ${date}`;
  return [
    text("Speed on the same file, relative to the peer (higher is better)", 16, 26, {
      weight: 600,
      size: 15,
    }),
    text(where, 16, 45, { color: colors.faint }),
  ].join("\n");
}

function legend(peer) {
  const y = 62;
  return [
    `<rect x="16" y="${y - 1}" width="12" height="12" fill="${colors.blue}"/>`,
    text("air-runtime", 33, y + 9, {}),
    `<rect x="116" y="${y - 1}" width="12" height="12" fill="${colors.grey}"/>`,
    text(`${peer} = 1`, 133, y + 9, {}),
    text("numbers on bars: tokens per second", 300, y + 9, { color: colors.faint }),
  ].join("\n");
}

function axis(top, step, width, y) {
  const lines = [];
  for (let tick = 0; tick <= top + step / 2; tick += step) {
    const at = y(tick).toFixed(1);
    lines.push(
      `<line x1="${layout.left - 6}" x2="${width - layout.right}" y1="${at}" y2="${at}" stroke="${colors.grid}"/>`,
    );
    lines.push(
      text(`${Number(tick.toFixed(2))}x`, layout.left - 12, Number(at) + 4, {
        anchor: "end",
        color: colors.faint,
      }),
    );
  }
  const middle = layout.top + layout.plotHeight / 2;
  lines.push(
    `<text transform="translate(18 ${middle}) rotate(-90)" text-anchor="middle" fill="${colors.faint}">` +
      "speed over the peer's</text>",
  );
  return lines.join("\n");
}

/** Our bar, the peer's bar, what each does per second, and the model's name. */
function drawPair({ model, row }, left, y) {
  const bar = (x, value, color, rate) => [
    `<rect x="${x}" y="${y(value).toFixed(1)}" width="${layout.bar - 2}"` +
      ` height="${(y(0) - y(value)).toFixed(1)}" fill="${color}"/>`,
    text(formatRate(rate), x + layout.bar / 2 - 1, y(value) - 4, { anchor: "middle", size: 11 }),
  ];
  const middle = left + layout.bar - 1;
  return [
    ...bar(left, row.ratio, colors.blue, row.air.median),
    ...bar(left + layout.bar, 1, colors.grey, row.peer.median),
    text(model, middle, y(0) + 16, { anchor: "middle", size: 11 }),
    text(`${row.ratio.toFixed(2)}x`, middle, y(0) + 31, { anchor: "middle", weight: 600 }),
  ].join("\n");
}

function formatRate(rate) {
  return rate >= 100 ? rate.toFixed(0) : rate.toPrecision(3);
}
