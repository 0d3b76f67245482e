// Says whether what is shown is current. Never claims it without news.
import { html } from "./html.js";
import { now } from "./clock.js";
import * as format from "./format.js";
import { connection, lastNews } from "./live.js";

const WORDS = { connecting: "Connecting", live: "Live", "catching up": "Catching up", resting: "Catching up", troubled: "Not live", lost: "Not live" };

/** One word in the corner. */
export function Connection() {
  const { kind } = connection.value;
  return html`<span class=${`connection ${kind.replace(" ", "-")}`} role="status"><i aria-hidden="true"></i>${WORDS[kind]}</span>`;
}

/** The banner that nobody overlooks, for as long as what is shown may be out of date. */
export function Outage() {
  const { kind, since, why } = connection.value;
  if (["live", "connecting", "resting"].includes(kind)) return null;
  const heard = lastNews.value;
  const asOf = heard === null ? "Nothing was heard since this page was opened" : `What you see is as of ${format.instant(new Date(heard).toISOString(), now.value)} UTC, ${format.ticking(now.value - heard)} ago`;
  return html`<div class="outage" role="alert">
    ${kind === "troubled" ? html`<p><strong>The coordinator cannot look: ${why}.</strong> <span>${asOf}.</span></p>`
      : kind === "lost"
      ? html`<p><strong>The connection to the coordinator is lost.</strong> <span>${asOf}.</span> <span>Reconnecting since ${format.ticking(now.value - since)}.</span></p>`
      : html`<p><strong>Connected again.</strong> <span>Loading what was missed.</span></p>`}
  </div>`;
}
