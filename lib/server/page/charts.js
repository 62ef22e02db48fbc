import { drawing, element } from "./dom.js";

/** A line over time, drawn as a recorder's pen does. What it says stands beside it in words. */
export class Trace {
  #line = drawing("polyline", { class: "trace-line", points: "" });

  constructor() {
    const grid = [1, 2, 3, 4, 5, 6, 7].map((eighth) =>
      drawing("line", { class: "trace-grid", x1: eighth * 10, x2: eighth * 10, y1: 0, y2: 20 }),
    );
    // The drawing is as wide and high as its place; lines stay as thick as they are.
    this.element = drawing(
      "svg",
      { class: "trace", viewBox: "0 0 80 20", preserveAspectRatio: "none", "aria-hidden": "true" },
      ...[...grid, this.#line],
    );
  }

  /**
   * Draws values from left to right, or, where there is room for more, at the right; the highest reaches the top.
   *
   * @param {readonly number[]} values
   * @param {number} [room] - values that fill the width
   */
  draw(values, room = values.length) {
    const highest = Math.max(1e-9, ...values);
    const heights = values.map((value) => 19 - (value / highest) * 17);
    // One value is a line too.
    const line = heights.length === 1 && room === 1 ? [...heights, ...heights] : heights;
    const step = 80 / Math.max(1, Math.max(room, line.length) - 1);
    const left = 80 - step * (line.length - 1);
    const points = line.map((y, index) => `${(left + index * step).toFixed(2)},${y.toFixed(2)}`);
    this.#line.setAttribute("points", points.join(" "));
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
