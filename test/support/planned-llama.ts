import type { MemorySettings, PlannedModel } from "../../lib/cache/planned-model.js";

const [width, queryHeads, kvHeads, headDim, channels, vocabSize] = [2048, 16, 4, 128, 5632, 32000];

/** A model of the llama architecture in Q4_0, as a memory plan sees it: 24 MiB a layer, and 37 MiB for the output. */
export function plannedLlama(layers: number, tiedOutput = false): PlannedModel {
  const matrix = (role: string, rows: number, cols: number) => ({
    role: `${role}.weight`,
    type: "Q4_0",
    shape: [rows, cols],
    lengthBytes: (rows * cols * 18) / 32,
  });
  const vector = (role: string, length: number) => ({
    role: `${role}.weight`,
    type: "F32",
    shape: [length],
    lengthBytes: 4 * length,
  });
  return {
    layers,
    embeddingLength: width,
    queryHeads,
    kvHeads,
    headDim,
    feedForwardLength: channels,
    vocabSize,
    rope: { dimensions: headDim },
    tiedOutput,
    tensors: [
      matrix("token_embedding", vocabSize, width),
      ...(tiedOutput ? [] : [matrix("output", vocabSize, width)]),
      vector("output_norm", width),
      ...Array.from({ length: layers }, (_, layer) => `layers.${layer}`).flatMap((layer) => [
        vector(`${layer}.attention_norm`, width),
        matrix(`${layer}.attention.q`, queryHeads * headDim, width),
        matrix(`${layer}.attention.k`, kvHeads * headDim, width),
        matrix(`${layer}.attention.v`, kvHeads * headDim, width),
        matrix(`${layer}.attention.o`, width, queryHeads * headDim),
        vector(`${layer}.feed_forward_norm`, width),
        matrix(`${layer}.feed_forward.gate`, channels, width),
        matrix(`${layer}.feed_forward.up`, channels, width),
        matrix(`${layer}.feed_forward.down`, width, channels),
      ]),
    ],
  };
}

/** Settings for a text of 4096 tokens. */
export const plannedSettings: MemorySettings = {
  contextTokens: 4096,
  sequences: 1,
  keyType: "int8",
  valueType: "int8",
  pageTokens: 32,
  maxBatchTokens: 512,
  threads: 2,
};
