// A saga laid out as lanes over time: what is drawn where, in shares of the width. Pure; draws nothing.
import { COORDINATOR, OPERATOR, requests, story } from "./story.js";
import { scale } from "./scale.js";

const FUTURE = 0.24; // of the width, for what is still to come
const BEGUN = new Set(["Done", "Undone", "Undoing", "Refused", "Waiting", "Overdue", "GaveUp", "Barred"]);

/** The layout of a saga at an instant (epoch ms); `table` is undefined where its table is not known. */
export function layout(saga, table, nowMs, options) {
  const told = story(saga);
  const at = (iso) => Date.parse(iso);
  const isOver = saga.waitingFor === null;
  const bars = [...forward(saga, nowMs), ...backward(saga, nowMs)];
  const wait = saga.waitingFor && { lane: saga.waitingFor.who, step: saga.waitingFor.step ?? "", start: at(saga.waitingFor.since), end: Math.max(nowMs, at(saga.waitingFor.since)) };
  const lines = isOver ? [] : deadlines(saga, table);
  const past = [...told.map((one) => at(one.note.at)), ...bars.flatMap((bar) => [bar.start, bar.end]),
    ...(saga.startedAt ? [at(saga.startedAt)] : []), ...(wait ? [wait.start, wait.end] : [])];
  const present = isOver ? Math.max(...past) : nowMs;
  const room = isOver ? 1 : 1 - FUTURE;
  const before = scale([...past.filter((one) => one <= present), present], options);
  const later = lines.map((line) => line.at).filter((one) => one > present);
  const after = scale([present, ...later], options);
  const place = (ms) => (ms <= present ? before(ms) * room : room + (0.1 + 0.8 * after(ms)) * FUTURE);
  const lanes = names(saga, told, wait);
  return {
    lanes,
    isOver,
    now: room,
    bars: bars.map((bar) => ({ ...bar, x: place(bar.start), w: place(bar.end) - place(bar.start) })),
    wait: wait && { ...wait, x: place(wait.start), w: place(wait.end) - place(wait.start) },
    rest: rest(saga, room),
    marks: told.map((one) => ({ ...one, x: place(at(one.note.at)) })),
    lines: lines.map((line) => ({ ...line, x: place(line.at) })),
    ticks: ticks(told.map((one) => at(one.note.at)), place),
  };
}

/** The way forward: each step from when the one before was done until it ended, was given up, or until now. */
function forward(saga, nowMs) {
  const isWaitedFor = (step) => saga.waitingFor?.step === step.name && !saga.steps.some((one) => one.undoStatus);
  const late = new Map(saga.history.filter((note) => ["overdue", "gave up"].includes(note.kind)).reverse().map((note) => [note.step, note.at]));
  return saga.steps.filter((step) => step.startedAt && step.name !== "begin" && BEGUN.has(step.status))
    .map((step) => {
      const isBarred = "barred" in step.eventIds && !("done" in step.eventIds);
      const ended = isBarred ? late.get(step.name) : step.endedAt ?? late.get(step.name);
      const kind = isBarred || !step.endedAt ? (ended ? "late" : "waiting") : "refused" in step.eventIds ? "refused" : "done";
      return { step: step.name, lane: step.service, kind, way: "forward", start: Date.parse(step.startedAt), end: ended ? Date.parse(ended) : nowMs, isWaitedFor: isWaitedFor(step) };
    })
    // What was barred without being late never took time; what is waited for is drawn as the wait.
    .filter((bar) => bar.kind !== "waiting" || (saga.waitingFor && !bar.isWaitedFor && !saga.steps.some((step) => step.name === bar.step && "barred" in step.eventIds)))
    .map((bar) => ({ ...bar, end: Math.max(bar.start, bar.end) }));
}

/** The way back: each request until it was answered, or until now. */
function backward(saga, nowMs) {
  const services = new Map(saga.steps.map((step) => [step.name, step.service]));
  const last = saga.waitingFor === null ? Math.max(...saga.history.map((note) => Date.parse(note.at))) : nowMs;
  return requests(saga).map((one) => ({
    step: one.step,
    lane: services.get(one.step) ?? COORDINATOR,
    kind: one.end === null ? "open" : one.kind,
    way: one.what === "UndoRequested" ? "undo" : "bar",
    times: one.times,
    start: Date.parse(one.start),
    end: one.end === null ? Math.max(last, Date.parse(one.start)) : Date.parse(one.end),
  }));
}

/** What is still to come, in its order, without instants, for nobody knows them. */
function rest(saga, room) {
  const services = new Map(saga.steps.map((step) => [step.name, step.service]));
  const names = saga.remainingSteps.filter((name) => name !== "begin" || saga.steps.some((step) => step.undoStatus));
  const width = (1 - room) / Math.max(1, names.length);
  const isBack = saga.steps.some((step) => step.undoStatus);
  return names.map((name, n) => ({ step: name, lane: services.get(name) ?? COORDINATOR, way: isBack ? "undo" : "forward", x: room + n * width, w: width }));
}

/** The instants by which something must have happened. */
function deadlines(saga, table) {
  const found = [];
  const wait = saga.waitingFor;
  if (wait?.until) found.push({ at: Date.parse(wait.until), what: wait.step ? `until here: ${wait.step}` : "until here", lane: wait.who });
  const pivot = table?.steps.find((step) => step.pivot);
  const isPast = pivot && saga.steps.some((step) => step.name === pivot.name && step.status === "Done");
  const isBack = saga.steps.some((step) => step.undoStatus);
  if (table?.withinMs && saga.startedAt && !isPast && !isBack) {
    found.push({ at: Date.parse(saga.startedAt) + table.withinMs, what: "the whole saga", lane: null });
  }
  return found;
}

/** Everybody who takes part, in the order of the table; whoever acts besides comes last. */
function names(saga, told, wait) {
  const found = new Set([...saga.steps.map((step) => step.service), ...told.map((one) => one.lane)]);
  if (wait) found.add(wait.lane);
  const last = [COORDINATOR, OPERATOR, "a person"];
  return [...[...found].filter((name) => !last.includes(name)), ...last.filter((name) => found.has(name))];
}

/** Instants to be written below the drawing. */
function ticks(instants, place) {
  const first = Math.min(...instants);
  return [...new Set(instants)].sort((one, other) => one - other).map((at) => ({ x: place(at), ms: at - first }));
}
