// What only operators see: asked for before it is loaded.
import { html } from "./html.js";
import { identified, operator } from "./operator.js";
import { Empty } from "./parts.js";

export function ForOperators({ children }) {
  if (operator.value) return children;
  return html`<${Empty} title="Only operators see this."><p>It shows what customers sent, or changes what happens to it.</p>
    <p><button type="button" class="primary" onClick=${identified}>Sign in</button></p></${Empty}>`;
}
