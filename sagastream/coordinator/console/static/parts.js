// Small parts that several views are made of.
import { computed, html, useMemo } from "./html.js";
import { now } from "./clock.js";
import * as format from "./format.js";
import { to } from "./route.js";

/** How long ago something was, counting on. */
export function Ago({ since }) {
  const text = useMemo(() => computed(() => format.ticking(now.value - Date.parse(since))), [since]);
  return html`<time class="age" datetime=${since} title=${since}>${text}</time>`;
}

/** How long it is until something, or since when it is due. */
export function Until({ at }) {
  const text = useMemo(() => computed(() => {
    const left = Date.parse(at) - now.value;
    return left >= 0 ? `in ${format.ticking(left)}` : `due since ${format.ticking(-left)}`;
  }), [at]);
  return html`<time class="age" datetime=${at} title=${at}>${text}</time>`;
}

/** An instant of the server's clock, in UTC. */
export const Instant = ({ at, exact = false }) =>
  (at ? html`<time class="at" datetime=${at} title=${at}>${format.instant(at, now.peek(), { exact })}</time>` : "–");

/** The way to one saga. */
export const SagaLink = ({ id, long = false }) =>
  html`<a class="id" href=${to("saga", [id])} title=${id}>${long ? id : format.short(id)}</a>`;

/** What is shown where there is nothing. */
export const Empty = ({ title, children }) => html`<div class="empty"><p class="title">${title}</p>${children}</div>`;

/** What went wrong, what to do about it, and a way to try again. What was loaded before is not current any more. */
export function Trouble({ problem, retry, what }) {
  if (!problem) return null;
  return html`<div class="trouble" role="alert">
    <p><strong>${what ?? "This could not be loaded"}.</strong> ${problem.message}</p>
    ${problem.errors?.length > 0 && html`<ul>${problem.errors.map((one) => html`<li>${one.field || one.in}: ${one.detail}</li>`)}</ul>`}
    ${retry && html`<button type="button" onClick=${retry}>Try again</button>`}
  </div>`;
}

/** Whom a saga waits for, at which step. */
export function Waiting({ wait }) {
  if (!wait) return null;
  return html`<span class="who">${wait.who}</span>${wait.step && html` <span class="step">${wait.step}</span>`}`;
}

/** A heading with what belongs beside it. */
export const Head = ({ level = 2, title, children }) =>
  html`<header class="head">${level === 1 ? html`<h1>${title}</h1>` : html`<h2>${title}</h2>`}${children}</header>`;

/** Text being loaded for the first time. */
export const Loading = ({ what }) => html`<p class="loading" aria-live="polite">Loading ${what}…</p>`;
