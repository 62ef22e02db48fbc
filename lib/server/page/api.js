import { readEvents } from "./event-reader.js";

/** Where the server is: this file is at air/page, under whatever prefix. */
const root = new URL("../../", import.meta.url);
const keyName = "air-api-key";

/** The server refused. */
export class ApiFailure extends Error {
  /**
   * @param {number} status
   * @param {string} message
   */
  constructor(status, message) {
    super(message);
    this.status = status;
  }
}

/** @param {Response} response */
async function failureOf(response) {
  /** @type {{ error?: { message?: string } }} */
  const body = await response.json().catch(() => ({}));
  return new ApiFailure(response.status, body.error?.message ?? `The server answered ${response.status}.`);
}

/** The key for this tab; empty without one. */
export function storedKey() {
  return sessionStorage.getItem(keyName) ?? "";
}

/** @param {string} key - empty forgets it */
export function storeKey(key) {
  if (key === "") sessionStorage.removeItem(keyName);
  else sessionStorage.setItem(keyName, key);
}

/**
 * Asks the server.
 *
 * @param {string} path
 * @param {RequestInit} init
 * @throws {ApiFailure}
 */
async function request(path, init = {}) {
  const key = storedKey();
  const headers = new Headers(init.headers);
  if (key !== "") headers.set("authorization", `Bearer ${key}`);
  const response = await fetch(new URL(path, root), { ...init, headers, credentials: "omit" });
  if (response.ok) return response;
  throw await failureOf(response);
}

/**
 * Names of the tiers, and auto.
 *
 * @returns {Promise<string[]>}
 */
export async function listModels() {
  const response = await request("v1/models");
  /** @type {{ data: { id: string }[] }} */
  const { data } = await response.json();
  return data.map(({ id }) => id);
}

/**
 * The chunks of an answer.
 *
 * @param {object} body
 * @param {AbortSignal} signal
 * @returns {AsyncGenerator<import("./wire.js").Chunk, void>}
 */
export async function* streamAnswer(body, signal) {
  const response = await request("v1/chat/completions", {
    method: "POST",
    headers: { "content-type": "application/json" },
    body: JSON.stringify({ ...body, stream: true, stream_options: { include_usage: true } }),
    signal,
  });
  for await (const data of readEvents(response)) {
    if (data === "[DONE]") return;
    const chunk = JSON.parse(data);
    if (chunk.error !== undefined) throw new ApiFailure(200, chunk.error.message);
    yield chunk;
  }
  throw new ApiFailure(200, "The connection ended before the answer did.");
}

/**
 * Reports of how the server fares, one a second.
 *
 * @param {AbortSignal} signal
 * @returns {AsyncGenerator<import("./wire.js").LiveReport, void>}
 */
export async function* streamReports(signal) {
  const response = await request("air/live", { headers: { accept: "text/event-stream" }, signal });
  for await (const data of readEvents(response)) yield JSON.parse(data);
}
