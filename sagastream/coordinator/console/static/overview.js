// What needs attention first, then how things go: now, and over the last hour.
import { html } from "./html.js";
import { get } from "./api.js";
import { now } from "./clock.js";
import * as format from "./format.js";
import { Badge, UNFINISHED, STATUSES, Mark } from "./marks.js";
import { Ago, Empty, Head, Instant, Loading, SagaLink, Trouble, Until, Waiting } from "./parts.js";
import { useResource } from "./resource.js";
import { to } from "./route.js";
import { isSomebodyLate, isStuck } from "./stuck.js";

const SHOWN = 6;
const TICK_MS = 2000;

export function Overview() {
  return html`<h1 class="hidden">Overview</h1><${Attention} /><${Figures} />`;
}

function Attention() {
  const { data, problem, reload } = useResource(
    () => get("api/v1/sagas", { stuck: true, order: "oldest", limit: SHOWN }),
    [],
    (news) => isSomebodyLate(news) || news.kind === "sagas" && news.sagas.some((saga) =>
      isStuck(saga, now.peek()) || data.peek()?.sagas.some((shown) => shown.sagaId === saga.sagaId)),
  );
  const page = data.value;
  return html`<section aria-labelledby="attention">
    <header class="head"><h2 id="attention">Needs attention</h2>
      ${page?.sagas.length > 0 && html`<a href=${to("sagas", [], { stuck: "true" })}>${page.next ? `All of them (these are the oldest ${page.sagas.length})` : "As a list, with actions"}</a>`}
    </header>
    <${Trouble} problem=${problem.value} retry=${reload} what="What needs attention could not be loaded" />
    ${!page ? (problem.value ? null : html`<${Loading} what="what needs attention" />`)
      : page.sagas.length === 0 && page.next ? html`<${Empty} title="None of the oldest needs attention."><p>There are more unfinished sagas than are looked through at once. <a href=${to("sagas", [], { stuck: "true", cursor: page.next })}>Look further</a></p></${Empty}>`
      : page.sagas.length === 0 ? html`<${Empty} title="Nothing needs attention."><p>No saga is stuck: none waits for a person, none was asked twice, none is past its time.</p></${Empty}>`
      : html`<ul class="cards">${page.sagas.map((saga) => html`<${Stuck} key=${saga.sagaId} saga=${saga} />`)}</ul>`}
  </section>`;
}

function Stuck({ saga }) {
  const wait = saga.waitingFor;
  return html`<li class=${`card stuck ${STATUSES[saga.status].tone}`}>
    <p class="line"><${Badge} status=${saga.status} /> <${SagaLink} id=${saga.sagaId} /> <span class="faint">${saga.businessProcess}${saga.initiatorId && ` · ${saga.initiatorId}`}</span></p>
    ${wait && html`<dl class="facts">
      <div><dt>Waits for</dt><dd><${Waiting} wait=${wait} /></dd></div>
      <div><dt>Since</dt><dd><${Instant} at=${wait.since} /> <span class="faint">(<${Ago} since=${wait.since} />)</span></dd></div>
      <div><dt>Until</dt><dd>${wait.until ? html`<${Instant} at=${wait.until} /> <span class="faint">(<${Until} at=${wait.until} />)</span>` : "a person acts"}</dd></div>
    </dl>`}
    ${saga.failureReason && html`<p class="why">${saga.failureReason}</p>`}
  </li>`;
}

/** All statistics the page shows, asked for in one go so that they belong together. */
async function load() {
  const [all, hour, minute, series] = await Promise.all([
    get("api/choreographedsaga/statistics"),
    get("api/choreographedsaga/statistics", { window: "PT1H" }),
    get("api/choreographedsaga/statistics", { window: "PT1M" }),
    get("api/choreographedsaga/metrics"),
  ]);
  return { all, hour, minute, oldest: sample(series, "choreographed_saga_oldest_unfinished_seconds") };
}

const sample = (series, name) => series[name]?.samples?.[0]?.value ?? null;

