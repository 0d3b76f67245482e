// Whether a saga that news brings belongs into a list. The same filters as the API's.
import { isStuck } from "./stuck.js";

/** Tell whether a saga fits a filter at an instant (epoch ms). */
export function fits(saga, filter, nowMs) {
  const begun = Date.parse(saga.startedAt);
  const wait = saga.waitingFor;
  return (!filter.status || saga.status === filter.status)
    && (!filter.unfinished || wait !== null)
    && (!filter.businessProcess || saga.businessProcess === filter.businessProcess)
    && (!filter.step || wait?.step === filter.step)
    && (!filter.olderThan || begun <= nowMs - Number(filter.olderThan) * 1000)
    && (!filter.stuck || isStuck(saga, nowMs))
    && (!filter.id || saga.sagaId.startsWith(filter.id) || (saga.initiatorId ?? "").startsWith(filter.id));
}

/** Newest first; of one instant, by id: the order of the API. */
export function newestFirst(one, other) {
  const [a, b] = [one.startedAt ?? "", other.startedAt ?? ""];
  return a === b ? (one.sagaId < other.sagaId ? 1 : -1) : a < b ? 1 : -1;
}

/** The same from its other end: what is stuck for longest comes first. */
export const oldestFirst = (one, other) => newestFirst(other, one);
