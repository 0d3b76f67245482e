// Where the visitor is: kept in the address after "#", so that every view can be sent to somebody else.
import { signal } from "./html.js";

// An address may be cut off or made up by hand.
const decoded = (part) => {
  try {
    return decodeURIComponent(part);
  } catch {
    return part;
  }
};

function read() {
  const [path, query] = location.hash.replace(/^#\/?/, "").split("?");
  const parts = path.split("/").map(decoded);
  return { view: parts[0] || "overview", parts: parts.slice(1), query: new URLSearchParams(query ?? "") };
}

/** The view, what follows it in the path, and its query. */
export const route = signal(read());

addEventListener("hashchange", () => { route.value = read(); });

/** The address of a view; what is empty in the query is left out. */
export function to(view, parts = [], query = {}) {
  const path = [view, ...parts.map(encodeURIComponent)].join("/");
  const told = Object.entries(query).filter(([, value]) => value !== "" && value !== null && value !== undefined);
  const search = new URLSearchParams(told).toString();
  return `#/${path}${search ? `?${search}` : ""}`;
}

/** Go there; `quietly` leaves no step to go back to. */
export function go(address, { quietly = false } = {}) {
  if (quietly) {
    history.replaceState(null, "", address);
    route.value = read();
  } else location.hash = address;
}
