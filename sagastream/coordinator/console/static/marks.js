// The marks of statuses: each has a shape and a word of its own, so that nothing is told by colour alone.
import { html } from "./html.js";

const PATHS = {
  dot: "M8 3a5 5 0 1 0 0 10a5 5 0 1 0 0-10z",
  ring: "M8 3.5a4.5 4.5 0 1 0 0 9a4.5 4.5 0 1 0 0-9z",
  play: "M5 3l8 5l-8 5z",
  back: "M11 3l-8 5l8 5z",
  tick: "M3 8.5l3.2 3.2L13 4.5",
  undo: "M6 3L2.5 6.5L6 10M3 6.5h6.5a3.5 3.5 0 0 1 0 7H6",
  cross: "M4 4l8 8M12 4l-8 8",
  bang: "M8 2.2l6.6 11.6H1.4zM8 6.2v3.6M8 11.6v.4",
  square: "M4 4h8v8h-8z",
  bar: "M8 3a5 5 0 1 0 0 10a5 5 0 1 0 0-10zM4.5 11.5l7-7",
  again: "M12.5 8a4.5 4.5 0 1 1-1.5-3.3M12.8 2.5v3h-3",
  ask: "M2.5 8h10M9 4.5L12.5 8L9 11.5",
  clock: "M8 2.5a5.5 5.5 0 1 0 0 11a5.5 5.5 0 1 0 0-11zM8 5v3.2l2.2 1.4",
  person: "M8 2.5a2.6 2.6 0 1 0 0 5.2a2.6 2.6 0 1 0 0-5.2zM3 13.5c.6-3 2.6-4.2 5-4.2s4.4 1.2 5 4.2",
  same: "M3 6h10M3 10h10",
};
const SOLID = new Set(["dot", "play", "back", "square"]);

/** What stands for each status: shape, tone, words. */
export const STATUSES = {
  Started: { shape: "ring", tone: "moving", words: "Started" },
  InProgress: { shape: "play", tone: "moving", words: "In progress" },
  Completed: { shape: "tick", tone: "good", words: "Completed" },
  Compensating: { shape: "back", tone: "backward", words: "Compensating" },
  Compensated: { shape: "undo", tone: "backward", words: "Compensated" },
  Failed: { shape: "cross", tone: "ended", words: "Failed" },
  NeedsAttention: { shape: "bang", tone: "bad", words: "Needs attention" },
  Aborted: { shape: "square", tone: "ended", words: "Aborted" },
};

export const UNFINISHED = ["Started", "InProgress", "Compensating", "NeedsAttention"];

/** One mark; its meaning stands in words beside it. */
export function Mark({ shape }) {
  return html`<svg class=${`mark ${SOLID.has(shape) ? "solid" : ""}`} viewBox="0 0 16 16" aria-hidden="true">
    <path d=${PATHS[shape]} />
  </svg>`;
}

/** The path of a mark, for drawings that are SVG themselves. */
export const path = (shape) => PATHS[shape];
export const isSolid = (shape) => SOLID.has(shape);

/** A status as a badge. */
export function Badge({ status }) {
  const told = STATUSES[status] ?? { shape: "ring", tone: "ended", words: status };
  return html`<span class=${`badge ${told.tone}`}><${Mark} shape=${told.shape} />${told.words}</span>`;
}
