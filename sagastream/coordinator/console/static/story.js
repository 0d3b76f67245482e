// What a saga's history tells, note by note: its mark, its word, whose it is. Pure; `sagastream show` tells the same.

const FACTS = {
  done: ["dot", "done", "good"],
  refused: ["cross", "refused", "bad"],
  undone: ["undo", "undone", "backward"],
  barred: ["bar", "barred", "backward"],
  "gave up": ["bang", "gave up", "bad"],
  "undo gave up": ["bang", "undo failed", "bad"],
  "ledger lost": ["bang", "ledger lost", "bad"],
  overdue: ["clock", "overdue", "bad"],
  cancelled: ["back", "cancelled", "backward"],
  poisoned: ["bang", "unreadable", "bad"],
  aborted: ["square", "aborted", "ended"],
  "stated done": ["person", "stated done", "moving"],
  "stated undone": ["person", "stated undone", "moving"],
};
const ASKED = {
  UndoRequested: "to undo it",
  BarRequested: "to bar it, unless it is done",
  RetryRequested: "to try it again",
};
const TOLD = {
  SagaStarted: ["ring", "started", "moving"],
  SagaCompleted: ["tick", "completed", "good"],
  SagaCompensationStarted: ["back", "turned back", "backward"],
  SagaCompensationCompleted: ["undo", "compensated", "backward"],
  SagaFailed: ["cross", "failed", "ended"],
  SagaNeedsAttention: ["bang", "needs attention", "bad"],
  SagaAborted: ["square", "aborted", "ended"],
};
export const COORDINATOR = "coordinator";
export const OPERATOR = "operator";

/** Every note with its mark, its word, its tone, whose lane it stands in and what is to be said besides. */
export function story(saga) {
  const services = new Map(saga.steps.map((step) => [step.name, step.service]));
  const byId = new Map(saga.history.map((note) => [note.id, note]));
  const asked = new Map();
  const seen = new Set();
  return saga.history.map((note) => {
    const [shape, word, tone, what] = meaning(note, asked, seen);
    seen.add(note.id);
    return { note, shape, word, tone, what, lane: lane(note, services), cause: byId.get(note.cause) ?? null };
  });
}

function meaning(note, asked, seen) {
  if (note.actor) return ["person", "operator", "moving", `${note.actor}: ${note.reason}`];
  if (seen.has(note.id)) return ["same", "again", "faint", "the same event once more; it had no effect"];
  if (note.type in ASKED) {
    const key = `${note.type} ${note.step}`;
    const times = (asked.get(key) ?? 0) + 1;
    asked.set(key, times);
    return times > 1
      ? ["again", "asked again", "backward", `${ASKED[note.type]}, time ${times}`]
      : ["ask", "asked", note.type === "RetryRequested" ? "moving" : "backward", ASKED[note.type]];
  }
  if (note.kind === "done" && note.step === "begin") return ["dot", "began", "good", ""];
  if (note.kind in FACTS) return [...FACTS[note.kind], note.reason ?? ""];
  if (note.type in TOLD) return [...TOLD[note.type], note.reason ?? ""];
  return ["ring", "told", "faint", note.reason ?? ""];
}

function lane(note, services) {
  if (note.actor) return OPERATOR;
  if (note.type in ASKED || note.type in TOLD || !note.step || note.kind === "overdue") return COORDINATOR;
  return services.get(note.step) ?? note.source;
}

/** When each step was asked to be undone or barred, and when that was answered. */
export function requests(saga) {
  const found = [];
  for (const { note } of story(saga)) {
    if (note.type === "UndoRequested" || note.type === "BarRequested") {
      const open = found.find((one) => one.step === note.step && one.what === note.type && !one.end);
      if (open) open.times += 1;
      else found.push({ step: note.step, what: note.type, start: note.at, end: null, kind: null, times: 1 });
    } else if (["undone", "barred", "undo gave up", "ledger lost", "stated undone"].includes(note.kind)
      || (note.kind === "done" && note.step !== "begin")) {
      for (const one of found) {
        if (one.step === note.step && !one.end && !(note.kind === "done" && one.what === "UndoRequested")) {
          Object.assign(one, { end: note.at, kind: note.kind });
        }
      }
    }
  }
  return found;
}
