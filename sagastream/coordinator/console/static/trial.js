// Try it: a request of the project's own, sent as anybody would send it, and its saga as it goes.
import { html, useSignal } from "./html.js";
import { about } from "./about.js";
import { Problem, post } from "./api.js";
import { Dialog } from "./dialog.js";
import { pretty } from "./json.js";
import { Empty, Head, Loading, Trouble } from "./parts.js";
import { OneSaga } from "./saga.js";

export function Trial() {
  const trial = about.value?.trial;
  if (!about.value) return html`<${Loading} what="what can be tried" />`;
  if (!trial) return html`<${Head} level=${1} title="Try it" /><${Empty} title="Nothing can be tried here." />`;
  return html`<${Form} trial=${trial} />`;
}

function Form({ trial }) {
  const chosen = useSignal(0);
  const edited = useSignal(null);
  const isEditing = useSignal(false);
  const placed = useSignal(null);
  const problem = useSignal(null);
  const body = edited.value ?? trial.recipes[chosen.value].body;
  async function send(event) {
    event.preventDefault();
    problem.value = null;
    try {
      const answer = await post(trial.path.replace(/^\//, ""), body, { "Idempotency-Key": crypto.randomUUID?.() ?? `${Date.now()}-${Math.random()}` });
      placed.value = answer.sagaId;
    } catch (error) {
      problem.value = error;
    }
  }
  return html`<${Head} level=${1} title="Try it" />
    <form class="sheet try" onSubmit=${send}>
      <fieldset><legend>${trial.title}: what is to happen?</legend>
        ${trial.recipes.map((recipe, n) => html`<label class="check recipe" key=${recipe.name}><input type="radio" name="recipe" checked=${chosen.value === n} onChange=${() => { chosen.value = n; edited.value = null; }} /><span><strong>${recipe.name}</strong><span class="faint">${recipe.told}</span></span></label>`)}
      </fieldset>
      <div class="buttons"><button type="button" class="quiet" onClick=${() => { isEditing.value = true; }}>${edited.value ? "Edited request" : "Look at the request"}</button><button class="primary">${trial.title}</button></div>
      <${Trouble} problem=${problem.value} what=${problem.value?.isOpen ? "Nobody answered whether it was taken. Look before you send it again" : "It was not taken"} />
    </form>
    ${isEditing.value && html`<${Dialog} title=${`POST ${trial.path}`} verb="Use this" submit=${({ data }) => { edited.value = parsed(data); isEditing.value = false; }} close=${() => { isEditing.value = false; }}>
      <label>Body <textarea name="data" rows="16" spellcheck=${false} required>${pretty(JSON.stringify(body))}</textarea></label></${Dialog}>`}
    ${placed.value && html`<${OneSaga} key=${placed.value} id=${placed.value} isPart />`}`;
}

function parsed(text) {
  try {
    return JSON.parse(text);
  } catch (error) {
    throw new Problem(400, "Not JSON", `this is not JSON: ${error.message}`);
  }
}
