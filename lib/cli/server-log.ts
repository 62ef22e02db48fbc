import type { FastifyBaseLogger } from "fastify";
import { pino } from "pino";

import type { CliIo } from "./io.js";

/** Names of pino's levels by their number. */
const levels: Readonly<Record<number, string>> = {
  10: "trace",
  20: "debug",
  30: "info",
  40: "warn",
  50: "error",
  60: "fatal",
};

const frameNames: ReadonlySet<string> = new Set(["level", "time", "msg", "pid", "hostname", "reqId"]);

/** A line of pino as people read it: `17:03:11 info request method=POST route=/v1/models status=200`. */
export function readableLine(line: string): string {
  const entry = JSON.parse(line) as Readonly<Record<string, unknown>>;
  const { level, time, msg } = entry;
  const clock = new Date(Number(time)).toISOString().slice(11, 19);
  const fields = Object.entries(entry)
    .filter(([name]) => !frameNames.has(name))
    .map(([name, value]) => `${name}=${typeof value === "string" ? value : JSON.stringify(value)}`);
  const words = [
    clock,
    levels[Number(level)] ?? String(level),
    ...(typeof msg === "string" ? [msg] : []),
    ...fields,
  ];
  return `${words.join(" ")}\n`;
}

/** A logger that writes to stderr: JSON for programs, or lines for people. */
export function createLogger(io: CliIo, isJson: boolean): FastifyBaseLogger {
  const write = (line: string): void => {
    io.stderr.write(isJson ? line : readableLine(line));
  };
  return pino({ level: "info" }, { write });
}
