// Who acts: an operator's name and token, kept for this tab alone and forgotten with it.
import { html, signal } from "./html.js";
import { Problem, get, post } from "./api.js";
import { Dialog } from "./dialog.js";

const NAME = "operator.name";
const TOKEN = "operator.token";

/** The operator of this tab; null: only looking. */
export const operator = signal(read());

function read() {
  const token = sessionStorage.getItem(TOKEN);
  return token ? { token, name: sessionStorage.getItem(NAME) ?? "" } : null;
}

/** Be this operator from now on in this tab. */
export function signIn(name, token) {
  sessionStorage.setItem(NAME, name);
  sessionStorage.setItem(TOKEN, token);
  operator.value = read();
}

/** Be nobody again. */
export function signOut() {
  sessionStorage.removeItem(TOKEN);
  operator.value = null;
}

const asking = signal(null);

/** Ask who acts, unless that is known; false if the visitor would rather not say. */
export function identified() {
  if (operator.value) return Promise.resolve(true);
  return new Promise((resolve) => { asking.value = resolve; });
}

async function asOperator(ask) {
  if (!(await identified())) throw new Problem(401, "Not signed in", "only operators see and do this");
  try {
    return await ask(operator.value);
  } catch (problem) {
    if (problem.status === 401) signOut();
    throw problem;
  }
}

/** Ask for something that only operators see. */
export const getAsOperator = (path, query) => asOperator(({ token }) => get(path, query, token));

/** Do something that only operators do. */
export const act = (path, body) => asOperator(({ token, name }) =>
  post(path, body, { Authorization: `Bearer ${token}`, "X-Operator": name }));

/** The operator in the corner, and the dialog that asks. */
export function Identity() {
  const known = operator.value;
  return html`
    ${known
      ? html`<button type="button" class="quiet" onClick=${signOut} title="forget name and token in this tab">${known.name} · sign out</button>`
      : html`<button type="button" class="quiet" onClick=${identified}>Operator sign-in</button>`}
    ${asking.value && html`<${SignIn} done=${answered} />`}`;
}

/** What was asked for goes on when the dialog is gone, and the focus back at what opened it. */
function answered(isKnown) {
  const resolve = asking.value;
  asking.value = null;
  setTimeout(() => resolve(isKnown));
}

function SignIn({ done }) {
  async function submit({ name, token }) {
    await get("api/v1/repairs", { limit: 1 }, token);
    signIn(name, token);
    done(true);
  }
  return html`<${Dialog} title="Who are you?" verb="Sign in" what="You are not signed in" submit=${submit} close=${() => done(false)}>
    <p>Operators repair sagas and see what customers sent. Everything they do is recorded with their name.</p>
    <label>Your name <input name="name" required maxlength="64" pattern="[!-~]([ -~]{0,62}[!-~])?" autocomplete="username" defaultValue=${sessionStorage.getItem(NAME) ?? ""} /></label>
    <label>Operator token <input name="token" type="password" required autocomplete="current-password" /></label>
    <p class="hint">It is the service’s <code>OPERATOR_TOKEN</code>; a shop that runs from its checkout tells at its start in which file it lies. It is kept in this tab only.</p>
  </${Dialog}>`;
}
