import { element } from "./dom.js";

/** Milliseconds between two announcements of an answer that is on its way. */
const pauseMs = 3000;
/** Announcements that stay in the page; a reader may go back to them. */
const mostKept = 12;

/** Tells screen readers of an answer sentence by sentence, with pauses, rather than token by token. */
export class Announcer {
  #text = "";
  #latestMs = 0;

  /** @param {HTMLElement} region - live, and polite */
  constructor(region) {
    this.region = region;
  }

  /** An answer begins. */
  begin() {
    this.#text = "";
    this.#latestMs = performance.now();
    this.region.replaceChildren();
  }

  /** @param {string} text - the next piece of the answer */
  add(text) {
    this.#text += text;
    if (performance.now() - this.#latestMs < pauseMs) return;
    const end = lastSentenceEnd(this.#text);
    if (end === 0) return;
    this.#say(this.#text.slice(0, end));
    this.#text = this.#text.slice(end);
  }

  /** The answer is over: what is left of it is told. */
  end() {
    this.#say(this.#text);
    this.#text = "";
  }

  /** @param {string} text */
  #say(text) {
    if (text.trim() === "") return;
    this.#latestMs = performance.now();
    this.region.append(element("p", {}, text));
    while (this.region.childElementCount > mostKept) this.region.firstElementChild?.remove();
  }
}

/** @param {string} text */
function lastSentenceEnd(text) {
  let end = 0;
  for (const { index } of text.matchAll(/[.!?:;]\s|\n/g)) end = index + 1;
  return end;
}
