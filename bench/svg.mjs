// Pieces of SVG charts.

export const colors = {
  text: "#1f2328",
  faint: "#656d76",
  grid: "#d8dee4",
  blue: "#0969da",
  grey: "#9aa4b2",
  green: "#1a7f37",
  orange: "#bc4c00",
};

/** 1, 2 or 5 times a power of ten, for about five ticks. */
export function tickStep(highest) {
  const rough = highest / 5;
  const power = 10 ** Math.floor(Math.log10(rough));
  return [1, 2, 5, 10].map((factor) => factor * power).find((step) => step >= rough) ?? 10 * power;
}

export function text(content, x, y, { anchor = "start", weight = 400, size = 12, color = colors.text }) {
  return (
    `<text x="${Number(x.toFixed(1))}" y="${Number(y.toFixed(1))}" text-anchor="${anchor}"` +
    ` font-weight="${weight}" font-size="${size}" fill="${color}">${escape(content)}</text>`
  );
}

export function escape(content) {
  return content.replaceAll("&", "&amp;").replaceAll("<", "&lt;").replaceAll(">", "&gt;");
}
