import { ApiFailure, streamReports } from "./api.js";
import { Scale, Trace } from "./charts.js";
import { byId, Readout, setText } from "./dom.js";
import { celsius, count, duration, figure, percent, size } from "./format.js";
import { TierPanel } from "./tier-panel.js";

/** Seconds of the recorder's paper. */
const traceSlots = 60;
/** The thermometer begins here; it ends at the limit and a little more. */
const coolCelsius = 30;
const overLimit = 1.1;
/** Milliseconds to the next try when the server is gone: twice as long each time, up to the longest. */
const firstRetryMs = 1000;
const longestRetryMs = 15_000;

/** The instruments beside the conversation: what the server reports, once a second while the page is looked at. */
export class Panel {
  #state = byId("panel-state", HTMLElement);
  #readings = byId("readings", HTMLElement);
  #tiers = byId("tiers", HTMLElement);
  #machine = new Readout(byId("machine", HTMLElement));
  #requests = new Readout(byId("requests", HTMLElement));
  #thermometer = new Scale();
  #trace = new Trace();
  #rate = new Readout(document.createElement("dl"));
  /** @type {Map<string, TierPanel>} */
  #panels = new Map();
  /** @type {number[]} */
  #rates = [];
  /** @type {{ tokens: number, seconds: number } | undefined} */
  #before;
  /** @type {AbortController | undefined} */
  #reading;

  constructor() {
    byId("rate", HTMLElement).append(this.#trace.element, this.#rate.list);
    document.addEventListener("visibilitychange", () => {
      if (document.hidden) this.#stop();
      else void this.start();
    });
  }

  /** Reads reports until the page is hidden, or the server does not let it. */
  async start() {
    this.#stop();
    const controller = new AbortController();
    this.#reading = controller;
    let retryMs = firstRetryMs;
    while (!controller.signal.aborted) {
      try {
        for await (const report of streamReports(controller.signal)) {
          this.#show(report);
          retryMs = firstRetryMs;
        }
      } catch (error) {
        if (controller.signal.aborted) return;
        if (error instanceof ApiFailure && error.status < 500) {
          this.#lose("The server gives no reports without a valid key.");
          return;
        }
      }
      this.#lose("No connection to the server; trying again.");
      await new Promise((resolve) => setTimeout(resolve, retryMs));
      retryMs = Math.min(longestRetryMs, 2 * retryMs);
    }
  }

  #stop() {
    this.#reading?.abort();
    this.#before = undefined;
  }

  /** @param {string} why */
  #lose(why) {
    setText(this.#state, why);
    this.#state.classList.add("problem");
    this.#before = undefined;
  }

  /** @param {import("./wire.js").LiveReport} report */
  #show(report) {
    setText(this.#state, `Up for ${duration(report.uptime_seconds * 1000)}.`);
    this.#state.classList.remove("problem");
    this.#readings.hidden = false;
    for (const tier of report.tiers) this.#tierPanel(tier.name).show(tier);
    this.#showRate(report);
    this.#showMachine(report);
    const { answered, failed, escalations, fallbacks } = report.requests;
    this.#requests.set("answered", count(answered));
    this.#requests.set("failed", count(failed));
    this.#requests.set("went on to a larger tier", count(escalations));
    this.#requests.set("taken over after a failure", count(fallbacks));
  }

  /** @param {string} name */
  #tierPanel(name) {
    const known = this.#panels.get(name);
    if (known !== undefined) return known;
    const made = new TierPanel(name);
    this.#panels.set(name, made);
    this.#tiers.append(made.element);
    return made;
  }

  /** @param {import("./wire.js").LiveReport} report */
  #showRate({ tiers, uptime_seconds: seconds }) {
    const tokens = tiers.reduce((sum, { computed_tokens: computed = 0 }) => sum + computed, 0);
    const before = this.#before;
    this.#before = { tokens, seconds };
    if (before === undefined || seconds <= before.seconds) return;
    // A model that was unloaded takes its counter with it.
    const rate = Math.max(0, tokens - before.tokens) / (seconds - before.seconds);
    this.#rates = [...this.#rates, rate].slice(-traceSlots);
    const highest = Math.max(...this.#rates);
    this.#trace.draw(this.#rates, traceSlots);
    this.#rate.set("now", figure(rate));
    this.#rate.set("highest of the last minute", figure(highest));
  }

  /** @param {import("./wire.js").LiveReport} report */
  #showMachine({ machine, pressure }) {
    const { rss_bytes: rss, memory, temperature, watts, is_throttling: isThrottling } = machine;
    const place = byId("temperature-scale", HTMLElement);
    place.hidden = temperature === null;
    if (temperature !== null) {
      const { celsius: now, limit_celsius: limit, zone } = temperature;
      const range = limit * overLimit - coolCelsius;
      if (!place.contains(this.#thermometer.element)) place.append(this.#thermometer.element);
      this.#thermometer.set((now - coolCelsius) / range, (limit - coolCelsius) / range);
      this.#machine.set("temperature", `${celsius(now)}, limit ${celsius(limit)} (${zone})`);
    } else this.#machine.set("temperature", "no sensor");
    this.#machine.set("power", watts === null ? "no sensor" : `${figure(watts)} W`);
    this.#machine.set("throttling", isThrottling === null ? "not known" : isThrottling ? "yes" : "no");
    this.#machine.set("this process", size(rss));
    if (memory !== null) this.#machine.set("memory taken", percent(memory));
    const { memory: ofMemory, heat, queue } = pressure;
    const told = `memory ${percent(ofMemory)}, heat ${percent(heat)}, queue ${percent(queue)}`;
    this.#machine.set("pressure", told);
  }
}
