// One saga as a row of a list. Drawn again only when the saga changed.
import { Component, html } from "./html.js";
import * as format from "./format.js";
import { Badge } from "./marks.js";
import { Ago, Instant, SagaLink, Until, Waiting } from "./parts.js";

export class Row extends Component {
  shouldComponentUpdate(next) {
    return next.saga !== this.props.saga;
  }

  render({ saga }) {
    const wait = saga.waitingFor;
    return html`<tr data-saga=${saga.sagaId}>
      <td class="status"><${Badge} status=${saga.status} /></td>
      <th scope="row"><${SagaLink} id=${saga.sagaId} /><span class="faint"> ${saga.businessProcess}${saga.initiatorId && ` · ${saga.initiatorId}`}</span></th>
      <td data-name="begun"><${Instant} at=${saga.startedAt} exact /></td>
      <td data-name="took" class="number">${saga.durationMs !== null ? format.lasting(saga.durationMs) : saga.startedAt && html`<${Ago} since=${saga.startedAt} />`}</td>
      <td data-name="waits for">${wait && html`<${Waiting} wait=${wait} />`}</td>
      <td data-name="since">${wait && html`<${Ago} since=${wait.since} />`}</td>
      <td data-name="until">${wait && (wait.until ? html`<${Until} at=${wait.until} />` : "a person acts")}</td>
      <td data-name="why" class="why">${saga.failureReason}</td>
    </tr>`;
  }
}
