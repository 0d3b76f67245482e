// What an operator can do about one saga. The coordinator decides whether it may be done; this only asks.
import { html, useSignal } from "./html.js";
import { Dialog, Reason } from "./dialog.js";
import { act, identified } from "./operator.js";

const ACTS = {
  retry: { verb: "Ask again", told: "Whatever is open is asked for again at once. Nothing takes effect a second time." },
  compensate: { verb: "Turn back", told: "Everything that was done is undone, newest first, unless the point of no return is passed." },
  resolve: { verb: "State what happened", told: "You found out what became of a step that nobody answers for any more, and can prove it." },
  abort: { verb: "Abort", told: "The saga is closed as it stands. What services have begun goes on and may still take effect; nothing of it is undone any more.", isGrave: true },
};

export function Actions({ saga, done }) {
  const asking = useSignal(null);
  const told = useSignal("");
  if (saga.waitingFor === null) return told.value ? html`<p class="notice" role="status">${told}</p>` : null;
  const stateable = saga.open.flatMap((one) => one.stateable.map((effect) => [one.step, effect]));
  const names = Object.keys(ACTS).filter((name) => name !== "resolve" || stateable.length > 0);
  const open = (name) => async () => { if (await identified()) asking.value = name; };
  async function submit({ claim, ...fields }) {
    const [step, effect] = claim ? JSON.parse(claim) : [];
    const answer = await act(`api/v1/sagas/${encodeURIComponent(saga.sagaId)}/${asking.value}`, { ...fields, ...(claim ? { step, effect } : {}) });
    told.value = answer.told;
    asking.value = null;
    done();
  }
  const chosen = ACTS[asking.value];
  return html`<section class="actions" aria-label="Actions">
    ${names.map((name) => html`<button type="button" key=${name} class=${ACTS[name].isGrave ? "danger" : ""} title=${ACTS[name].told} onClick=${open(name)}>${ACTS[name].verb}</button>`)}
    ${told.value && html`<p class="notice" role="status">${told}</p>`}
    ${chosen && html`<${Dialog} title=${`${chosen.verb}: ${saga.sagaId}`} verb=${chosen.verb} isGrave=${chosen.isGrave} submit=${submit} close=${() => { asking.value = null; }}>
      <p>${chosen.told}</p>
      ${asking.value === "resolve" && html`
        <label>What is true <select name="claim" required>${stateable.map(([step, effect]) => html`<option key=${step + effect} value=${JSON.stringify([step, effect])}>${step} is ${effect}</option>`)}</select></label>
        <label>Evidence <textarea name="evidence" required maxlength="1000" rows="3" placeholder="such as: the provider’s statement of today, ticket 4711"></textarea></label>`}
      <${Reason} />
    </${Dialog}>`}
  </section>`;
}
