import type { FastifyRequest } from "fastify";

import { invalidRequest } from "./http-errors.js";
import type { ServerContext } from "./server-context.js";

/** What a body may say of it. */
interface Asked {
  readonly user?: string | undefined;
  readonly air?:
    { readonly priority?: number | undefined; readonly timeout_ms?: number | undefined } | undefined;
}

/** How a request stands among the others. */
export interface RequestTerms {
  readonly cacheSalt: string | undefined;
  readonly user: string;
  readonly priority: number;
  readonly timeoutMs: number | undefined;
}

/**
 * On whose behalf a request is, and how it stands among others. A key is who asks, whatever the request says; without
 * keys it is the `user` that the request names, or the address. Prompts of different tenants share nothing that the time
 * to an answer could give away.
 *
 * @throws {ApiError} 400 for a priority above what the key has
 */
export function requestTerms(
  context: ServerContext,
  httpRequest: FastifyRequest,
  { air, user }: Asked,
): RequestTerms {
  const client = context.clientOf(httpRequest);
  const { priority: highest = 0, name = user ?? httpRequest.ip } = client ?? {};
  const { priority = highest, timeout_ms: asked = Infinity } = air ?? {};
  if (priority > highest) {
    throw invalidRequest(
      `expected at most ${highest} for air.priority but received ${priority}`,
      "air.priority",
    );
  }
  const timeoutMs = Math.min(asked, context.options.maxAnswerMs ?? Infinity);
  return {
    cacheSalt: client === undefined ? undefined : (client.tenant ?? client.name),
    user: name,
    priority,
    timeoutMs: timeoutMs === Infinity ? undefined : timeoutMs,
  };
}
