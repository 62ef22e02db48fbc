import { isGreedy, isHidden, type Run } from "./run.js";
import type { Sequence } from "./sequence.js";

/** Asks the runs that are about to compute a single token what may follow it. */
export async function gatherGuesses(runs: ReadonlyMap<Sequence, Run>): Promise<void> {
  const asked: Promise<void>[] = [];
  for (const [sequence, run] of runs) {
    const { request } = run;
    const isReady = sequence.state === "running" && sequence.knownTokens === sequence.computedTokens + 1;
    if (!isReady || run.proposed || isGreedy(request) || isHidden(request)) continue;
    if (request.propose === undefined) continue;
    run.proposed = true;
    const guesses = request.propose();
    if (!(guesses instanceof Promise)) sequence.draft(guesses);
    else {
      asked.push(
        guesses.then((tokens) => {
          // The run may have ended meanwhile, or lost its pages.
          if (runs.get(sequence) === run) sequence.draft(tokens);
        }),
      );
    }
  }
  if (asked.length > 0) await Promise.all(asked);
}