function Figures() {
  let asked = 0;
  const { data, problem, reload } = useResource(load, [], (news) => {
    if (news.kind !== "figures" || performance.now() - asked < TICK_MS) return false;
    asked = performance.now();
    return true;
  });
  const told = data.value;
  if (!told) return problem.value ? html`<${Trouble} problem=${problem.value} retry=${reload} what="The figures could not be loaded" />` : html`<${Loading} what="figures" />`;
  const { all, hour, minute } = told;
  return html`<section aria-labelledby="now">
      <header class="head"><h2 id="now">Now</h2><span class="faint">as of <${Instant} at=${all.to} /></span></header>
      <${Trouble} problem=${problem.value} retry=${reload} what="These figures are not current" />
      <ul class="tiles">
        <${Tile} name="Begun" value=${perSecond(minute)} more=${`${perSecond(hour)} over ${span(hour)}`} />
        <${Tile} name="Completed of ended" value=${format.share(minute.successRate)} more=${`${format.share(hour.successRate)} over ${span(hour)}`} />
        <${Tile} name="Active" value=${format.count(all.active)} more=${UNFINISHED.filter((status) => all.byStatus[status]).map((status) => `${format.count(all.byStatus[status])} ${STATUSES[status].words.toLowerCase()}`).join(", ") || "nothing is under way"} href=${to("sagas", [], { unfinished: "true" })} />
        <${Tile} name="Oldest unfinished" value=${told.oldest === null || all.active === 0 ? "–" : format.lasting(told.oldest * 1000)} more=${all.active === 0 ? "nothing is unfinished" : "since it began"} />
        <${Tile} name="Duration, half within" value=${format.lasting(minute.duration.p50Ms ?? hour.duration.p50Ms)} more=${`95 % within ${format.lasting(hour.duration.p95Ms)} over ${span(hour)}`} />
      </ul>
      <${Ends} hour=${hour} all=${all} />
    </section>
    ${hour.processes.map((one) => html`<${Steps} key=${one.businessProcess} process=${one} span=${span(hour)} />`)}`;
}

const spanMs = (window) => (window.from ? Date.parse(window.to) - Date.parse(window.from) : 0);
const span = (window) => `the last ${spanMs(window) > 3_540_000 ? "hour" : format.lasting(spanMs(window))}`;
const perSecond = (window) => (spanMs(window) >= 1000 ? format.rate((window.started * 1000) / spanMs(window)) : "–");

function Tile({ name, value, more, href }) {
  const inner = html`<span class="name">${name}</span><span class="value">${value}</span><span class="more">${more}</span>`;
  return html`<li class="tile">${href ? html`<a href=${href}>${inner}</a>` : inner}</li>`;
}

function Ends({ hour, all }) {
  const ends = ["Completed", "Compensated", "Failed", "Aborted"];
  return html`<table class="grid compact"><caption>How sagas ended</caption>
    <thead><tr><th scope="col">Status</th><th scope="col" class="number">${format.cap(span(hour))}</th><th scope="col" class="number">Ever</th></tr></thead>
    <tbody>${ends.map((status) => html`<tr key=${status}>
      <th scope="row"><a class="plain" href=${to("sagas", [], { status })}><${Badge} status=${status} /></a></th>
      <td class="number">${format.count(hour.byStatus[status])}</td><td class="number">${format.count(all.byStatus[status])}</td>
    </tr>`)}</tbody></table>`;
}


function Steps({ process, span: within }) {
  const slowest = Math.max(1, ...process.steps.map((step) => step.duration.p95Ms ?? 0));
  return html`<section>
    <${Head} title=${`Steps of ${process.businessProcess}, ${within}`}><a href=${to("map")}>as a map</a></${Head}>
    <div class="scroll" role="region" aria-label=${`Steps of ${process.businessProcess}`} tabindex="0"><table class="grid">
      <thead><tr><th scope="col">Step</th><th scope="col" class="number">Done</th><th scope="col" class="number">Refused</th><th scope="col" class="number">Undone</th>
        <th scope="col" class="number">Late</th><th scope="col" class="number">Gave up</th><th scope="col" class="number">Half within</th><th scope="col" class="number">95 % within</th><th scope="col" class="wide"><span class="hidden">95 % within, drawn</span></th></tr></thead>
      <tbody>${process.steps.map((step) => html`<tr key=${step.name}>
        <th scope="row"><a class="plain" href=${to("sagas", [], { step: step.name })}>${step.name}</a></th>
        <td class="number">${format.count(step.done)}</td>
        <${Trouble1} count=${step.refused} /><td class="number">${format.count(step.undone)}</td>
        <${Trouble1} count=${step.timeouts} /><${Trouble1} count=${step.gaveUp + step.undoFailures} />
        <td class="number">${format.lasting(step.duration.p50Ms)}</td><td class="number">${format.lasting(step.duration.p95Ms)}</td>
        <td class="wide"><span class="bar" style=${{ inlineSize: `${Math.round((100 * (step.duration.p95Ms ?? 0)) / slowest)}%` }}></span></td>
      </tr>`)}</tbody></table></div>
  </section>`;
}

/** A count of what went wrong, marked where there is any. */
const Trouble1 = ({ count }) => html`<td class=${`number ${count ? "some" : ""}`}>${count ? html`<${Mark} shape="bang" /> ` : ""}${format.count(count)}</td>`;
