// The server's clock as this page knows it. All ages on the page are counted by it, never by the visitor's own clock.
import { signal } from "./html.js";

let aheadMs = 0;

/** The server's instant (epoch ms), moving on once a second. */
export const now = signal(Date.now());

/** The server's instant (epoch ms) at this very moment. */
export const exactly = () => Date.now() + aheadMs;

/** Take over what the server said the instant was. */
export function told(instant) {
  const at = typeof instant === "number" ? instant : Date.parse(instant);
  if (Number.isNaN(at)) return;
  aheadMs = at - Date.now();
}

/** Take over a `Date` header, which knows seconds only. */
export function roughly(header) {
  const at = Date.parse(header ?? "");
  if (!Number.isNaN(at) && Math.abs(at - exactly()) > 2000) told(at + 500);
}

setInterval(() => { now.value = exactly(); }, 1000);
