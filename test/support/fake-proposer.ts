import type { Draft, DraftRequest, Proposer, ProposerName, Prospect } from "../../lib/decoding/proposer.js";

/** A proposer that offers and drafts what a test says, and notes what it was asked. */
export class FakeProposer implements Proposer {
  readonly name: ProposerName;
  readonly strengths = 2;
  readonly isFree: boolean;
  readonly requests: DraftRequest[] = [];
  prospect: Prospect | undefined = { strength: 0, limit: 100 };
  /** Answers propose(); the default guesses 7 as often as it may. */
  answer: (request: DraftRequest) => Draft | Promise<Draft> = ({ limit }) => ({
    tokens: Array.from({ length: limit }, () => 7),
  });
  begins = 0;
  looks = 0;
  cancels = 0;

  constructor(name: ProposerName) {
    this.name = name;
    this.isFree = name === "ngram";
  }

  begin(): void {
    this.begins += 1;
  }

  look(): Prospect | undefined {
    this.looks += 1;
    return this.prospect;
  }

  propose(_text: unknown, request: DraftRequest): Draft | Promise<Draft> {
    this.requests.push(request);
    return this.answer(request);
  }

  cancel(): void {
    this.cancels += 1;
  }
}
