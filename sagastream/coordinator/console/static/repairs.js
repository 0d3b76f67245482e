// Repairs of many sagas: how far each has come, and a way to stop it.
import { html, useSignal } from "./html.js";
import { Dialog, Reason } from "./dialog.js";
import * as format from "./format.js";
import { Empty, Head, Instant, Loading, Trouble } from "./parts.js";
import { act, getAsOperator } from "./operator.js";
import { ForOperators } from "./operators_only.js";
import { useResource } from "./resource.js";
import { to } from "./route.js";

export const Repairs = () => html`<${Head} level=${1} title="Repairs of many sagas"><a href=${to("sagas", [], { status: "NeedsAttention" })}>Begin one from a list</a></${Head}><${ForOperators}><${List} /></${ForOperators}>`;

function List() {
  const { data, problem, reload } = useResource(() => getAsOperator("api/v1/repairs"), [], (news) => news.kind === "figures" || news.kind === "sagas");
  const stopping = useSignal(null);
  if (!data.value) return problem.value ? html`<${Trouble} problem=${problem.value} retry=${reload} />` : html`<${Loading} what="repairs" />`;
  if (data.value.length === 0) return html`<${Empty} title="No repair was begun yet."><p>Filter the list of sagas, then choose “Repair many…”.</p></${Empty}>`;
  async function stop({ reason }) {
    await act(`api/v1/repairs/${stopping.value}/stop`, { reason });
    stopping.value = null;
    reload();
  }
  return html`<${Trouble} problem=${problem.value} retry=${reload} what="This is not current" />
    <div class="scroll" role="region" aria-label="Repairs" tabindex="0"><table class="grid">
      <thead><tr><th scope="col">Begun</th><th scope="col">Action</th><th scope="col">By</th><th scope="col">Reason</th><th scope="col">State</th><th scope="col" class="number">Visited</th><th scope="col" class="number">Changed</th><th scope="col" class="number">Refused</th><th scope="col" class="number">Failed</th><th scope="col">Why it ended</th><th scope="col"><span class="hidden">Stop</span></th></tr></thead>
      <tbody>${data.value.map((one) => html`<tr key=${one.id}>
        <th scope="row"><${Instant} at=${one.createdAt} /></th><td>${one.action}</td><td>${one.actor}</td><td>${one.reason}</td><td>${one.state}</td>
        <td class="number">${format.count(one.visited)} of ${format.count(one.atMost)}</td><td class="number">${format.count(one.changed)}</td><td class="number">${format.count(one.refused)}</td><td class="number">${format.count(one.failed)}</td>
        <td class="why">${one.why ?? one.problem}</td><td>${one.endedAt === null && html`<button type="button" class="danger" onClick=${() => { stopping.value = one.id; }}>Stop</button>`}</td>
      </tr>`)}</tbody></table></div>
    ${stopping.value && html`<${Dialog} title="Stop this repair" verb="Stop it" submit=${stop} close=${() => { stopping.value = null; }}><p>It stops after the saga it is at. What it has done stays done.</p><${Reason} /></${Dialog}>`}`;
}
