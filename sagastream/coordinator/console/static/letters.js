// Dead letters: messages that could not be handled. Shown masked until asked for as they were sent, replayed as they are
// or with other data, or dropped.
import { html, useSignal } from "./html.js";
import { Dialog, Reason } from "./dialog.js";
import { Empty, Head, Instant, Loading, SagaLink, Trouble } from "./parts.js";
import { Badge } from "./marks.js";
import { Problem } from "./api.js";
import { pretty } from "./json.js";
import { act, getAsOperator } from "./operator.js";
import { ForOperators } from "./operators_only.js";
import { useResource } from "./resource.js";
import { go, route, to } from "./route.js";

const MASK = "***"; // instead of an e-mail address or a card number
const FATES = { open: "Open", replayed: "Replayed", dropped: "Dropped" };

export const Letters = () => html`<${Head} level=${1} title="Dead letters" /><${ForOperators}><${List} /></${ForOperators}>`;

function List() {
  const { fate = "open", cursor = "" } = Object.fromEntries(route.value.query);
  const { data, problem, reload } = useResource(() => getAsOperator("api/v1/dead-letters", { fate, cursor, limit: 50 }), [fate, cursor], (news) => news.kind === "sagas");
  const page = data.value;
  return html`<div class="filters" role="group" aria-label="Which letters">${Object.entries(FATES).map(([name, words]) => html`
      <label class="check" key=${name}><input type="radio" name="fate" checked=${fate === name} onChange=${() => go(to("letters", [], { fate: name }))} /> ${words}</label>`)}</div>
    <${Trouble} problem=${problem.value} retry=${reload} what=${page ? "This is not current" : "The letters could not be loaded"} />
    ${!page ? (problem.value ? null : html`<${Loading} what="dead letters" />`)
      : page.letters.length === 0 ? html`<${Empty} title=${`No ${FATES[fate].toLowerCase()} dead letter.`}><p>A message that keeps failing is put away here, whole, with the reason, so that it holds up nobody.</p></${Empty}>`
      : html`<ul class="letters">${page.letters.map((letter) => html`<${Letter} key=${`${letter.owner} ${letter.id} ${letter.fate}`} letter=${letter} done=${reload} />`)}</ul>
        ${(page.next || cursor) && html`<nav class="pages" aria-label="Pages">${cursor && html`<a class="button" href=${to("letters", [], { fate })}>Newest</a>`}${page.next ? html`<a class="button" href=${to("letters", [], { fate, cursor: page.next })}>Older</a>` : html`<span class="faint">This is the end.</span>`}</nav>`}`}`;
}

function Letter({ letter, done }) {
  const whole = useSignal(null);
  const problem = useSignal(null);
  const asking = useSignal(null);
  const original = useSignal(null); // what is edited is what was sent, never what is shown instead
  const path = `api/v1/dead-letters/${letter.owner}/${letter.id}`;
  async function load(into, query) {
    problem.value = null;
    try {
      into.value = await getAsOperator(path, query);
    } catch (error) {
      problem.value = error;
    }
  }
  async function edit() {
    await load(original, { unmasked: true });
    if (!problem.value) asking.value = "edit";
  }
  async function submit({ reason, data }) {
    const body = asking.value === "edit" ? `{"reason": ${JSON.stringify(reason)}, "data": ${checked(data)}}` : { reason };
    await act(`${path}/${asking.value === "drop" ? "drop" : "replay"}`, body);
    asking.value = null;
    done();
  }
  return html`<li class="card"><div class="line"><strong>${letter.type ?? "a message without a type"}</strong> <span class="faint">could not be handled by</span> <span class="who">${letter.owner}</span>
      ${letter.sagaId && html`<span>saga <${SagaLink} id=${letter.sagaId} /></span>`} ${letter.sagaStatus && html`<${Badge} status=${letter.sagaStatus} />`} <span class="faint"><${Instant} at=${letter.at} /></span></div>
    <p class="why">${letter.reason} <span>(${letter.attempts === 1 ? "1 attempt" : `${letter.attempts} attempts`})</span></p>
    ${letter.fate !== "open" && html`<p>${FATES[letter.fate]} by ${letter.dealtBy} at <${Instant} at=${letter.dealtAt} />: ${letter.dealtBecause}</p>`}
    <${Trouble} problem=${problem.value} />
    <details onToggle=${(event) => event.target.open && !whole.value && load(whole)}><summary>The whole message</summary>
      ${whole.value && html`<${Fields} whole=${whole.value} />`}
      ${isMasked(whole.value) && html`<button type="button" class="link" onClick=${() => load(whole, { unmasked: true })}>as it was sent</button>`}</details>
    ${letter.fate === "open" && html`<div class="buttons start">
      <button type="button" onClick=${() => { asking.value = "replay"; }}>Replay</button>
      <button type="button" onClick=${edit}>Edit and replay</button>
      <button type="button" class="danger" onClick=${() => { asking.value = "drop"; }}>Drop</button></div>`}
    ${asking.value && html`<${Dialog} title=${{ replay: "Replay the letter", edit: "Replay the letter with other data", drop: "Drop the letter" }[asking.value]} verb=${asking.value === "drop" ? "Drop it" : "Replay it"} isGrave=${asking.value === "drop"} submit=${submit} close=${() => { asking.value = null; }}>
      <p>${asking.value === "drop" ? "Nothing is to be done about it; it stays readable." : `It is handed to ${letter.owner} once more. The original is kept beside it.`}</p>
      ${asking.value === "edit" && html`<label>Data <textarea name="data" rows="12" spellcheck=${false} required>${pretty(original.value.message.data)}</textarea></label>`}
      <${Reason} />
    </${Dialog}>`}
  </li>`;
}

/** Tell whether a message is shown without what it holds. */
export const isMasked = (whole) => whole !== null && [...Object.values(whole.message), whole.replayedData].some((text) => text?.includes(MASK));

/** Every field of a message, its payload laid out. */
export function Fields({ whole }) {
  return html`<dl class="fields">${Object.entries(whole.message).map(([name, value]) => html`<div key=${name}><dt>${name}</dt><dd>${name === "data" ? html`<pre>${pretty(value)}</pre>` : value || "–"}</dd></div>`)}
    ${whole.replayedData && html`<div><dt>replayed with</dt><dd><pre>${pretty(whole.replayedData)}</pre></dd></div>`}</dl>`;
}

/** The text itself, if it is JSON. */
function checked(text) {
  try {
    JSON.parse(text);
    return text;
  } catch (error) {
    throw new Problem(400, "Not JSON", `the data are not JSON: ${error.message}`);
  }
}
