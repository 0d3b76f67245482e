// The JSON API that everybody gets. Paths are relative to the page, so it works below any address.
import { roughly } from "./clock.js";

/** What went wrong, in words for people; `status` 0: nobody answered. */
export class Problem extends Error {
  constructor(status, title, detail, errors = []) {
    super(detail || title);
    Object.assign(this, { name: "Problem", status, title, detail, errors });
  }

  /** Whether what was to be done may have been done all the same. */
  get isOpen() { return this.status === 0 || this.status >= 500; }
}

const url = (path, query) => {
  const address = new URL(path, document.baseURI);
  for (const [name, value] of Object.entries(query ?? {})) {
    if (value !== "" && value !== null && value !== undefined) address.searchParams.set(name, value);
  }
  return address;
};

async function ask(path, { query, ...options }) {
  let answer;
  try {
    answer = await fetch(url(path, query), { cache: "no-store", signal: AbortSignal.timeout(15_000), ...options });
  } catch (error) {
    throw error.name === "TimeoutError"
      ? new Problem(0, "No answer", "the coordinator did not answer within 15 seconds")
      : new Problem(0, "Not reached", "the coordinator cannot be reached from this browser right now");
  }
  roughly(answer.headers.get("date"));
  const body = await answer.json().catch(() => null);
  if (!answer.ok) {
    throw new Problem(answer.status, body?.title ?? answer.statusText, body?.detail ?? "", body?.errors);
  }
  return body;
}

/** Ask for something; `token` shows that an operator asks. */
export const get = (path, query, token) =>
  ask(path, { query, headers: token ? { Authorization: `Bearer ${token}` } : {} });

/** Send something, or text that is JSON already; `headers` besides. */
export const post = (path, body, headers = {}) =>
  ask(path, { method: "POST", body: typeof body === "string" ? body : JSON.stringify(body), headers: { "Content-Type": "application/json", ...headers } });
