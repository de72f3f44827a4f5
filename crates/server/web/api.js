// The server's API: every request of this page goes through `ask`.

const STORED_KEY = "purser.api_key";

/** Tells of `key-wanted`: the server has refused a request for want of a valid key. */
export const notices = new EventTarget();

/** An answer that is an error, or none at all; `message` is for people. */
export class Refusal extends Error {
  constructor(status, message, field = null) {
    super(message);
    this.status = status;
    this.field = field;
  }

  /** Of an error in OpenAI's shape, which an event of a stream can be, too. */
  static of(status, error) {
    return new Refusal(status, error?.message ?? `HTTP status ${status}`, error?.param ?? null);
  }
}

/** Keeps the key in this tab. */
export function useKey(key) {
  sessionStorage.setItem(STORED_KEY, key);
}

/**
 * Asks the server and gives the response of a success.
 * Throws a `Refusal`, or the `AbortError` of its signal.
 */
export async function ask(path, { method = "GET", body = null, signal = null } = {}) {
  const headers = {};
  const key = sessionStorage.getItem(STORED_KEY);
  if (key !== null) headers.authorization = `Bearer ${key}`;
  if (body !== null) headers["content-type"] = "application/json";
  let response;
  try {
    response = await fetch(path, {
      method,
      headers,
      signal,
      body: body === null ? null : JSON.stringify(body),
      cache: "no-store",
    });
  } catch (error) {
    if (error.name === "AbortError") throw error;
    throw new Refusal(0, "The server cannot be reached.");
  }
  if (response.ok) return response;
  if (response.status === 401) notices.dispatchEvent(new Event("key-wanted"));
  const retry = response.headers.get("retry-after");
  const answer = await response.json().catch(() => null);
  const refusal = Refusal.of(response.status, answer?.error);
  if (retry !== null) refusal.message += ` (retry after ${retry} s)`;
  throw refusal;
}

/** The JSON of an answer. */
export async function read(path, options) {
  return (await ask(path, options)).json();
}
