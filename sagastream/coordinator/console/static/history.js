// Every event of a saga in its order: when, what, whose, why; with its payload for operators.
import { html, useEffect, useMemo, useSignal } from "./html.js";
import * as format from "./format.js";
import { Mark } from "./marks.js";
import { Instant } from "./parts.js";
import { Trouble } from "./parts.js";
import { Fields, isMasked } from "./letters.js";
import { getAsOperator } from "./operator.js";
import { story } from "./story.js";

export function History({ saga, picked }) {
  const told = useMemo(() => story(saga), [saga]);
  const start = Date.parse(saga.startedAt ?? saga.history[0]?.at);
  useEffect(() => {
    if (picked.value) document.getElementById(`event-${picked.value}`)?.scrollIntoView({ block: "nearest" });
  }, [picked.value]);
  return html`<section aria-labelledby="events"><header class="head"><h2 id="events">Events</h2><span class="faint">${format.many(told.length, "event")}, the oldest first</span></header>
    <ol class="events sheet">${told.map((one, n) => html`<${Told} key=${`${one.note.id} ${n}`} one=${one} start=${start} saga=${saga.sagaId} isPicked=${picked.value === one.note.id} pick=${(id) => { picked.value = id; }} />`)}</ol>
  </section>`;
}

function Told({ one, start, saga, isPicked, pick }) {
  const { note } = one;
  const whole = useSignal(null);
  const problem = useSignal(null);
  async function show({ unmasked }) {
    problem.value = null;
    if (whole.value && !unmasked) {
      whole.value = null;
      return;
    }
    try {
      whole.value = await getAsOperator(`api/v1/sagas/${encodeURIComponent(saga)}/history/${encodeURIComponent(note.id)}`, unmasked ? { unmasked } : {});
    } catch (error) {
      problem.value = error;
    }
  }
  const wasSent = !note.actor && note.kind !== "overdue" && note.kind !== "poisoned";
  return html`<li id=${`event-${note.id}`} class=${isPicked ? "picked" : ""}>
    <span class="when"><span class="number">+${format.lasting(Date.parse(note.at) - start)}</span> <${Instant} at=${note.at} exact /></span>
    <span class=${`word ${one.tone}`}><${Mark} shape=${one.shape} />${one.word}</span>
    <span class="what"><strong>${note.type}</strong>${note.step && html` <span class="faint">${note.step}</span>`}
      ${one.what && html`<span class="said">${one.what}</span>`}</span>
    <span class="from faint">${one.lane}${one.cause && html` · because of <button type="button" class="link" onClick=${() => pick(one.cause.id)}>${one.cause.type}</button>`}${wasSent && html` · <button type="button" class="link" aria-expanded=${whole.value !== null} onClick=${() => show({})}>${whole.value ? "hide" : "payload"}</button>${isMasked(whole.value) && html` · <button type="button" class="link" onClick=${() => show({ unmasked: true })}>as it was sent</button>`}`}</span>
    ${(whole.value || problem.value) && html`<div class="whole"><${Trouble} problem=${problem.value} what="The event cannot be shown" />${whole.value && html`<${Fields} whole=${whole.value} />`}</div>`}
  </li>`;
}
