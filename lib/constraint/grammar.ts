import { unsupported } from "../model/model-errors.js";
import { type Automaton, dead } from "./automaton.js";
import { toAutomaton } from "./determinize.js";
import type { Regular } from "./regular.js";

/** A context-free grammar whose terminals are automata: what nests in JSON. No expression takes the empty text. */
export type Expression =
  | { readonly kind: "terminal"; readonly automaton: Automaton }
  | { readonly kind: "then"; readonly first: Expression; readonly rest: Expression }
  | Choice;

/** Any one of the options; recursion is a choice that is filled in after its use. */
export interface Choice {
  readonly kind: "choice";
  options: readonly Expression[];
}

const maxExpressions = 20_000;

/** Makes the expressions of one grammar, keeps count of them, and makes equal terminals once. */
export class GrammarBuilder {
  readonly #made: Expression[] = [];
  readonly #terminals = new Map<string, Expression>();

  /** A terminal for an automaton that others may share. */
  terminal(automaton: Automaton): Expression {
    return this.#keep({ kind: "terminal", automaton });
  }

  /** A terminal for what a name stands for, made once per name. */
  named(name: string, make: () => Automaton): Expression {
    const known = this.#terminals.get(name);
    if (known !== undefined) return known;
    const terminal = this.terminal(make());
    this.#terminals.set(name, terminal);
    return terminal;
  }

  /** A terminal for an expression, made once per name. */
  regular(name: string, expression: Regular): Expression {
    return this.named(name, () => toAutomaton(expression));
  }

  sequence(...items: readonly Expression[]): Expression {
    return items.reduceRight((rest, first) => this.#keep({ kind: "then", first, rest }));
  }

  choice(...options: readonly Expression[]): Choice {
    const made: Choice = { kind: "choice", options };
    this.#keep(made);
    return made;
  }

  /**
   * Takes out options that no finite text satisfies, so that the matcher never walks into one.
   *
   * @returns whether any text satisfies the root
   */
  prune(root: Expression): boolean {
    const finite = new Set<Expression>();
    for (let before = -1; before < finite.size;) {
      before = finite.size;
      for (const expression of this.#made) if (isFinite(expression, finite)) finite.add(expression);
    }
    for (const expression of this.#made) {
      if (expression.kind === "choice") {
        expression.options = expression.options.filter((option) => finite.has(option));
      }
    }
    return finite.has(root);
  }

  #keep(expression: Expression): Expression {
    if (this.#made.length >= maxExpressions) {
      throw unsupported("the schema", `a grammar of at most ${maxExpressions} parts`, "more");
    }
    this.#made.push(expression);
    return expression;
  }
}

/** Whether some text satisfies the expression, as far as that is known of its parts. */
function isFinite(expression: Expression, finite: ReadonlySet<Expression>): boolean {
  switch (expression.kind) {
    case "terminal":
      return expression.automaton.start !== dead;
    case "then":
      return finite.has(expression.first) && finite.has(expression.rest);
    case "choice":
      return expression.options.some((option) => finite.has(option));
  }
}
