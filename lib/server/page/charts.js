import { drawing, element, setText } from "./dom.js";

/** A line over time, drawn as a recorder's pen does. What it says stands beside it in words. */
export class Trace {
  #line = drawing("polyline", { class: "trace-line", points: "" });
  #pen = drawing("circle", { class: "trace-pen", r: 1.8 });
  #top = drawing("text", { class: "trace-top", x: 2, y: 8 });

  /**
   * @param {number} width - in units of the drawing
   * @param {number} height
   */
  constructor(width, height) {
    this.width = width;
    this.height = height;
    const grid = Array.from({ length: 7 }, (_, index) => {
      const x = ((index + 1) * width) / 8;
      return drawing("line", { class: "trace-grid", x1: x, x2: x, y1: 0, y2: height });
    });
    this.element = drawing(
      "svg",
      { class: "trace", viewBox: `0 0 ${width} ${height}`, "aria-hidden": "true" },
      ...[...grid, this.#line, this.#pen, this.#top],
    );
    this.#pen.setAttribute("visibility", "hidden");
  }

  /**
   * Draws values from the left; the highest reaches the top.
   *
   * @param {readonly number[]} values
   * @param {{ slots?: number, label?: string }} options - slots: values that fill the width
   */
  draw(values, { slots = values.length, label = "" } = {}) {
    const highest = Math.max(1e-9, ...values);
    const step = this.width / Math.max(1, slots - 1);
    const offset = this.width - step * (values.length - 1);
    const points = values.map((value, index) => {
      const x = slots === values.length ? index * step : offset + index * step;
      return [x, this.height - 2 - (value / highest) * (this.height - 6)];
    });
    this.#line.setAttribute("points", points.map((point) => point.map((at) => at.toFixed(1)).join()).join(" "));
    const [x = 0, y = 0] = points.at(-1) ?? [];
    this.#pen.setAttribute("visibility", points.length > 0 ? "visible" : "hidden");
    this.#pen.setAttribute("cx", String(Math.min(x, this.width - 2)));
    this.#pen.setAttribute("cy", String(y));
    setText(this.#top, label);
  }
}

/** A scale with a mark on it, and another where it gets serious. */
export class Scale {
  #mark = element("span", { class: "scale-mark" });
  #limit = element("span", { class: "scale-limit", hidden: "" });

  constructor() {
    this.element = element("span", { class: "scale", "aria-hidden": "true" }, this.#limit, this.#mark);
  }

  /**
   * @param {number} share - 0 to 1
   * @param {number} [limit] - 0 to 1
   */
  set(share, limit) {
    this.#mark.style.left = `${100 * Math.min(1, Math.max(0, share))}%`;
    this.#limit.hidden = limit === undefined;
    if (limit !== undefined) this.#limit.style.left = `${100 * limit}%`;
  }
}

/** A bar of parts of a whole; what is left of it stays empty. */
export class PartsBar {
  /** @type {HTMLElement[]} */
  #parts;
  #rest = element("span", { class: "part" });

  /** @param {readonly string[]} kinds - classes of the parts */
  constructor(kinds) {
    this.#parts = kinds.map((kind) => element("span", { class: `part ${kind}` }));
    this.element = element("span", { class: "bar", "aria-hidden": "true" }, ...this.#parts, this.#rest);
  }

  /**
   * @param {readonly number[]} counts - of the parts
   * @param {number} whole
   */
  set(counts, whole) {
    for (const [index, part] of this.#parts.entries()) part.style.flexGrow = String(counts[index] ?? 0);
    const rest = Math.max(0, whole - counts.reduce((sum, value) => sum + value, 0));
    this.#rest.style.flexGrow = String(rest);
  }
}
