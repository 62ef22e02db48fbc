import { PartsBar, Scale, Trace } from "./charts.js";
import { element, Readout, setText } from "./dom.js";
import { count, duration, figure } from "./format.js";
import { RateHistory } from "./rate.js";

/** A question and its answer: the text with the tokens that were drafted, and what the instruments say of it. */
export class AnswerView {
  #text = element("div", { class: "answer-text" });
  #plain = document.createTextNode("");
  #readout = new Readout(element("dl", { class: "strip" }));
  #reason = element("p", { class: "reason" });
  #outcome = element("p", { class: "outcome", hidden: "" });
  #score = new Scale();
  #trace = new Trace();
  #drafts = new PartsBar(["used"]);
  #rate = new RateHistory();
  #accepted = 0;
  #isOver = false;
  content = "";

  /** @param {string} question */
  constructor(question) {
    this.#readout.set("Tier", "\u2026").classList.add("tier-name");
    this.element = element(
      "article",
      { class: "turn", "aria-busy": "true" },
      element("h3", { class: "question" }, question),
      this.#readout.list,
      this.#reason,
      this.#text,
      this.#outcome,
    );
  }

  /**
   * A piece of the answer.
   *
   * @param {string} text
   * @param {readonly boolean[]} drafted - by token; remote tiers tell of none
   */
  add(text, drafted) {
    this.content += text;
    const accepted = drafted.filter(Boolean).length;
    this.#accepted += accepted;
    // A piece of several tokens, as of a character that they share, is marked if all of them were guessed.
    const isDrafted = drafted.length > 0 && accepted === drafted.length;
    if (isDrafted && text !== "") {
      this.#plain = document.createTextNode("");
      this.#text.append(element("span", { class: "drafted" }, text), this.#plain);
    } else {
      if (this.#plain.parentNode === null) this.#text.append(this.#plain);
      this.#plain.appendData(text);
    }
    this.#rate.add(Math.max(drafted.length, text === "" ? 0 : 1), performance.now());
  }

  /**
   * What the server says of the answer so far.
   *
   * @param {import("./wire.js").AirNote} note
   */
  note({ tier, score, detail, attempts, cache, timings, speculative }) {
    if (tier !== undefined) this.#readout.set("Tier", tier);
    if (score !== undefined && !this.#hasScore) this.#addScore(score);
    if (detail !== undefined) setText(this.#reason, detail);
    if (timings !== undefined) this.#readout.set("First token", duration(timings.time_to_first_token_ms));
    if (cache !== undefined) {
      const { prompt_tokens: prompt, reused_tokens: reused } = cache;
      this.#readout.set("Prompt", `${count(prompt)}, ${count(reused)} reused`);
    }
    if (timings !== undefined) {
      this.#isOver = true;
      this.#drawRate(timings.decode_tokens_per_second);
    }
    if (speculative !== undefined) this.#count(speculative);
    const others = attempts?.filter(({ outcome }) => outcome !== "answered") ?? [];
    if (others.length > 0) {
      const told = others.map(({ tier: name, outcome, reason }) => `${name} ${outcome} (${reason})`);
      this.#readout.set("Before", told.join(", "));
    }
  }

  /** Brings figures up to date; called as often as the screen is drawn. */
  draw() {
    if (this.#isOver || this.#rate.total === 0) return;
    this.#drawRate(this.#rate.perSecond);
    this.#readout.set("Tokens", count(this.#rate.total));
    if (this.#accepted > 0) this.#readout.set("Guesses right", count(this.#accepted));
  }

  /**
   * The answer is over.
   *
   * @param {number | undefined} tokens - as the server counted them
   */
  end(tokens) {
    this.element.removeAttribute("aria-busy");
    this.#readout.set("Tokens", count(tokens ?? this.#rate.total));
  }

  /**
   * The answer ended before its time.
   *
   * @param {string} why
   * @param {boolean} isProblem
   */
  cutOff(why, isProblem) {
    this.draw();
    this.element.removeAttribute("aria-busy");
    setText(this.#outcome, why);
    this.#outcome.classList.toggle("problem", isProblem);
    this.#outcome.hidden = false;
    if (this.#rate.total === 0) this.#readout.set("Tier", "none");
  }

  get #hasScore() {
    return this.#score.element.parentNode !== null;
  }

  /** @param {number} score - 0 asks for the smallest tier, 1 for the largest */
  #addScore(score) {
    this.#score.set(score);
    this.#readout.set("Score", score.toFixed(2)).append(this.#score.element);
  }

  /** @param {number} perSecond */
  #drawRate(perSecond) {
    const place = this.#readout.set("Rate", `${figure(perSecond)} tokens/s`);
    if (this.#trace.element.parentNode === null) place.append(this.#trace.element);
    this.#trace.draw(this.#rate.series);
  }

  /** @param {NonNullable<import("./wire.js").AirNote["speculative"]>} speculative */
  #count({ drafted, accepted, proposer }) {
    const place = this.#readout.set("Guesses right", `${count(accepted)} of ${count(drafted)}`);
    if (drafted === 0) return;
    this.#drafts.set([accepted], drafted);
    place.append(this.#drafts.element);
    this.#reason.append(` Guesses by ${proposer}.`);
  }
}
