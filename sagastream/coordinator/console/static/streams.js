// Who has read how far: each group on each stream, the furthest behind first.
import { html } from "./html.js";
import { get } from "./api.js";
import * as format from "./format.js";
import { Mark } from "./marks.js";
import { Empty, Head, Loading, Trouble } from "./parts.js";
import { useResource } from "./resource.js";

const EVERY_MS = 2000;
const SERIES = { lag: "stream_lag_entries", pending: "stream_pending_entries", oldest: "stream_oldest_pending_seconds" };

async function load() {
  const families = await get("api/choreographedsaga/metrics");
  const groups = new Map();
  for (const [name, series] of Object.entries(SERIES)) {
    for (const { labels, value } of families[`choreographed_saga_${series}`]?.samples ?? []) {
      const key = `${labels.stream} ${labels.group}`;
      groups.set(key, { stream: labels.stream, group: labels.group, ...groups.get(key), [name]: value });
    }
  }
  return [...groups.values()].sort((one, other) => weight(other) - weight(one) || (one.stream < other.stream ? -1 : 1));
}

const weight = (one) => (one.oldest ?? 0) * 1e6 + (one.lag ?? 0) + (one.pending ?? 0);

export function Streams() {
  let asked = 0;
  const { data, problem, reload } = useResource(load, [], (news) => {
    if (performance.now() - asked < EVERY_MS) return false;
    asked = performance.now();
    return news.kind !== "reset";
  });
  const groups = data.value;
  const behind = groups?.filter((one) => one.lag > 0 || one.pending > 0) ?? [];
  return html`<${Head} level=${1} title="Streams">${groups && html`<span class="faint">${format.many(behind.length, "group")} of ${groups.length} ${behind.length === 1 ? "has" : "have"} something to do</span>`}</${Head}>
    <${Trouble} problem=${problem.value} retry=${reload} what=${groups ? "This is not current" : "The streams could not be loaded"} />
    ${!groups ? (problem.value ? null : html`<${Loading} what="streams" />`)
      : groups.length === 0 ? html`<${Empty} title="There is no stream yet."><p>Streams come into being with the first event.</p></${Empty}>`
      : html`<div class="scroll" role="region" aria-label="Streams" tabindex="0"><table class="grid">
        <thead><tr><th scope="col">Stream</th><th scope="col">Group</th><th scope="col" class="number">Not read yet</th><th scope="col" class="number">Read, not settled</th><th scope="col" class="number">Oldest of these</th></tr></thead>
        <tbody>${groups.map((one) => html`<tr key=${`${one.stream} ${one.group}`}><th scope="row" class="id">${one.stream}</th><td class="who">${one.group}</td>
          <${Amount} value=${one.lag} /><${Amount} value=${one.pending} /><td class="number">${one.pending > 0 ? format.lasting(one.oldest * 1000) : "–"}</td></tr>`)}</tbody></table></div>`}`;
}

const Amount = ({ value }) => html`<td class=${`number ${value > 0 ? "some" : ""}`}>${value > 0 ? html`<${Mark} shape="clock" /> ` : ""}${format.count(value)}</td>`;
