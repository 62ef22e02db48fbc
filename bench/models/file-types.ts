import type { TensorType } from "../../lib/native/native.js";
import { tensorTypes } from "./gguf-format.js";
import type { MatrixLayout } from "./layout.js";

/** The mixes of tensor types that the inflater writes, and their numbers in general.file_type. */
export const fileTypes = { F16: 1, Q4_0: 2, Q8_0: 7, Q4_K_M: 15 } as const;

export type FileType = keyof typeof fileTypes;

/** Where a matrix stands in the model. */
export interface MatrixPlace {
  /** GGUF name without layer and `.weight`, such as `ffn_down` or `token_embd`. */
  readonly name: string;
  readonly layer: number;
  readonly layers: number;
  /** The token embedding is the output matrix as well. */
  readonly tiedOutput: boolean;
}

/** The type of a matrix in a file of `fileType`: the usual choice, or a wider type that the layout fits. */
export function matrixType(fileType: FileType, place: MatrixPlace, layout: MatrixLayout): TensorType {
  const usual = usualType(fileType, place);
  const wider: readonly TensorType[] = usual === "Q4_K" ? ["Q5_0"] : ["Q8_0"];
  return [usual, ...wider].find((type) => fits(type, layout)) ?? "F16";
}

function usualType(fileType: FileType, place: MatrixPlace): TensorType {
  const producesLogits = place.name === "output" || (place.name === "token_embd" && place.tiedOutput);
  switch (fileType) {
    case "F16":
    case "Q8_0":
      return fileType;
    case "Q4_0":
      return producesLogits ? "Q8_0" : "Q4_0";
    case "Q4_K_M": {
      const sensitive = place.name === "attn_v" || place.name === "ffn_down";
      return producesLogits || (sensitive && hasMoreBits(place)) ? "Q6_K" : "Q4_K";
    }
  }
}

/** Q4_K_M gives values and ffn_down more bits in the first and last eighth and in every third layer between. */
function hasMoreBits({ layer, layers }: MatrixPlace): boolean {
  const eighth = Math.floor(layers / 8);
  return layer < eighth || layer >= layers - eighth || (layer - eighth) % 3 === 2;
}

/** Whole blocks per row, and runs that share no group of 32 with the zeros around them, which Q4_K would lose. */
function fits(type: TensorType, layout: MatrixLayout): boolean {
  const { blockValues } = tensorTypes[type];
  if (layout.columns % blockValues !== 0) return false;
  const group = Math.min(32, blockValues);
  return layout.columnRuns.every((run) => run.to % group === 0 && run.length % group === 0);
}
