// The frame around every view: where one can go, what is shown, and whether it is current.
import { html, render, useEffect, useRef } from "./html.js";
import { Connection, Outage } from "./connection.js";
import { Identity } from "./operator.js";
import { about } from "./about.js";
import { route, to } from "./route.js";
import { start } from "./live.js";
import { Overview } from "./overview.js";
import { Sagas } from "./sagas.js";
import { Letters } from "./letters.js";
import { Map_ } from "./map.js";
import { Repairs } from "./repairs.js";
import { SagaPage } from "./saga.js";
import { Streams } from "./streams.js";
import { Trial } from "./trial.js";

const VIEWS = {
  overview: { title: "Overview", view: Overview },
  sagas: { title: "Sagas", view: Sagas },
  saga: { title: "Saga", view: SagaPage, below: "sagas" },
  repairs: { title: "Repairs", view: Repairs, below: "sagas" },
  streams: { title: "Streams", view: Streams },
  letters: { title: "Dead letters", view: Letters },
  map: { title: "Map", view: Map_ },
  try: { title: "Try it", view: Trial },
};

function Frame() {
  const at = route.value;
  const found = VIEWS[at.view] ?? VIEWS.overview;
  const current = found.below ?? (VIEWS[at.view] ? at.view : "overview");
  const View = found.view;
  const isFirst = useRef(true);
  useEffect(() => {
    document.title = `${found.title}${at.parts[0] ? ` ${at.parts[0]}` : ""} · Sagas`;
    // Who reads by ear or keyboard is led to what is new; at the beginning the page begins at its beginning.
    if (!isFirst.current) document.getElementById("main").focus({ preventScroll: true });
    isFirst.current = false;
  }, [at.view, at.parts.join("/")]);
  return html`
    <a class="skip" href="#main" onClick=${(event) => { event.preventDefault(); document.getElementById("main").focus(); }}>Skip to content</a>
    <header class="top">
      <nav aria-label="Views">
        <ul>${Object.entries(VIEWS).filter(([name, one]) => !one.below && (name !== "try" || about.value?.trial)).map(([name, one]) => html`
          <li key=${name}><a href=${to(name)} aria-current=${name === current ? "page" : null}>${one.title}</a></li>`)}
        </ul>
      </nav>
      <div class="corner"><${Connection} /><${Identity} /></div>
    </header>
    <${Outage} />
    <main id="main" tabindex="-1"><${View} key=${at.view} /></main>
    <footer>
      ${about.value && html`<span>sagastream ${about.value.version}</span>`}
      <a href="docs">API</a><a href="health">Health</a><a href="readyz">Readiness</a><a href="metrics">Metrics</a>
      <span>All times are the server’s, in UTC.</span>
    </footer>`;
}

const app = document.getElementById("app");
app.replaceChildren();
start();
render(html`<${Frame} />`, app);
