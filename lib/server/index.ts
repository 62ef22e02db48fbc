/**
 * air-runtime/server: serves a runtime to clients of the OpenAI API.
 *
 * @example
 * import { AirRuntime } from "air-runtime";
 * import { createServer } from "air-runtime/server";
 *
 * const runtime = await AirRuntime.create({ tiers: [{ name: "small", model: "small.gguf" }] });
 * await createServer(runtime).listen({ host: "127.0.0.1", port: 8080 });
 */
export { type AirServer, createServer } from "./server.js";
export type { GoldenOptions, ServerOptions } from "./server-options.js";
export type { CanaryOptions, CanaryReport } from "./canary.js";
export type { CanaryThresholds, VersionFigures } from "./canary-figures.js";
export type { GoldenReport } from "./golden-check.js";
export { type AnswerRecord, readLog, type RequestLogOptions } from "./request-log.js";
export type { ServedModel, ServedRuntime } from "./served-runtime.js";
export { type ApiKey, hashApiKey, parseApiKeys, readApiKeys } from "./api-keys.js";
export { ApiError, type ErrorBody, type ErrorForm, type ErrorType, httpErrors } from "./http-errors.js";
export { openApiDocument } from "./openapi.js";
