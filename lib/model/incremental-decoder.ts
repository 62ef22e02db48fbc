/** Turns tokens into text one at a time, as they are generated. */
export interface IncrementalDecoder {
  /** Text that became complete with this token; empty while a character is still missing bytes. */
  push(id: number): string;
  /** What is left at the end: U+FFFD for an unfinished character, else nothing. The decoder starts over. */
  flush(): string;
}

/**
 * A decoder that never splits a UTF-8 sequence: the bytes of an unfinished character wait for the next token, and
 * U+FFFD stands only for bytes that no continuation could make valid.
 *
 * @param tokenBytes the bytes of a token; none for one that is not shown
 */
export function createIncrementalDecoder(tokenBytes: (id: number) => Uint8Array): IncrementalDecoder {
  // WHATWG streaming decode holds back exactly the incomplete tail; ignoreBOM keeps U+FEFF as text.
  const decoder = new TextDecoder("utf-8", { ignoreBOM: true });
  return {
    push: (id) => decoder.decode(tokenBytes(id), { stream: true }),
    flush: () => decoder.decode(),
  };
}
