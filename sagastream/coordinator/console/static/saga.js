// One saga, whole: where it stands, what it waits for, its lanes over time, every event, and what can be done.
import { html, useEffect, useSignal } from "./html.js";
import { get } from "./api.js";
import { Actions } from "./actions.js";
import { Chart } from "./chart.js";
import { exactly } from "./clock.js";
import * as format from "./format.js";
import { History } from "./history.js";
import { Badge } from "./marks.js";
import { Ago, Empty, Instant, Loading, Trouble, Until, Waiting } from "./parts.js";
import { useResource } from "./resource.js";
import { route, to } from "./route.js";

export function SagaPage() {
  const id = route.value.parts[0] ?? "";
  return html`<${OneSaga} key=${id} id=${id} />`;
}

export function OneSaga({ id, isPart = false }) {
  const { data, problem, reload } = useResource(
    () => get(`api/v1/sagas/${encodeURIComponent(id)}`),
    [id],
    (news) => news.kind === "sagas" && news.sagas.some((one) => one.sagaId === id),
  );
  const picked = useSignal(null);
  const saga = data.value;
  if (!saga && problem.value?.status === 404) return html`${!isPart && html`<h1 class="hidden">Saga ${id}</h1>`}<${Empty} title=${`${format.cap(problem.value.detail || `there is no saga ${id}`)}.`}><p>It may not have begun yet, or it ended so long ago that it is not kept any more. <a href=${to("sagas")}>All sagas</a></p></${Empty}>`;
  if (!saga) return problem.value ? html`${!isPart && html`<h1 class="hidden">Saga ${id}</h1>`}<${Trouble} problem=${problem.value} retry=${reload} />` : html`<${Loading} what="the saga" />`;
  const Title = isPart ? "h2" : "h1";
  return html`<div class="saga-head">
      <div class="line"><${Title}><span class="faint">${saga.businessProcess}</span> <span class="id">${saga.sagaId}</span></${Title}><${Badge} status=${saga.status} /></div>
      <dl class="facts">
        ${saga.initiatorId && html`<div><dt>For</dt><dd><a href=${to("sagas", [], { id: saga.initiatorId })}>${saga.initiatorId}</a></dd></div>`}
        <div><dt>Begun</dt><dd><${Instant} at=${saga.startedAt} exact /></dd></div>
        ${saga.durationMs !== null
          ? html`<div><dt>Ended</dt><dd><${Instant} at=${saga.completedAt ?? saga.failedAt} exact /> <span class="faint">(after ${format.lasting(saga.durationMs)})</span></dd></div>`
          : saga.startedAt && html`<div><dt>Age</dt><dd><${Ago} since=${saga.startedAt} /></dd></div>`}
        <div><dt>Table</dt><dd>${saga.businessProcess} v${saga.version}</dd></div>
      </dl>
      ${saga.failureReason && html`<p class="reason">${saga.failureReason}</p>`}
    </div>
    <${Trouble} problem=${problem.value} retry=${reload} what="What is shown is not current" />
    <${Why} saga=${saga} />
    <${Failing} saga=${saga} reload=${reload} />
    <${Open} saga=${saga} />
    <${Actions} saga=${saga} done=${reload} />
    <${Chart} saga=${saga} onPick=${(event) => { picked.value = event; }} />
    <${Steps} saga=${saga} />
    <${History} saga=${saga} picked=${picked} />`;
}

function Why({ saga }) {
  const wait = saga.waitingFor;
  if (!wait) return null;
  return html`<section class="sheet why-waiting" aria-label="Why it is waiting">
    <h2>Why it is waiting</h2>
    <dl class="facts big">
      <div><dt>For whom</dt><dd><${Waiting} wait=${wait} /></dd></div>
      <div><dt>For what</dt><dd>${wait.what}</dd></div>
      <div><dt>Since</dt><dd><${Instant} at=${wait.since} /> <span class="faint">(<${Ago} since=${wait.since} />)</span></dd></div>
      <div><dt>Until</dt><dd>${wait.until ? html`<${Instant} at=${wait.until} /> <span class="faint">(<${Until} at=${wait.until} />)</span>` : "a person acts"}</dd></div>
      <div><dt>Because</dt><dd>${wait.why}</dd></div>
      ${wait.next && html`<div><dt>What comes next</dt><dd>${wait.next}</dd></div>`}
    </dl>
  </section>`;
}

