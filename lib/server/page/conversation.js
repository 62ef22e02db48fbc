import { AnswerView } from "./answer-view.js";
import { ApiFailure, streamAnswer } from "./api.js";

/** From the bottom of the log, in pixels: so near, the log follows what is written. */
const followPixels = 60;

/**
 * What the page tells while an answer comes.
 *
 * @typedef {object} Listener
 * @property {() => void} onBegin
 * @property {(text: string) => void} onText
 * @property {(view: AnswerView, outcome: "finished" | "stopped" | "failed") => void} onEnd
 * @property {() => void} onKeyNeeded
 */

/** The messages so far, and one answer at a time. */
export class Conversation {
  /** @type {{ role: "user" | "assistant", content: string }[]} */
  #messages = [];
  /** @type {AbortController | undefined} */
  #running;

  /**
   * @param {HTMLElement} log
   * @param {Listener} listener
   */
  constructor(log, listener) {
    this.log = log;
    this.listener = listener;
  }

  get isRunning() {
    return this.#running !== undefined;
  }

  /** Ends the answer that is on its way; what came of it stays. */
  stop() {
    this.#running?.abort();
  }

  /** Forgets everything. */
  clear() {
    this.stop();
    this.#messages = [];
    this.log.replaceChildren();
  }

  /**
   * Asks, and shows the answer as it comes.
   *
   * @param {string} question
   * @param {object} options - fields of the request
   */
  async ask(question, options) {
    const controller = new AbortController();
    this.#running = controller;
    const messages = this.#messages;
    messages.push({ role: "user", content: question });
    const view = new AnswerView(question);
    this.log.append(view.element);
    this.log.scrollTop = this.log.scrollHeight;
    this.listener.onBegin();
    /** @type {"finished" | "stopped" | "failed"} */
    let outcome = "finished";
    try {
      await this.#read(view, { ...options, messages }, controller.signal);
      messages.push({ role: "assistant", content: view.content });
    } catch (error) {
      outcome = controller.signal.aborted ? "stopped" : "failed";
      if (view.content === "") messages.pop();
      else messages.push({ role: "assistant", content: view.content });
      this.#explain(view, error, outcome);
    } finally {
      this.#running = undefined;
      this.#follow(() => undefined);
      this.listener.onEnd(view, outcome);
    }
  }

  /**
   * @param {AnswerView} view
   * @param {object} body
   * @param {AbortSignal} signal
   */
  async #read(view, body, signal) {
    let frame = requestAnimationFrame(draw);
    function draw() {
      view.draw();
      frame = requestAnimationFrame(draw);
    }
    try {
      for await (const { choices, usage, air } of streamAnswer(body, signal)) {
        const text = choices[0]?.delta.content ?? "";
        this.#follow(() => {
          view.add(text, air?.drafted ?? []);
          if (air !== undefined) view.note(air);
        });
        if (text !== "") this.listener.onText(text);
        if (usage) view.end(usage.completion_tokens);
      }
    } finally {
      cancelAnimationFrame(frame);
    }
  }

  /**
   * @param {AnswerView} view
   * @param {unknown} error
   * @param {"stopped" | "failed"} outcome
   */
  #explain(view, error, outcome) {
    if (outcome === "stopped") view.cutOff("Stopped.", false);
    else if (error instanceof ApiFailure) view.cutOff(error.message, true);
    else view.cutOff("The server cannot be reached.", true);
    if (error instanceof ApiFailure && error.status === 401) this.listener.onKeyNeeded();
  }

  /**
   * Keeps the end of the log in sight while it grows, unless the reader has gone up to read.
   *
   * @param {() => void} change
   */
  #follow(change) {
    const { scrollHeight, scrollTop, clientHeight } = this.log;
    const isAtEnd = scrollHeight - scrollTop - clientHeight < followPixels;
    change();
    if (isAtEnd) this.log.scrollTop = this.log.scrollHeight;
  }
}
