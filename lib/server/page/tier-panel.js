import { PartsBar } from "./charts.js";
import { element, Readout, setText } from "./dom.js";
import { count, percent } from "./format.js";

/** What heads of a class keep, for those who read it for the first time. */
const classTitles = { full: "full heads", stream: "stream heads" };

/** A tier among the instruments. */
export class TierPanel {
  #state = element("p", { class: "tier-state" });
  #readout = new Readout(element("dl"));
  /** @type {Map<string, PartsBar>} */
  #bars = new Map();

  /** @param {string} name */
  constructor(name) {
    this.element = element(
      "section",
      { class: "tier", "aria-label": `Tier ${name}` },
      element("h3", {}, name),
      this.#state,
      this.#readout.list,
    );
  }

  /** @param {import("./wire.js").LiveTier} tier */
  show({ kind, is_loaded: isLoaded, active, waiting, answered, pages = [], prefix_cache: prefixes }) {
    const where = kind === "remote" ? "remote" : isLoaded ? "loaded" : "not loaded";
    setText(this.#state, `${where}, ${active} at work, ${waiting} waiting, ${count(answered)} answered`);
    this.element.classList.toggle("idle", !isLoaded);
    for (const { class: headClass, usable, used, cached } of pages) {
      const text = `${count(used)} in use, ${count(cached)} kept, of ${count(usable)} pages`;
      const place = this.#readout.set(classTitles[headClass], text);
      const bar = this.#bars.get(headClass) ?? new PartsBar(["used", "cached"]);
      this.#bars.set(headClass, bar);
      if (bar.element.parentNode === null) place.append(bar.element);
      bar.set([used, cached], usable);
    }
    if (prefixes === undefined) return;
    const { lookups, hits, hit_tokens: tokens } = prefixes;
    const share = lookups > 0 ? ` (${percent(hits / lookups)})` : "";
    this.#readout.set("prefix hits", `${count(hits)} of ${count(lookups)}${share}, ${count(tokens)} tokens`);
  }
}