/** What is tried again. Nothing tells of an attempt, so it is asked for anew when the next one should be over. */
function Failing({ saga, reload }) {
  const next = saga.failing.map((one) => one.again).sort()[0];
  useEffect(() => {
    if (!next) return;
    const timer = setTimeout(reload, Math.max(0, Date.parse(next) - exactly()) + 1000);
    return () => clearTimeout(timer);
  }, [next, saga]);
  if (saga.failing.length === 0) return null;
  return html`<section aria-labelledby="failing"><header class="head"><h2 id="failing">What fails and is tried again</h2></header>
    <ul class="cards">${saga.failing.map((one) => html`<li class="card stuck bad" key=${one.service + one.handler}>
      <p><strong>${one.handler}</strong> <span class="faint">${one.service}</span></p><p>${one.reason}</p>
      <dl class="facts"><div><dt>Failed</dt><dd>${one.failed === 1 ? "once" : `${one.failed} times`}</dd></div>
        <div><dt>Tried again</dt><dd><${Instant} at=${one.again} /> <span class="faint">(<${Until} at=${one.again} />)</span></dd></div></dl>
    </li>`)}</ul></section>`;
}

function Open({ saga }) {
  if (saga.open.length === 0 && saga.leftOpen.length === 0) return null;
  return html`<section aria-labelledby="open"><header class="head"><h2 id="open">${saga.open.length > 0 ? "What keeps it from ending" : "What was left open"}</h2></header>
    <ul class="cards">
      ${saga.open.map((one) => html`<li class="card stuck bad" key=${one.step + one.problem}>
        <p><strong>${one.step}</strong> <span class="faint">${one.service}</span></p><p>${one.problem}</p>
        <dl class="facts"><div><dt>Since</dt><dd><${Instant} at=${one.since} /> <span class="faint">(<${Ago} since=${one.since} />)</span></dd></div>
          ${one.again && html`<div><dt>Asked again</dt><dd><${Instant} at=${one.again} /> <span class="faint">(<${Until} at=${one.again} />)</span></dd></div>`}</dl>
        <p class="faint">Any of these would close it:</p><ul class="bullets">${one.closedBy.map((way) => html`<li key=${way}>${way}</li>`)}</ul>
      </li>`)}
      ${saga.leftOpen.map((words) => html`<li class="card" key=${words}>${words}</li>`)}
    </ul></section>`;
}

const WORDS = { GaveUp: "Gave up", LedgerLost: "Ledger lost" };

function Steps({ saga }) {
  return html`<section aria-labelledby="steps"><header class="head"><h2 id="steps">Steps</h2></header>
    <div class="scroll" role="region" aria-label="Table of steps" tabindex="0"><table class="grid">
      <thead><tr><th scope="col">Step</th><th scope="col">Service</th><th scope="col">Stands at</th><th scope="col">Undo</th><th scope="col" class="number">Took</th><th scope="col">What went wrong</th></tr></thead>
      <tbody>${saga.steps.map((step) => html`<tr key=${step.name}>
        <th scope="row">${step.name}</th><td>${step.service}</td><td>${WORDS[step.status] ?? step.status}</td><td>${WORDS[step.undoStatus] ?? step.undoStatus ?? "–"}</td>
        <td class="number">${step.name === "begin" ? "–" : format.lasting(step.durationMs)}</td><td class="why">${step.error}</td>
      </tr>`)}</tbody></table></div></section>`;
}
