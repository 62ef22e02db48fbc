// Draws bench/results/speculation-*.json as an SVG line chart: node bench/speculation/plot.mjs [OUTPUT], by default
// docs/speculation.svg. One panel per draft model: speed-up over target-only generation by the number of draft tokens,
// measured (solid, with the range of the rounds) and predicted from measured costs (dashed), and the adaptive policy.
import { readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { colors, escape, text, tickStep } from "../svg.mjs";

const here = fileURLToPath(new URL(".", import.meta.url));
const resultsFolder = join(here, "../results");
const output = process.argv[2] ?? join(here, "../../docs/speculation.svg");

const domainColors = { prose: colors.blue, code: colors.orange, chat: colors.green };
const layout = {
  left: 64,
  top: 96,
  width: 300,
  height: 230,
  panelGap: 48,
  bottom: 64,
  right: 24,
  headingWidth: 500,
};

const panels = readdirSync(resultsFolder)
  .filter((name) => /^speculation-.*\.json$/.test(name))
  .map((name) => JSON.parse(readFileSync(join(resultsFolder, name), "utf8")))
  .filter(({ costs }) => costs !== undefined)
  .map((report) => ({ report, rows: report.sections.find(({ title }) => title === "Greedy")?.rows ?? [] }))
  .sort((a, b) => a.report.costs.draftMs - b.report.costs.draftMs);
if (panels.length === 0) {
  process.stderr.write(
    "expected bench/results/speculation-*.json of a draft model, which bench/speculation/suite.ts writes\n",
  );
  process.exit(2);
}
writeFileSync(output, draw());
process.stdout.write(`${output}\n`);

function draw() {
  const every = panels.flatMap(({ rows }) => rows);
  const highest = Math.max(1, ...every.flatMap((row) => [row.speedup.max, row.predictedSpeedup ?? 0]));
  const step = tickStep(highest);
  const top = Math.ceil((highest * 1.02) / step) * step;
  const mostTokens = Math.max(...every.map(({ draftTokens }) => draftTokens ?? 1));
  const panelsWidth = panels.length * (layout.width + layout.panelGap) - layout.panelGap;
  const width = Math.max(layout.left + panelsWidth + layout.right, layout.headingWidth);
  const height = layout.top + layout.height + layout.bottom;
  const y = (value) => layout.top + layout.height * (1 - value / top);
  const parts = [heading(panels[0].report), legend()];
  for (const [index, panel] of panels.entries()) {
    const left = layout.left + index * (layout.width + layout.panelGap);
    // One place more than there are numbers of draft tokens, for the adaptive policy.
    const x = (tokens) => left + ((tokens - 0.5) / (mostTokens + 1)) * layout.width;
    parts.push(axes({ left, x, y, top, step, mostTokens, isFirst: index === 0 }));
    for (const [domain, color] of Object.entries(domainColors)) {
      parts.push(
        drawDomain(
          panel.rows.filter(({ prompts }) => prompts === domain),
          color,
          x,
          y,
          mostTokens,
        ),
      );
    }
    const { report } = panel;
    const cost = (report.costs.draftMs / report.costs.rowMs[0]).toFixed(3);
    parts.push(
      text(`draft ${report.draft}, c = ${cost}`, left + layout.width / 2, height - 14, {
        anchor: "middle",
        weight: 600,
      }),
    );
  }
  return [
    `<svg xmlns="http://www.w3.org/2000/svg" width="${width}" height="${height}" viewBox="0 0 ${width} ${height}"`,
    `  font-family="system-ui, sans-serif" font-size="12" fill="${colors.text}" role="img">`,
    `<title>${escape("Speed-up by speculative decoding, by number of draft tokens")}</title>`,
    `<rect width="${width}" height="${height}" fill="#ffffff"/>`,
    ...parts,
    "</svg>",
    "",
  ].join("\n");
}

function heading({ machine, settings, date, target }) {
  const where = `${machine.cpu}, ${machine.isa}, ${settings.threads} threads, target ${target}, ${date}`;
  return [
    text("Greedy decoding with a draft model, speed over target-only", 16, 26, { weight: 600, size: 15 }),
    text(where, 16, 45, { color: colors.faint }),
  ].join("\n");
}

function legend() {
  const y = 66;
  const domains = Object.entries(domainColors).map(([domain, color], index) => {
    const x = 16 + index * 68;
    return `<rect x="${x}" y="${y - 5}" width="12" height="12" fill="${color}"/>${text(domain, x + 17, y + 5, {})}`;
  });
  const line = (x, dashes, label) =>
    `<line x1="${x}" x2="${x + 24}" y1="${y + 1}" y2="${y + 1}" stroke="${colors.text}" stroke-width="2"${dashes}/>` +
    text(label, x + 30, y + 5, {});
  return [...domains, line(230, "", "measured"), line(325, ' stroke-dasharray="5 4"', "predicted")].join(
    "\n",
  );
}

function axes({ left, x, y, top, step, mostTokens, isFirst }) {
  const parts = [];
  for (let tick = 0; tick <= top + step / 2; tick += step) {
    const at = y(tick).toFixed(1);
    const stroke = Math.abs(tick - 1) < 1e-9 ? colors.faint : colors.grid;
    parts.push(`<line x1="${left}" x2="${left + layout.width}" y1="${at}" y2="${at}" stroke="${stroke}"/>`);
    const label = `${Number(tick.toFixed(2))}x`;
    if (isFirst) parts.push(text(label, left - 8, Number(at) + 4, { anchor: "end", color: colors.faint }));
  }
  for (let tokens = 1; tokens <= mostTokens; tokens += 1) {
    parts.push(text(String(tokens), x(tokens), y(0) + 16, { anchor: "middle", color: colors.faint }));
  }
  parts.push(text("auto", x(mostTokens + 1), y(0) + 16, { anchor: "middle", color: colors.faint }));
  const middle = left + layout.width / 2;
  parts.push(text("draft tokens", middle, y(0) + 32, { anchor: "middle", color: colors.faint }));
  return parts.join("\n");
}

/** Both lines of a domain, the range of the rounds, and a diamond for the adaptive policy. */
function drawDomain(rows, color, x, y, mostTokens) {
  const fixed = rows.filter(({ draftTokens }) => draftTokens !== undefined);
  const path = (value) =>
    fixed.map((row) => `${x(row.draftTokens).toFixed(1)},${y(value(row)).toFixed(1)}`).join(" ");
  const line = (points, dashes) =>
    `<polyline points="${points}" fill="none" stroke="${color}" stroke-width="2"${dashes}/>`;
  const bars = fixed.map(({ draftTokens, speedup }) => {
    const at = x(draftTokens).toFixed(1);
    return (
      `<line x1="${at}" x2="${at}" y1="${y(speedup.min).toFixed(1)}" y2="${y(speedup.max).toFixed(1)}"` +
      ` stroke="${color}"/><circle cx="${at}" cy="${y(speedup.median).toFixed(1)}" r="3" fill="${color}"/>`
    );
  });
  const adaptive = rows.find(({ name }) => name === "adaptive");
  const diamond =
    adaptive === undefined
      ? ""
      : `<path d="M ${x(mostTokens + 1).toFixed(1)} ${(y(adaptive.speedup.median) - 6).toFixed(1)} l 6 6 l -6 6 l -6 -6 z"` +
        ` fill="${color}"/>`;
  return [
    line(
      path(({ speedup }) => speedup.median),
      "",
    ),
    line(
      path(({ predictedSpeedup }) => predictedSpeedup),
      ' stroke-dasharray="5 4" opacity="0.7"',
    ),
    ...bars,
    diamond,
  ].join("\n");
}
