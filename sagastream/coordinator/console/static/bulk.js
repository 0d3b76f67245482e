// A repair of everything a filter finds: shown before it is begun, paced, and stopped when it goes wrong.
import { html, useSignal } from "./html.js";
import { Dialog, Reason } from "./dialog.js";
import * as format from "./format.js";
import { STATUSES, UNFINISHED } from "./marks.js";
import { act, identified } from "./operator.js";
import { go, to } from "./route.js";

const ACTS = { retry: "ask again for whatever is open", compensate: "turn back", abort: "abort, leaving open what is open" };

export function Bulk({ filter }) {
  const isAsking = useSignal(false);
  const preview = useSignal(null);
  const close = () => { isAsking.value = false; preview.value = null; };
  const canRepair = !filter.status || UNFINISHED.includes(filter.status);
  async function submit({ action, status, reason, perSecond }) {
    const body = { action, reason, filter: wanted(filter, status) };
    const found = await act("api/v1/repairs/preview", body);
    preview.value = { ...found, body, perSecond: Number(perSecond) };
  }
  async function begin() {
    const { body, count, perSecond } = preview.value;
    await act("api/v1/repairs", { ...body, atMost: Math.max(1, count), perSecond });
    close();
    go(to("repairs"));
  }
  const told = preview.value;
  return html`<span class="line">
    ${canRepair && html`<button type="button" onClick=${async () => { if (await identified()) isAsking.value = true; }}>Repair many…</button>`}
    <a href=${to("repairs")}>Repairs</a>
    ${isAsking.value && !told && html`<${Dialog} key="ask" title="Repair all sagas that fit" verb="Show what it would do" submit=${submit} close=${close}>
      <p>${inWords(filter)} Nothing is done yet: first you see how many sagas there are and what would become of some.</p>
      <label>Status <select name="status">${UNFINISHED.map((status) => html`<option key=${status} value=${status} selected=${status === (filter.status || "NeedsAttention")}>${STATUSES[status].words}</option>`)}</select></label>
      <label>What to do <select name="action">${Object.entries(ACTS).map(([name, words]) => html`<option key=${name} value=${name}>${words}</option>`)}</select></label>
      <label>Sagas per second <input name="perSecond" type="number" min="0.01" max="200" step="any" value="20" required /></label>
      <${Reason} />
    </${Dialog}>`}
    ${told && html`<${Dialog} key="begin" title=${`${told.exact ? "" : "At least "}${format.many(told.count, "saga")}`} verb=${told.count === 0 ? "Close" : `Begin: ${ACTS[told.body.action]}`} isGrave=${told.body.action === "abort"} submit=${told.count === 0 ? close : begin} close=${close}>
      <p>${told.count === 0 ? "No saga fits; there is nothing to do." : `They are visited at ${told.perSecond} per second, until too many fail. Of some of them it would lead to:`}</p>
      <ul class="bullets">${told.sample.map((one) => html`<li key=${one.sagaId}><span class="id">${one.sagaId}</span> <span class="faint">${one.waitsFor}</span>: ${one.told}</li>`)}</ul>
    </${Dialog}>`}
  </span>`;
}

function wanted(filter, status) {
  const body = { status };
  for (const name of ["businessProcess", "step", "id"]) if (filter[name]) body[name] = filter[name];
  if (filter.olderThan) body.olderThan = Number(filter.olderThan);
  if (filter.stuck) body.stuck = true;
  return body;
}

function inWords(filter) {
  const told = [filter.businessProcess && `of ${filter.businessProcess}`, filter.step && `that wait at ${filter.step}`,
    filter.olderThan && `older than ${format.lasting(Number(filter.olderThan) * 1000)}`, filter.stuck && "that are stuck", filter.id && `whose id begins with ${filter.id}`].filter(Boolean);
  return told.length > 0 ? `The filter of the list is kept: sagas ${told.join(", ")}.` : "The list is not filtered: all sagas of the status you choose.";
}
