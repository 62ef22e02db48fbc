// What the C++ surface says of CUDA devices: part of native.ts.

/** A CUDA device as its driver describes it. */
export interface CudaDevice {
  /** Its number among the driver's devices. */
  readonly index: number;
  readonly name: string;
  /** "8.7" */
  readonly computeCapability: string;
  readonly multiprocessors: number;
  readonly totalBytes: number;
  /** Its memory is the system's. */
  readonly isIntegrated: boolean;
}

/** CUDA devices that models can be loaded onto. */
export interface CudaDevices {
  readonly devices: readonly (CudaDevice & {
    /** Memory to be had: of an integrated device, what the system has available; 0 where the device is of no use. */
    readonly freeBytes: number;
  })[];
  /** Why there are none: no driver, none of use, or a build without kernels. */
  readonly reason?: string;
  /** CUDA version that the driver speaks, "12.6". */
  readonly driverVersion?: string;
}

/** A device, and the kernels that were loaded onto it. */
export interface LoadedDevice extends CudaDevice {
  /** Kernels that were compiled for the device, or PTX that the driver compiled. */
  readonly image: "sass" | "ptx" | "mixed";
  /** What loading them took, the driver's compilation included. */
  readonly imageMicros: number;
  /** Why PTX was taken. */
  readonly sassRefused?: string;
}

/** The device of a model. */
export interface ModelDevice extends LoadedDevice {
  /** Layers from the end that it computes; the CPU computes those before. */
  readonly layers: number;
  /** Bytes of their weights there. */
  readonly weightBytes: number;
}
