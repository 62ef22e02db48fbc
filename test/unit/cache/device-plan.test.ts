import { describe, expect, test } from "vitest";

import { beginningOf, deviceMemory, planDevice } from "../../../lib/cache/device-plan.js";
import { kvMemory } from "../../../lib/cache/kv-memory.js";
import { weightMemory } from "../../../lib/cache/weight-memory.js";
import { plannedLlama, plannedSettings as settings } from "../../support/planned-llama.js";

const layers = 6;
const model = plannedLlama(layers);
const needed = (count: number) =>
  planDevice({ model, settings, layers: count, availableBytes: 0 }).neededBytes;

describe("deviceMemory", () => {
  test("is nothing without layers, and each layer adds its weights and pages", () => {
    expect(deviceMemory(model, settings, 0)).toBe(0);
    const weights = weightMemory({
      ...model,
      tensors: model.tensors.filter(({ role }) => role.startsWith("layers.3.")),
    });
    const pages = kvMemory({ ...model, layers: 1 }, settings).reduce((sum, { bytes }) => sum + bytes, 0);
    for (let count = 1; count + 1 < layers; count += 1) {
      const step = deviceMemory(model, settings, count + 1) - deviceMemory(model, settings, count);
      expect(step).toBe(weights.packedBytes + weights.vectorBytes + pages);
    }
  });

  test("the embedding goes with the first layer; a tied one is the output matrix as well", () => {
    const step = deviceMemory(model, settings, 2) - deviceMemory(model, settings, 1);
    const last = deviceMemory(model, settings, layers) - deviceMemory(model, settings, layers - 1);
    expect(last - step).toBe(weightMemory(model).embeddingBytes);
    expect(deviceMemory(plannedLlama(layers, true), settings, 1)).toBe(deviceMemory(model, settings, 1));
  });

  test("counts the pages of the layer's own heads", () => {
    const headMask = new Uint8Array(layers * model.kvHeads);
    headMask.fill(255, 4 * model.kvHeads); // the last two layers keep nothing
    const dropped = deviceMemory(model, { ...settings, heads: { headMask } }, 2);
    const kept = deviceMemory(model, settings, 2);
    const pages = kvMemory({ ...model, layers: 2 }, settings).reduce((sum, { bytes }) => sum + bytes, 0);
    expect(kept - dropped).toBe(pages);
    const more = deviceMemory(model, { ...settings, heads: { headMask } }, 3);
    expect(more - dropped).toBe(deviceMemory(model, settings, 3) - kept);
  });
});

describe("planDevice", () => {
  test("auto takes exactly as many layers as fit", () => {
    for (let count = 1; count <= layers; count += 1) {
      const fits = planDevice({ model, settings, layers: "auto", availableBytes: needed(count) });
      expect(fits).toMatchObject({ layers: count, fits: true, neededBytes: needed(count) });
      const less = planDevice({ model, settings, layers: "auto", availableBytes: needed(count) - 1 });
      expect(less).toMatchObject({ layers: count - 1, fits: true });
    }
  });

  test("a number that does not fit is said not to, and more than all are all", () => {
    expect(planDevice({ model, settings, layers: 3, availableBytes: needed(3) - 1 }).fits).toBe(false);
    expect(planDevice({ model, settings, layers: 50, availableBytes: needed(layers) })).toMatchObject({
      layers,
      fits: true,
    });
  });

  test("a draft model takes room from the layers", () => {
    const draft = { model: plannedLlama(2), maxBatchTokens: 128 };
    const availableBytes = needed(layers);
    const plan = planDevice({ model, settings, draft, layers: "auto", availableBytes });
    expect(plan.layers).toBeLessThan(layers);
    expect(plan.fits).toBe(true);
  });
});

describe("beginningOf", () => {
  test("has what is not on the device, but for the output", () => {
    const headMask = Uint8Array.from({ length: layers * model.kvHeads }, (_, index) => index % 2);
    const { model: host, heads } = beginningOf(model, { headMask }, 2);
    expect(host.layers).toBe(2);
    expect(heads?.headMask).toEqual(headMask.subarray(0, 2 * model.kvHeads));
    const whole = weightMemory(model);
    const part = weightMemory(host);
    expect(part.embeddingBytes).toBe(whole.embeddingBytes);
    const layer = weightMemory(beginningOf(model, undefined, 1).model);
    expect(part.packedBytes).toBe(2 * layer.packedBytes);
    expect(part.vectorBytes).toBe(2 * layer.vectorBytes);
  });
});
