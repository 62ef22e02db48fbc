import { AirNativeError } from "../errors/air-error.js";
import { errorCodes, type ErrorCode } from "../errors/codes.js";
import type {
  Backend,
  Batch,
  ConversionReport,
  CreateArenaOptions,
  CreateRunnerOptions,
  DecoderSpec,
  ForwardOutput,
  ForwardStats,
  ModelDevice,
  LoadModelOptions,
  NativeAddon,
  NativeKvArena,
  NativeModel,
  NativeRunner,
  NativeTensorDirectory,
  PackCacheReport,
  ProposeOptions,
  ProposeResult,
  SharedFloats,
} from "./native.js";

/** What the binary exports: the surface of NativeAddon, throwing plain Errors that carry a `code`. */
export type RawAddon = Omit<NativeAddon, "allocateShared">;

/** Gives a native failure the class, code and stack of the JavaScript call that met it. */
function toAirError(error: unknown): unknown {
  if (!(error instanceof Error) || error instanceof AirNativeError) return error;
  const { code } = error as { readonly code?: unknown };
  if (typeof code !== "string" || !(code in errorCodes)) return error;
  return new AirNativeError(code as ErrorCode, error.message);
}

function call<T>(action: () => T): T {
  try {
    return action();
  } catch (error) {
    throw toAirError(error);
  }
}

async function callAsync<T>(action: () => Promise<T>): Promise<T> {
  try {
    return await action();
  } catch (error) {
    throw toAirError(error);
  }
}

class Model implements NativeModel {
  readonly backend: Backend;
  readonly device: ModelDevice | undefined;
  readonly raw: NativeModel;

  constructor(raw: NativeModel) {
    this.raw = raw;
    this.backend = raw.backend;
    this.device = raw.device;
  }

  get weightBytes(): number {
    return call(() => this.raw.weightBytes);
  }

  get mappedBytes(): number {
    return call(() => this.raw.mappedBytes);
  }

  get conversions(): readonly ConversionReport[] {
    return call(() => this.raw.conversions);
  }

  get packCache(): PackCacheReport | undefined {
    return call(() => this.raw.packCache);
  }

  columnSquares(role: string): Float32Array {
    return call(() => this.raw.columnSquares(role));
  }

  close(): void {
    this.raw.close();
  }
}

class KvArena implements NativeKvArena {
  readonly raw: NativeKvArena;
  readonly pageTokens: number;
  readonly headGroups: NativeKvArena["headGroups"];
  readonly bytes: number;

  constructor(raw: NativeKvArena) {
    this.raw = raw;
    this.pageTokens = raw.pageTokens;
    this.headGroups = raw.headGroups;
    this.bytes = raw.bytes;
  }

  copyPages(headGroup: number, src: Int32Array, dst: Int32Array): void {
    call(() => {
      this.raw.copyPages(headGroup, src, dst);
    });
  }

  readPages(headGroup: number, pages: Int32Array, out: Uint8Array): void {
    call(() => {
      this.raw.readPages(headGroup, pages, out);
    });
  }

  writePages(headGroup: number, pages: Int32Array, bytes: Uint8Array): void {
    call(() => {
      this.raw.writePages(headGroup, pages, bytes);
    });
  }

  close(): void {
    this.raw.close();
  }
}

class Runner implements NativeRunner {
  private readonly raw: NativeRunner;
  readonly threads: number;
  readonly workspaceBytes: number;

  constructor(raw: NativeRunner) {
    this.raw = raw;
    this.threads = raw.threads;
    this.workspaceBytes = raw.workspaceBytes;
  }

  forward(batch: Batch, output: ForwardOutput): Promise<ForwardStats> {
    return callAsync(() => this.raw.forward(batch, output));
  }

  forwardSync(batch: Batch, output: ForwardOutput): ForwardStats {
    return call(() => this.raw.forwardSync(batch, output));
  }

  propose(batch: Batch, options: ProposeOptions): Promise<ProposeResult> {
    return callAsync(() => this.raw.propose(batch, options));
  }

  limitThreads(threads: number): void {
    call(() => {
      this.raw.limitThreads(threads);
    });
  }

  cancel(): void {
    call(() => {
      this.raw.cancel();
    });
  }

  close(): void {
    this.raw.close();
  }
}

/** The native object behind a handle of ours; anything else goes to native code, which refuses it. */
function unwrap<T extends NativeModel | NativeKvArena>(handle: T): T {
  return handle instanceof Model || handle instanceof KvArena ? (handle.raw as T) : handle;
}

/**
 * Completes the raw addon: its errors become AirNativeError with a JavaScript stack, and shared memory is
 * allocated here (Node-API has no call for it).
 */
export function wrapAddon(raw: RawAddon): NativeAddon {
  return {
    capabilities: () => call(() => raw.capabilities()),
    listCudaDevices: () => call(() => raw.listCudaDevices()),
    probeCudaDevice: (device) => call(() => raw.probeCudaDevice(device)),
    loadModel: (directory: NativeTensorDirectory, spec: DecoderSpec, options: LoadModelOptions) =>
      callAsync(async () => new Model(await raw.loadModel(directory, spec, options))),
    createArena: (model: NativeModel, options: CreateArenaOptions) =>
      call(() => new KvArena(raw.createArena(unwrap(model), options))),
    createRunner: (model: NativeModel, arena: NativeKvArena, options: CreateRunnerOptions) =>
      call(() => new Runner(raw.createRunner(unwrap(model), unwrap(arena), options))),
    measureReadBandwidth: (threads) => callAsync(() => raw.measureReadBandwidth(threads)),
    measureDeviceBandwidth: (device, bytes) => callAsync(() => raw.measureDeviceBandwidth(device, bytes)),
    allocateShared: (length: number): SharedFloats =>
      new Float32Array(new SharedArrayBuffer(length * Float32Array.BYTES_PER_ELEMENT)),
    softmaxRows: (logits, vocabSize, temperature) => {
      call(() => {
        raw.softmaxRows(logits, vocabSize, temperature);
      });
    },
    argmaxRows: (logits, vocabSize, out) => {
      call(() => {
        raw.argmaxRows(logits, vocabSize, out);
      });
    },
    topKRow: (row, k, outIds, outValues) => {
      call(() => {
        raw.topKRow(row, k, outIds, outValues);
      });
    },
    sampleRow: (weights, ids, seed, position, purpose) =>
      call(() => raw.sampleRow(weights, ids, seed, position, purpose)),
    logSumExpRow: (row) => call(() => raw.logSumExpRow(row)),
    divergenceRow: (reference, logits) => call(() => raw.divergenceRow(reference, logits)),
    residualRow: (target, draft, out) => {
      call(() => {
        raw.residualRow(target, draft, out);
      });
    },
  };
}
