import { CommanderError } from "commander";

import { AirError } from "../errors/air-error.js";
import { AirConfigError } from "../tiers/config.js";

/** Exit statuses of `air`; anything but 0 means that the command did not do what was asked. */
export const exitStatus = { success: 0, failure: 1, usage: 2, interrupted: 130, brokenPipe: 141 } as const;

/** How an error leaves the process. */
export interface RenderedError {
  readonly status: number;
  /** For stderr: the message, then the remedy. */
  readonly text: string;
  /** For stdout, with --json. */
  readonly json: {
    readonly error: {
      readonly code: string;
      readonly message: string;
      readonly remedy: string;
      /** All that is wrong, where there is more than the message says. */
      readonly problems?: readonly object[];
    };
  };
}

/** Anything thrown, as an AirError: usage mistakes become AIR_ERR_ARGUMENT, the unforeseen AIR_ERR_INTERNAL. */
export function toAirError(thrown: unknown): AirError {
  if (thrown instanceof AirError) return thrown;
  if (thrown instanceof CommanderError) {
    const problem = thrown.message.replace(/^error: /, "").replaceAll("\n", " ");
    return new AirError("AIR_ERR_ARGUMENT", `expected usage as \`air --help\` shows but received ${problem}`);
  }
  const problem = thrown instanceof Error ? (thrown.stack ?? thrown.message) : String(thrown);
  return new AirError("AIR_ERR_INTERNAL", `expected no failure here but received ${problem}`, {
    cause: thrown,
  });
}

/** The one place that turns an error into an exit status, a message for people and an object for programs. */
export function renderError(thrown: unknown): RenderedError {
  const error = toAirError(thrown);
  const { code, message, remedy } = error;
  const problems = error instanceof AirConfigError ? { problems: error.problems } : {};
  return {
    status: code === "AIR_ERR_ARGUMENT" ? exitStatus.usage : exitStatus.failure,
    text: `${code}: ${message}\n${remedy}\n`,
    json: { error: { code, message, remedy, ...problems } },
  };
}
