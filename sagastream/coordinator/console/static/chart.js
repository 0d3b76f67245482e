// A saga drawn as lanes over time. What it shows is also told by the list of events below it.
import { html, useEffect, useMemo, useRef, useSignal } from "./html.js";
import { tableOf } from "./about.js";
import { exactly, now } from "./clock.js";
import * as format from "./format.js";
import { layout } from "./lanes.js";
import { isSolid, path } from "./marks.js";

const LANE = 46;
const TOP = 34;
const BAR = 18;
const TIP = 7;

export function Chart({ saga, onPick }) {
  const frame = useRef(null);
  const width = useSignal(0);
  const toScale = useSignal(false);
  useEffect(() => {
    const watch = new ResizeObserver(([entry]) => { width.value = Math.floor(entry.contentRect.width); });
    watch.observe(frame.current);
    return () => watch.disconnect();
  }, []);
  // What is over does not change with time; what goes on is drawn anew every second.
  const at = saga.waitingFor === null ? 0 : Math.max(now.value, exactly());
  const drawn = useMemo(() => layout(saga, tableOf(saga), at, { toScale: toScale.value }), [saga, at, toScale.value, tableOf(saga)]);
  return html`<figure class="chart sheet">
    <div ref=${frame}>${width.value > 0 && html`<${Drawing} drawn=${drawn} width=${width.value} saga=${saga} onPick=${onPick} />`}</div>
    <figcaption>
      <${Legend} drawn=${drawn} />
      <label class="check"><input type="checkbox" checked=${toScale.value} onChange=${(event) => { toScale.value = event.target.checked; }} /> Time to scale</label>
    </figcaption>
  </figure>`;
}

function Drawing({ drawn, width, saga, onPick }) {
  const isNarrow = width < 640;
  const left = isNarrow ? 10 : 24 + 7.2 * Math.max(...drawn.lanes.map((name) => name.length));
  const room = width - left - 16;
  const X = (share) => left + share * room;
  const Y = (lane) => TOP + drawn.lanes.indexOf(lane) * LANE;
  const height = TOP + drawn.lanes.length * LANE + 22;
  const bottom = height - 22;
  return html`<svg class="lanes" width=${width} height=${height} role="img" aria-label=${`Saga ${saga.sagaId} over time: ${drawn.bars.map((bar) => `${bar.step} ${bar.way} ${bar.kind}`).join(", ")}`}>
    <defs>
      <pattern id="undoing" width="6" height="6" patternUnits="userSpaceOnUse" patternTransform="rotate(45)"><rect width="6" height="6" class="undo-ground" /><line x1="0" y1="0" x2="0" y2="6" class="undo-line" /></pattern>
      <pattern id="waiting" width="8" height="8" patternUnits="userSpaceOnUse" patternTransform="rotate(-45)"><line x1="0" y1="0" x2="0" y2="8" class="wait-line" /></pattern>
    </defs>
    ${drawn.lanes.map((name) => html`<g key=${name}>
      <line class="track" x1=${left} x2=${width - 8} y1=${Y(name) + LANE - 14} y2=${Y(name) + LANE - 14} />
      <text class="lane" x=${isNarrow ? left : left - 12} y=${isNarrow ? Y(name) + 8 : Y(name) + LANE - 10} text-anchor=${isNarrow ? "start" : "end"}>${name}</text>
    </g>`)}
    ${!drawn.isOver && html`<g><rect class="future" x=${X(drawn.now)} y=${TOP - 10} width=${X(1) - X(drawn.now)} height=${bottom - TOP + 10} /><line class="now" x1=${X(drawn.now)} x2=${X(drawn.now)} y1=${TOP - 20} y2=${bottom} /><text class="tick" x=${X(drawn.now)} y=${TOP - 24} text-anchor="middle">now</text></g>`}
    ${drawn.wait && html`<rect class="waiting" x=${X(drawn.wait.x)} y=${Y(drawn.wait.lane) + LANE - 14 - BAR / 2} width=${Math.max(3, drawn.wait.w * room)} height=${BAR}><title>waiting for ${drawn.wait.lane}: ${drawn.wait.step}</title></rect>`}
    ${drawn.wait && drawn.wait.w * room > drawn.wait.step.length * 6.6 + 26 && html`<text class="waits" x=${X(drawn.wait.x + drawn.wait.w / 2)} y=${Y(drawn.wait.lane) + LANE - 10} text-anchor="middle">${drawn.wait.step}</text>`}
    ${drawn.bars.map((bar, n) => html`<${Bar} key=${n} bar=${bar} x=${X(bar.x)} width=${Math.max(TIP + 2, bar.w * room - 9)} y=${Y(bar.lane) + LANE - 14} />`)}
    ${drawn.rest.map((one) => html`<${Bar} key=${`rest ${one.step}`} bar=${{ ...one, kind: "to come" }} x=${X(one.x) + 3} width=${Math.max(TIP + 2, one.w * room - 6)} y=${Y(one.lane) + LANE - 14} />`)}
    ${drawn.lines.map((line) => html`<g key=${line.what}><line class="deadline" x1=${X(line.x)} x2=${X(line.x)} y1=${TOP - 8} y2=${bottom} /><text class="deadline-text" x=${X(line.x) > width * 0.55 ? X(line.x) - 4 : X(line.x) + 4} y=${TOP + (line.lane ? 8 : -6)} text-anchor=${X(line.x) > width * 0.55 ? "end" : "start"}>${line.what}</text></g>`)}
    ${apart(drawn.marks, X).map((one, n) => html`<g key=${n} class=${`event ${one.tone}`} transform=${`translate(${one.left - 8} ${Y(one.lane) + LANE - 22})`} onClick=${() => onPick(one.note.id)}>
      <circle cx="8" cy="8" r="8" class="halo" /><path d=${path(one.shape)} class=${isSolid(one.shape) ? "solid" : ""} /><title>${`${one.note.type}: ${one.word}${one.note.step ? `, ${one.note.step}` : ""}`}</title>
    </g>`)}
    ${spaced(drawn.ticks, X, width).map((tick) => html`<text key=${tick.ms} class="tick" x=${X(tick.x)} y=${height - 6} text-anchor=${tick.anchor}>+${format.lasting(tick.ms)}</text>`)}
  </svg>`;
}

