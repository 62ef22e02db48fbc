/** The part of a tokenizer that differs between kinds: plain text to ids, and ids to bytes. */
export interface PieceCodec {
  /** Text starts with a space that is not the caller's. */
  readonly addSpacePrefix: boolean;
  /** Ids of text without special tokens; `startsText` unless it follows other plain text. */
  encode(text: string, startsText: boolean): readonly number[];
  tokenBytes(id: number): Uint8Array;
}
