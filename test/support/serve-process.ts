/** `air serve` in a process of its own. */
import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { fileURLToPath } from "node:url";

const main = fileURLToPath(new URL("../../lib/cli/main.ts", import.meta.url));

export interface ServeProcess extends AsyncDisposable {
  readonly url: string;
  readonly port: number;
  /** What it logged so far. */
  log(): string;
  kill(signal: "SIGTERM" | "SIGKILL"): void;
  /** Its exit status, or the signal that ended it. */
  readonly ended: Promise<number | string | null>;
}

/** Starts a server and waits until it is ready. */
export async function startServe(...args: readonly string[]): Promise<ServeProcess> {
  const options = ["serve", "--threads", "1", "--json-logs", ...args];
  const child: ChildProcess = spawn(process.execPath, ["--import", "tsx", main, ...options], {
    stdio: ["ignore", "ignore", "pipe"],
  });
  let log = "";
  child.stderr?.on("data", (chunk: Buffer) => (log += chunk.toString()));
  const ended = once(child, "exit").then(
    ([code, signal]: unknown[]) => (signal ?? code) as number | string | null,
  );
  let isOver = false;
  void ended.then(() => (isOver = true));
  const until = async <Value>(find: () => Value | undefined | Promise<Value | undefined>): Promise<Value> => {
    for (;;) {
      const value = await find();
      if (value !== undefined) return value;
      if (isOver) throw new Error(`expected a server but received ${log}`);
      await new Promise((resolve) => setTimeout(resolve, 20));
    }
  };
  const url = await until(() => /listening at (http:[^\s"]+)/.exec(log)?.[1]);
  await until(async () => ((await fetch(`${url}/ready`)).ok ? true : undefined));
  return {
    url,
    port: Number(new URL(url).port),
    log: () => log,
    kill: (signal) => child.kill(signal),
    ended,
    [Symbol.asyncDispose]: async () => {
      child.kill("SIGKILL");
      await ended;
    },
  };
}

/** A chat request as fetch() takes it. */
export function chatRequest(content: string, more: object = {}): RequestInit {
  const messages = [{ role: "user", content }];
  return {
    method: "POST",
    headers: { "content-type": "application/json" },
    body: JSON.stringify({ messages, max_tokens: 24, temperature: 0, ...more }),
  };
}

/** The text of the events of a stream. */
export function streamedText(body: string): string {
  let text = "";
  for (const line of body.split("\n\n")) {
    if (!line.startsWith("data: {")) continue;
    const { choices } = JSON.parse(line.slice(6)) as {
      readonly choices?: readonly { readonly delta?: { readonly content?: string } }[];
    };
    text += choices?.[0]?.delta?.content ?? "";
  }
  return text;
}
