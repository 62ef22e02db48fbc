/** Where the memory is. */
export interface ModelMemory {
  /** Packed weights; mapped from the pack cache, the system may drop and read them again. */
  readonly weightBytes: number;
  /** Read in place from the file; the system may drop it under pressure. */
  readonly mappedBytes: number;
  /** Reserved for the KV pages of all sessions. */
  readonly kvBytes: number;
  /** Activations, scratch and logits. */
  readonly workspaceBytes: number;
  /** The same of the draft model, where there is one. */
  readonly draft?: ModelMemory;
}
