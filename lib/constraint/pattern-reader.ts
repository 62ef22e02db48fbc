/** Walks through the source of a regular expression by code points. */
export class PatternReader {
  readonly #source: string;
  #position = 0;

  constructor(source: string) {
    this.#source = source;
  }

  get position(): number {
    return this.#position;
  }

  get done(): boolean {
    return this.#position >= this.#source.length;
  }

  /** The next character, which stays; empty at the end. */
  peek(): string {
    return this.done ? "" : String.fromCodePoint(this.#source.codePointAt(this.#position) ?? 0);
  }

  /** The next character's code point. */
  next(): number {
    const codePoint = this.#source.codePointAt(this.#position) ?? 0;
    this.#position += this.peek().length;
    return codePoint;
  }

  /** Goes past a text if it is next. */
  take(text: string): boolean {
    if (!this.#source.startsWith(text, this.#position)) return false;
    this.#position += text.length;
    return true;
  }

  /** Goes past what an expression, anchored at its start, matches here. */
  match(expression: RegExp): RegExpExecArray | undefined {
    const found = expression.exec(this.#source.slice(this.#position));
    if (found !== null) this.#position += found[0].length;
    return found ?? undefined;
  }
}
