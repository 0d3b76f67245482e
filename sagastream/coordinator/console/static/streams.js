// Who reads which stream, how far, and since when something waits there: what needs a look first.
import { html } from "./html.js";
import { get } from "./api.js";
import * as format from "./format.js";
import { Mark } from "./marks.js";
import { Empty, Head, Instant, Loading, Trouble } from "./parts.js";
import { useResource } from "./resource.js";

const EVERY_MS = 2000;

/** Each group on each stream as one row; a stream that nobody reads is a row too. */
function rows({ streams }) {
  const found = streams.flatMap((stream) => (stream.groups.length > 0 ? stream.groups : [null]).map((group) => ({ stream, group })));
  return found.sort((one, other) => weight(other) - weight(one) || (one.stream.name < other.stream.name ? -1 : 1));
}

function weight({ stream, group }) {
  if (stream.problem || group?.missing) return Infinity;
  if (!group) return -1;
  return Math.max(group.oldestPendingAgeMs ?? 0, group.oldestUnreadAgeMs ?? 0) * 1000 + (group.lag ?? 0) + group.pending;
}

const hasWork = ({ group }) => group && (group.lag !== 0 || group.pending > 0);

export function Streams() {
  let asked = 0;
  const { data, problem, reload } = useResource(() => get("api/v1/streams"), [], (news) => {
    if (news.kind !== "figures" || performance.now() - asked < EVERY_MS) return false;
    asked = performance.now();
    return true;
  });
  const told = data.value;
  const all = told ? rows(told) : [];
  const behind = all.filter(hasWork).length;
  return html`<${Head} level=${1} title="Streams">${told && html`<span class="faint">as of <${Instant} at=${told.at} />: ${format.many(behind, "group")} of ${all.filter((one) => one.group).length} ${behind === 1 ? "has" : "have"} something to do</span>`}</${Head}>
    <${Trouble} problem=${problem.value} retry=${reload} what=${told ? "This is not current" : "The streams could not be loaded"} />
    ${!told ? (problem.value ? null : html`<${Loading} what="streams" />`)
      : all.length === 0 ? html`<${Empty} title="There is no stream yet."><p>Streams come into being with the first event.</p></${Empty}>`
      : html`<div class="scroll" role="region" aria-label="Streams" tabindex="0"><table class="grid streams">
        <thead><tr><th scope="col">Stream</th><th scope="col" class="number">Entries</th><th scope="col">Read by</th><th scope="col" class="number">Not read yet</th><th scope="col" class="number">Oldest of these</th><th scope="col" class="number">Read, not settled</th><th scope="col" class="number">Oldest of these</th><th scope="col">Processes</th></tr></thead>
        <tbody>${all.map((one) => html`<${Row} key=${`${one.stream.name} ${one.group?.name}`} ...${one} />`)}</tbody></table></div>`}`;
}

function Row({ stream, group }) {
  return html`<tr><th scope="row"><span class="id">${stream.name}</span> <span class="faint">by ${stream.owner}</span>
      ${stream.problem && html`<p class="reason">${stream.problem}</p>`}</th><td class="number">${format.count(stream.length)}</td>
    ${!group ? html`<td class="faint">nobody</td><td colspan="5"></td>` : html`<td class="who">${group.name}${group.missing && html` <span class="some"><${Mark} shape="bang" /> is missing</span>`}</td>
      <${Amount} value=${group.lag} /><${Age} of=${group.oldestUnreadAgeMs} />
      <${Amount} value=${group.pending} /><${Age} of=${group.oldestPendingAgeMs} />
      <td>${group.consumers.length === 0 ? html`<span class="faint">none</span>` : html`<ul>${group.consumers.map((each) => html`<li key=${each.name}><span class="id">${each.name}</span> <span class="faint">${heard(each)}</span></li>`)}</ul>`}</td>`}</tr>`;
}

const Amount = ({ value }) => (value === null
  ? html`<td class="number" title="nobody can tell, for entries were removed">unknown</td>`
  : html`<td class=${`number ${value > 0 ? "some" : ""}`}>${value > 0 ? html`<${Mark} shape="clock" /> ` : ""}${format.count(value)}</td>`);

const Age = ({ of }) => html`<td class="number">${format.lasting(of)}</td>`;

// Not every server tells when a consumer asked: one that was given nothing for long may be waiting, as it should.
function heard({ pending, askedAgeMs, givenAgeMs }) {
  return [
    pending > 0 && `holds ${format.count(pending)}`,
    askedAgeMs != null ? `asked ${format.lasting(askedAgeMs)} ago` : givenAgeMs != null && `given some ${format.lasting(givenAgeMs)} ago`,
  ].filter(Boolean).join(", ");
}
