// Sagas as a list: by any filter, page by page, alive on its first page.
import { html, useEffect, useMemo } from "./html.js";
import { get } from "./api.js";
import { processes, steps } from "./about.js";
import { Bulk } from "./bulk.js";
import { now } from "./clock.js";
import { liveList } from "./live_list.js";
import { STATUSES } from "./marks.js";
import * as format from "./format.js";
import { Empty, Loading, Trouble } from "./parts.js";
import { go, route, to } from "./route.js";
import { Row } from "./row.js";

const FILTERS = ["status", "unfinished", "stuck", "businessProcess", "step", "olderThan", "id"];
const AGES = [[60, "1 minute"], [300, "5 minutes"], [3600, "1 hour"], [86400, "1 day"]];
const LIMIT = 100;
// What is stuck is read from the one that began first, everything else from the one that began last.
const ORDERS = { newest: { first: "Newest", next: "Older" }, oldest: { first: "Oldest", next: "Newer" } };

/** The filter that stands in the address. */
function wanted(query) {
  return Object.fromEntries(FILTERS.map((name) => [name, query.get(name) ?? ""]));
}

export function Sagas() {
  const query = route.value.query;
  const filter = wanted(query);
  const start = Object.fromEntries(["cursor", "from", "to"].map((name) => [name, query.get(name) ?? ""]));
  const isFirst = !Object.values(start).some(Boolean);
  const order = filter.stuck ? "oldest" : "newest";
  const key = JSON.stringify([filter, start]);
  const list = useMemo(() => liveList(filter, order, start, LIMIT), [key]);
  useEffect(() => list.start(), [list]);
  const rows = list.rows.value;
  const isFiltered = Object.values(filter).some(Boolean);
  return html`<div class="title"><h1>Sagas</h1><${Bulk} filter=${filter} /></div>
    <${Filters} filter=${filter} key=${key} />
    <${Trouble} problem=${list.problem.value} retry=${list.reload} what=${rows ? "This list is not current" : "The list could not be loaded"} />
    ${rows === null ? (list.problem.value ? null : html`<${Loading} what="sagas" />`)
      : html`<div class="listed" onPointerEnter=${list.hold} onPointerLeave=${list.release}>
        <p class="above"><span aria-live="polite">${summary(rows, list.next.value, isFirst, isFiltered, order)}</span>
          ${list.waiting.value > 0 && html`<button type="button" onClick=${list.release}>Show ${format.many(list.waiting.value, "new saga")}</button>`}
        </p>
        ${rows.length === 0
          ? html`<${Nothing} isFiltered=${isFiltered} next=${list.next.value} />`
          : html`<table class="grid sagas"><caption class="hidden">Sagas, the ${order} first</caption>
              <thead><tr><th scope="col" class="status">Status</th><th scope="col" class="saga">Saga</th><th scope="col" class="begun">Begun</th><th scope="col" class="took number">Took</th><th scope="col">Waits for</th><th scope="col" class="since">Since</th><th scope="col" class="until">Until</th><th scope="col">Why</th></tr></thead>
              <tbody>${rows.map((saga) => html`<${Row} key=${saga.sagaId} saga=${saga} />`)}</tbody></table>`}
        <${Pages} filter=${filter} order=${order} isFirst=${isFirst} next=${list.next.value} isEmpty=${rows.length === 0} />
      </div>`}`;
}

function summary(rows, next, isFirst, isFiltered, order) {
  if (rows.length === 0) return "";
  const which = !isFirst ? `${ORDERS[order].next.toLowerCase()} ones` : next ? `the ${order}` : isFiltered ? "all that fit" : "all there are";
  return `${format.many(rows.length, "saga")}: ${which}`;
}

function Nothing({ isFiltered, next }) {
  if (next) return html`<${Empty} title="None among those looked through so far."><p>There are more to look through; go on below.</p></${Empty}>`;
  return isFiltered
    ? html`<${Empty} title="No saga fits this filter."><p><a href=${to("sagas")}>Show all sagas</a></p></${Empty}>`
    : html`<${Empty} title="There is no saga yet."><p>The first one appears here as soon as it begins.</p></${Empty}>`;
}

function Pages({ filter, order, isFirst, next, isEmpty }) {
  if (isFirst && !next) return null;
  return html`<nav class="pages" aria-label="Pages">
    ${!isFirst && html`<a class="button" href=${to("sagas", [], filter)}>${ORDERS[order].first}</a>`}
    ${next ? html`<a class="button" href=${to("sagas", [], { ...filter, ...next })}>${isEmpty ? "Look further" : ORDERS[order].next}</a>` : html`<span class="faint">This is the end.</span>`}
  </nav>`;
}

function Filters({ filter }) {
  const change = (name) => (event) => {
    const value = event.target.type === "checkbox" ? (event.target.checked ? "true" : "") : event.target.value;
    go(to("sagas", [], { ...filter, [name]: value }));
  };
  async function search(event) {
    event.preventDefault();
    const id = String(new FormData(event.target).get("id")).trim();
    if (/^[A-Za-z0-9_-]{1,64}$/.test(id)) {
      const found = await get(`api/v1/sagas/${id}`).catch(() => null);
      if (found) return go(to("saga", [id]));
    }
    return go(to("sagas", [], { ...filter, id }));
  }
  const isFiltered = Object.values(filter).some(Boolean);
  return html`<form class="filters" onSubmit=${search} role="search">
    <label>Status <select onChange=${change("status")}>
      <option value="">any</option>
      ${Object.entries(STATUSES).map(([status, { words }]) => html`<option key=${status} value=${status} selected=${filter.status === status}>${words}</option>`)}
    </select></label>
    ${processes.value.length > 1 && html`<label>Process <select onChange=${change("businessProcess")}>
      <option value="">any</option>
      ${processes.value.map((name) => html`<option key=${name} value=${name} selected=${filter.businessProcess === name}>${name}</option>`)}
    </select></label>`}
    <label>Waits at <select onChange=${change("step")}>
      <option value="">any step</option>
      ${["begin", ...steps.value].map((name) => html`<option key=${name} value=${name} selected=${filter.step === name}>${name}</option>`)}
    </select></label>
    <label>Older than <select onChange=${change("olderThan")}>
      <option value="">any age</option>
      ${AGES.map(([seconds, words]) => html`<option key=${seconds} value=${seconds} selected=${filter.olderThan === String(seconds)}>${words}</option>`)}
    </select></label>
    <label class="check"><input type="checkbox" checked=${filter.stuck === "true"} onChange=${change("stuck")} /> Stuck</label>
    <label class="check"><input type="checkbox" checked=${filter.unfinished === "true"} onChange=${change("unfinished")} /> Unfinished</label>
    <label class="grow">Id begins with <input type="search" name="id" defaultValue=${filter.id} placeholder="saga or initiator" autocomplete="off" spellcheck=${false} maxlength="256" /></label>
    <button>Find</button>
    ${isFiltered && html`<a href=${to("sagas")}>Clear</a>`}
  </form>`;
}
