/**
 * A NativeAddon in plain JavaScript. Its "model" hashes what a token sees of the arena through page tables, windows
 * and sinks, and draws the logits from the hash: a wrong slot, table, position or length changes the text.
 */
import type {
  Capabilities,
  CreateArenaOptions,
  CreateRunnerOptions,
  CudaDevices,
  DecoderSpec,
  LoadedDevice,
  NativeAddon,
  NativeKvArena,
  NativeModel,
  NativeRunner,
  NativeTensorDirectory,
  SharedFloats,
} from "../../lib/native/native.js";
import { fail, FakeArena } from "./fake-arena.js";
import { FakeRowOps } from "./fake-row-ops.js";
import { type FakeControls, FakeModel, FakeRunner } from "./fake-runner.js";

/** A fake addon and its controls. */
export class FakeAddon extends FakeRowOps implements NativeAddon {
  readonly #handles: { readonly closed: boolean }[] = [];
  readonly #models = new Map<NativeModel, FakeModel>();
  readonly #arenas = new Map<NativeKvArena, FakeArena>();
  readonly controls: FakeControls = {
    batches: [],
    threadLimits: [],
    poisonedTokens: new Set(),
    openHandles: () => this.#handles.filter((handle) => !handle.closed).length,
    cancels: 0,
    closesInFlight: 0,
  };

  capabilities(): Capabilities {
    return { abiVersion: 1, isas: ["reference"], activeIsa: "reference", cpus: 1, defaultThreads: 1 };
  }

  listCudaDevices(): CudaDevices {
    return { devices: [], reason: "expected a GPU but this addon is a fake" };
  }

  probeCudaDevice(): LoadedDevice {
    return fail("AIR_ERR_NO_DEVICE", "expected a GPU but this addon is a fake");
  }

  async loadModel(_directory: NativeTensorDirectory, spec: DecoderSpec): Promise<NativeModel> {
    return Promise.resolve(this.createModel(spec));
  }

  /** A model without a file. */
  createModel(spec: DecoderSpec, isDraft = false): NativeModel {
    const model = new FakeModel(spec, isDraft);
    this.#handles.push(model);
    this.#models.set(model, model);
    return model;
  }

  createArena(_model: NativeModel, options: CreateArenaOptions): NativeKvArena {
    const arena = new FakeArena(options);
    this.#handles.push(arena);
    this.#arenas.set(arena, arena);
    return arena;
  }

  createRunner(model: NativeModel, arena: NativeKvArena, options: CreateRunnerOptions): NativeRunner {
    const ownModel = this.#models.get(model) ?? fail("AIR_ERR_ARGUMENT", "expected a model of this addon");
    const ownArena = this.#arenas.get(arena) ?? fail("AIR_ERR_ARGUMENT", "expected an arena of this addon");
    const runner = new FakeRunner(ownModel, ownArena, options, this.controls);
    this.#handles.push(runner);
    return runner;
  }

  async measureReadBandwidth(): Promise<number> {
    return Promise.resolve(10);
  }

  async measureDeviceBandwidth(): Promise<number> {
    return Promise.resolve(20);
  }

  allocateShared(length: number): SharedFloats {
    return new Float32Array(new SharedArrayBuffer(length * Float32Array.BYTES_PER_ELEMENT));
  }
}

/** A spec whose numbers the fake ignores, the vocabulary excepted. */
export function fakeSpec(vocabSize: number): DecoderSpec {
  return {
    layers: 1,
    embeddingLength: 8,
    queryHeads: 1,
    kvHeads: 1,
    headDim: 8,
    feedForwardLength: 8,
    vocabSize,
    normKind: "rms",
    normEpsilon: 1e-5,
    activation: "silu",
    rope: { pairing: "half", dimensions: 8, inverseFrequencies: new Float64Array(4), attentionFactor: 1 },
    tiedOutput: false,
  };
}
