// Each table as a graph: the way forward down the middle, refusals and undos beside it, with counts on every edge.
import { html } from "./html.js";
import { get } from "./api.js";
import { definitions } from "./about.js";
import * as format from "./format.js";
import { Empty, Head, Trouble } from "./parts.js";
import { useResource } from "./resource.js";
import { go, route, to } from "./route.js";

const WINDOWS = [["PT1M", "last minute"], ["PT1H", "last hour"], ["P1D", "last day"], ["", "ever"]];
const EVERY_MS = 2000;
const ROW = 92;
const NODE = { w: 190, h: 46 };

export function Map_() {
  const window = route.value.query.get("window") ?? "PT1H";
  let asked = 0;
  const { data, problem, reload } = useResource(() => get("api/choreographedsaga/statistics", { window: window === "ever" ? "" : window }), [window], (news) => {
    if (news.kind !== "figures" || performance.now() - asked < EVERY_MS) return false;
    asked = performance.now();
    return true;
  });
  const tables = definitions.value;
  return html`<${Head} level=${1} title="Map"><label class="check">Counted over the <select onChange=${(event) => go(to("map", [], { window: event.target.value || "ever" }))}>
      ${WINDOWS.map(([value, words]) => html`<option key=${words} value=${value} selected=${value === (window === "ever" ? "" : window)}>${words}</option>`)}</select></label></${Head}>
    <${Trouble} problem=${problem.value} retry=${reload} what="The counts are not current" />
    ${tables.length === 0 ? html`<${Empty} title="No table is known yet." />` : tables.map((table) => html`<${Graph} key=${`${table.businessProcess} ${table.version}`} table=${table} counts=${data.value?.processes.find((one) => one.businessProcess === table.businessProcess)} />`)}`;
}

/** Counts with their words; those without a mark are told only where there are any. */
function counted(parts) {
  return parts.filter(([number, , isAlways]) => isAlways || number > 0)
    .map(([number, words]) => `${number === undefined ? "…" : format.count(number)} ${words}`).join(", ");
}

function Graph({ table, counts }) {
  const of = (name) => counts?.steps.find((one) => one.name === name) ?? {};
  const pivot = table.steps.findIndex((one) => one.pivot);
  const isAfterPivot = (n) => pivot >= 0 && n > pivot + 1;
  const height = (table.steps.length + 2) * ROW;
  const [left, right] = [20, 362];
  const mid = left + NODE.w / 2;
  const side = left + NODE.w;
  const y = (n) => 16 + n * ROW;
  const nodes = [{ name: "begin", service: table.begunBy }, ...table.steps];
  const turning = nodes.filter((_, n) => !isAfterPivot(n)).length;
  return html`<section aria-label=${`Map of ${table.businessProcess}`}><h2>${table.businessProcess} <span class="faint">v${table.version}</span></h2>
    <div class="scroll sheet" role="region" aria-label=${`Graph of ${table.businessProcess}`} tabindex="0"><svg class="map" viewBox=${`0 0 540 ${height}`} role="group" aria-label=${nodes.map((one) => one.name).join(", then ")}>
      <defs><marker id="tip" viewBox="0 0 8 8" refX="7" refY="4" markerWidth="8" markerHeight="8" orient="auto-start-reverse"><path d="M0 0L8 4L0 8Z" /></marker></defs>
      ${nodes.map((one, n) => html`<g key=${one.name}>
        <a href=${to("sagas", [], { step: one.name })}><rect class=${`node ${one.pivot ? "pivot" : ""}`} x=${left} y=${y(n)} width=${NODE.w} height=${NODE.h} rx="8" />
          <text class="name" x=${mid} y=${y(n) + 20} text-anchor="middle">${one.name}</text><text class="by" x=${mid} y=${y(n) + 36} text-anchor="middle">${one.service}${one.pivot ? " · point of no return" : ""}</text></a>
        <path class="edge" d=${`M${mid} ${y(n) + NODE.h}V${y(n + 1) - 2}`} marker-end="url(#tip)" />
        <${Count} edge=${`${one.name} forward`} x=${mid + 10} y=${y(n) + NODE.h + 27} parts=${[n === 0 ? [counts?.started, "begun", true] : [of(one.name).done, "done", true]]} />
        ${n > 0 && html`<path class="edge refused" d=${`M${side} ${y(n) + 14}H${right - 2}`} marker-end="url(#tip)" />
          <${Count} edge=${`${one.name} against`} x=${side + 8} y=${y(n) + 9} parts=${[[of(one.name).refused, "refused", Boolean(one.refused)], [one.pivot ? of(one.name).barred : 0, "barred", one.pivot], [of(one.name).timeouts, "late", !one.refused && !one.pivot], [of(one.name).gaveUp, "gave up"]]} />
          ${isAfterPivot(n) && html`<text class="count" x=${right + 6} y=${y(n) + 18}>needs attention</text>`}`}
        ${(one.undone || (n === 0 && table.cancelledBy)) && html`<path class="edge undone" d=${`M${right} ${y(n) + 34}H${side + 2}`} marker-end="url(#tip)" />
          ${n === 0 ? html`<text class="count" x=${side + 8} y=${y(n) + 48}>undone last</text>`
            : html`<${Count} edge=${`${one.name} back`} x=${side + 8} y=${y(n) + 48} parts=${[[of(one.name).undone, "undone", true], [of(one.name).barred, "barred"], [of(one.name).undoFailures, "failed"]]} />`}`}
      </g>`)}
      <path class="spine" d=${`M${right} ${y(0) + 34}V${y(turning - 1) + 14}`} />
      <${Count} edge="turned back" x=${right + 10} y=${y(0) + 30} parts=${[[counts?.turnedBack, "turned back:", true]]} /><text class="count" x=${right + 10} y=${y(0) + 48}>undone, newest first</text>
      ${[["Compensated", "compensated"], ["Failed", "failed"], ["Compensating", "under way"]].map(([status, words], n) => html`<${Count} key=${status} edge=${status} x=${right + 10} y=${y(0) + 70 + 18 * n} parts=${[[counts?.byStatus[status], words, true]]} />`)}
      <rect class="node end" x=${left} y=${y(nodes.length)} width=${NODE.w} height=${NODE.h} rx="23" /><text class="name" x=${mid} y=${y(nodes.length) + 20} text-anchor="middle">Completed</text><text class="by" data-edge="Completed" x=${mid} y=${y(nodes.length) + 36} text-anchor="middle">${counts ? format.count(counts.byStatus.Completed) : "…"}</text>
    </svg></div></section>`;
}

const Count = ({ edge, x, y, parts }) => html`<text class="count" data-edge=${edge} x=${x} y=${y}>${counted(parts)}</text>`;
