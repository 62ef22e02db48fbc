import { Counter, Gauge, Histogram, type Registry } from "prom-client";

import { loadedModel, type ServedModel, type ServedRuntime } from "./served-runtime.js";

/** The loaded models, by tier. */
function* modelsOf(runtime: ServedRuntime): Iterable<readonly [string, ServedModel]> {
  for (const tier of runtime.localTierNames) {
    const model = loadedModel(runtime, tier);
    if (model !== undefined) yield [tier, model];
  }
}

/**
 * How many sequences shared a step, as a histogram that the engine has counted: a Histogram of prom-client counts by itself
 * only, one value at a time.
 */
class StepSizeHistogram extends Gauge<"tier" | "le"> {
  readonly #runtime: ServedRuntime;
  /** What a histogram says of itself. */
  readonly #empty: Histogram;

  constructor(registers: Registry[], runtime: ServedRuntime) {
    const told = { name: "air_step_sequences", help: "Sequences that share a step: the batch size" };
    super({ ...told, labelNames: ["tier", "le"], registers });
    this.#runtime = runtime;
    this.#empty = new Histogram({ ...told, registers: [] });
  }

  override async get() {
    const told = await this.#empty.get();
    const values = [...modelsOf(this.#runtime)].flatMap(([tier, { stats }]) => [
      ...stats.stepSizes.upTo.map(({ sequences, steps }) => ({
        metricName: `${told.name}_bucket`,
        labels: { tier, le: Number.isFinite(sequences) ? sequences : "+Inf" },
        value: steps,
      })),
      { metricName: `${told.name}_sum`, labels: { tier }, value: stats.stepSizes.sequences },
      { metricName: `${told.name}_count`, labels: { tier }, value: stats.steps },
    ]);
    return { ...told, values };
  }
}

/** Counts of a model; they begin anew with each load, which Prometheus allows for. */
function addPrefixCounters(registers: Registry[], runtime: ServedRuntime): void {
  const counter = (
    name: string,
    help: string,
    field: keyof NonNullable<ServedModel["stats"]["prefixCache"]>,
  ): void => {
    new Counter({
      ...{ name, help, registers, labelNames: ["tier"] },
      collect() {
        this.reset();
        for (const [tier, { stats }] of modelsOf(runtime)) {
          if (stats.prefixCache !== undefined) this.inc({ tier }, stats.prefixCache[field]);
        }
      },
    });
  };
  counter(
    "air_prefix_lookups_total",
    "Prompts that were looked up among what was computed before",
    "lookups",
  );
  counter("air_prefix_hits_total", "Of those, prompts whose beginning was there", "hits");
  counter("air_prefix_hit_tokens_total", "Tokens that were there and not computed again", "hitTokens");
}

/** KV pages that texts at work hold, by class of heads. */
function addPageGauge(registers: Registry[], runtime: ServedRuntime): void {
  new Gauge({
    ...{ name: "air_kv_pages_used", help: "KV pages of texts that are at work", registers },
    labelNames: ["tier", "class"],
    collect() {
      this.reset();
      for (const [tier, { stats }] of modelsOf(runtime)) {
        for (const { headClass, usable, free } of stats.pages) {
          this.set({ tier, class: headClass }, usable - free);
        }
      }
    },
  });
}

/** What the sensors of the machine said last; nothing where they do not say. */
function addSensorGauges(registers: Registry[], runtime: ServedRuntime): void {
  const gauge = (name: string, help: string, read: () => number | undefined): void => {
    new Gauge({
      ...{ name, help, registers },
      collect() {
        const value = read();
        if (value === undefined) this.remove();
        else this.set(value);
      },
    });
  };
  const hottest = () => runtime.stats.machine?.hottest;
  gauge("air_temperature_celsius", "Of the zone nearest to its limit", () => hottest()?.celsius);
  gauge("air_temperature_limit_celsius", "The limit of that zone", () => hottest()?.limitCelsius);
  gauge("air_power_watts", "Power of the board's input, or of all rails", () => runtime.stats.machine?.watts);
  gauge("air_throttling", "1 while the machine slows itself down", () => {
    const { machine } = runtime.stats;
    return machine && Number(machine.isThrottling);
  });
}

/** Figures of the engines' steps, prefix caches and pages, and of the sensors, read whenever somebody asks. */
export function addRuntimeMetrics(registry: Registry, runtime: ServedRuntime): void {
  const registers = [registry];
  new StepSizeHistogram(registers, runtime);
  addPrefixCounters(registers, runtime);
  addPageGauge(registers, runtime);
  addSensorGauges(registers, runtime);
}
