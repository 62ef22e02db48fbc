import { type AcceptanceRule, createChooser, verify } from "../decoding/acceptance.js";
import type { TokenConstraint } from "../decoding/constraint.js";
import type { TokenHistory } from "../decoding/penalties.js";
import type { RowMath } from "../decoding/row-math.js";
import type { Sampler } from "../decoding/sampler.js";
import type { Speculator } from "../decoding/speculator.js";
import type { LogitsRequest, RunTerms, StepInfo } from "../engine/run.js";
import type { Sequence } from "../engine/sequence.js";
import type { TextWriter } from "./text-writer.js";

/** What a decode loop works with. */
export interface DecodeLoopOptions {
  readonly prompt: Int32Array;
  readonly sequence: Sequence;
  readonly sampler: Sampler;
  readonly rowMath: RowMath;
  readonly seed: number;
  readonly writer: TextWriter;
  readonly constraint: TokenConstraint | undefined;
  /** Undefined generates one token a step. */
  readonly speculator: Speculator | undefined;
  readonly acceptance: AcceptanceRule;
  /** Values per row of logits, of which the first `tokenCount` are tokens. */
  readonly rowWidth: number;
  readonly tokenCount: number;
  readonly contextTokens: number;
  readonly terms: RunTerms;
}

/** The engine request that generates a text: rows in, chosen tokens out, and guesses where they pay. */
export function decodeRequest(options: DecodeLoopOptions): LogitsRequest {
  const { prompt, sequence, writer, constraint, speculator, rowWidth, tokenCount, contextTokens } = options;
  const choose = createChooser(options.acceptance, {
    sampler: options.sampler,
    maths: options.rowMath,
    seed: options.seed,
  });
  speculator?.begin(prompt);
  const onLogits = (logits: Float32Array, firstIndex: number, step: StepInfo): readonly number[] => {
    const started = performance.now();
    const rows = Array.from({ length: logits.length / rowWidth }, (_, row) =>
      logits.subarray(row * rowWidth, row * rowWidth + tokenCount),
    );
    const verification = { rows, draft: speculator?.draft, history: textOf(sequence, firstIndex + 1) };
    const { tokens, accepted } = verify(choose, verification, (sample, isDrafted) => {
      if (!writer.write(sample, isDrafted)) return false;
      constraint?.accept(sample.token);
      return true;
    });
    speculator?.observe({
      drafted: rows.length - 1,
      accepted,
      rows: step.rows,
      sequences: step.sequences,
      ms: step.tokens === step.rows ? step.ms + performance.now() - started : undefined,
    });
    return tokens;
  };
  const request = { ...options.terms, tokens: prompt, logitsFrom: prompt.length - 1, onLogits };
  if (speculator === undefined) return request;
  const propose = (): readonly number[] | Promise<readonly number[]> => {
    const length = sequence.knownTokens;
    // The step itself gives one token more than it was guessed.
    const room = Math.min(writer.remainingTokens, contextTokens - length) - 1;
    return speculator.propose(textOf(sequence, length), room);
  };
  return { ...request, propose };
}

function textOf(sequence: Sequence, length: number): TokenHistory {
  return { length, token: (index) => sequence.token(index) };
}
