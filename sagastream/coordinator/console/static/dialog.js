// A question with fields, asked in a dialog: closed by Escape, answered by its button, told what went wrong.
import { html, useMemo, useSignal } from "./html.js";
import { Trouble } from "./parts.js";

/**
 * A dialog. `submit(fields)` does what is asked for and may throw a problem; `children` are the fields. `verb` is what
 * the button says, `what` what a problem means; without it, that nothing was done, unless nobody can know that.
 */
export function Dialog({ title, verb, isGrave, submit, close, what, children }) {
  const problem = useSignal(null);
  const isBusy = useSignal(false);
  const shown = useMemo(modal, []);
  async function send(event) {
    event.preventDefault();
    if (isBusy.value) return;
    isBusy.value = true;
    problem.value = null;
    const fields = Object.fromEntries([...new FormData(event.target)].map(([name, value]) => [name, String(value).trim()]));
    try {
      await submit(fields);
    } catch (error) {
      problem.value = error;
    }
    isBusy.value = false;
  }
  return html`<dialog ref=${shown} aria-label=${title} onCancel=${(event) => { event.preventDefault(); close(); }}>
    <form onSubmit=${send}>
      <h2>${title}</h2>
      ${children}
      <${Trouble} problem=${problem.value} what=${what ?? (problem.value?.isOpen ? "Nobody answered whether it was done. Look before you do it again" : "It was not done")} />
      <div class="buttons"><button type="button" class="quiet" onClick=${close}>Cancel</button>
        <button class=${isGrave ? "danger" : "primary"} disabled=${isBusy.value}>${isBusy.value ? "Working…" : verb}</button></div>
    </form>
  </dialog>`;
}

/** A ref that opens a dialog, and closes it before it goes: then the focus is back at what opened it. */
function modal() {
  let mine = null;
  return (dialog) => {
    if (dialog === null) mine.close();
    else dialog.showModal();
    mine = dialog;
  };
}

/** Why something is done: recorded with who did it. */
export const Reason = () => html`<label>Reason, which is recorded with your name
  <input name="reason" required maxlength="500" autocomplete="off" placeholder="such as: the provider is reachable again" /></label>`;