/** Forward points right and is full; back points left and is hatched; what is to come is dashed. */
function Bar({ bar, x, width, y }) {
  const [top, bottom] = [y - BAR / 2, y + BAR / 2];
  const tip = Math.min(TIP, width / 2);
  const shape = bar.way === "forward"
    ? `M${x} ${top}H${x + width - tip}L${x + width} ${y}L${x + width - tip} ${bottom}H${x}Z`
    : `M${x + width} ${top}H${x + tip}L${x} ${y}L${x + tip} ${bottom}H${x + width}Z`;
  const words = bar.step;
  return html`<g class=${`span ${bar.way} ${bar.kind.replaceAll(" ", "-")}`}>
    <path d=${shape} /><title>${`${bar.step}: ${WAYS[bar.way]}, ${bar.kind}${bar.times > 1 ? `, asked ${bar.times} times` : ""}`}</title>
    ${width > words.length * 6.6 + 26 && html`<text x=${x + width / 2} y=${y + 4} text-anchor="middle">${words}</text>`}
  </g>`;
}

const WAYS = { forward: "forward", undo: "undo", bar: "asked to be barred" };

/** Marks of one lane beside each other, none over another. */
function apart(marks, X) {
  const free = new Map();
  return marks.map((one) => {
    const left = Math.max(X(one.x), free.get(one.lane) ?? 0);
    free.set(one.lane, left + 17);
    return { ...one, left };
  });
}

/** As many instants as there is room for, none over another. */
function spaced(ticks, X, width) {
  const shown = [];
  let free = -Infinity;
  for (const tick of ticks) {
    const x = X(tick.x);
    const anchor = x < 40 ? "start" : x > width - 50 ? "end" : "middle";
    const start = anchor === "start" ? x : anchor === "end" ? x - 70 : x - 35;
    if (start >= free) {
      shown.push({ ...tick, anchor });
      free = start + 76;
    }
  }
  return shown;
}

const KEYS = [
  ["forward done", "done"], ["forward waiting", "waiting"], ["undo", "undone"], ["bar", "barred"], ["forward to-come", "to come"],
];

function Legend({ drawn }) {
  const used = (kind) => (kind === "forward to-come" ? drawn.rest.length > 0 : kind === "forward waiting" ? drawn.wait : drawn.bars.some((bar) => kind === "forward done" ? bar.way === "forward" : bar.way === kind));
  return html`<ul class="legend">${KEYS.filter(([kind]) => used(kind)).map(([kind, words]) => html`<li key=${kind}>
    <svg width="30" height="14" class="lanes" aria-hidden="true"><g class=${`span ${kind}`}><path d=${kind.startsWith("forward") ? "M1 1H22L28 7L22 13H1Z" : "M29 1H8L2 7L8 13H29Z"} /></g></svg>${words}</li>`)}
    ${drawn.lines.length > 0 && html`<li><svg width="14" height="14" class="lanes" aria-hidden="true"><line class="deadline" x1="7" x2="7" y1="0" y2="14" /></svg>deadline</li>`}
  </ul>`;
}
