// Which sagas do not move as they should. The same rule as the API's `stuck`, for sagas that news brings.

/** Tell whether a saga is stuck at an instant (epoch ms). */
export function isStuck(saga, nowMs) {
  const wait = saga.waitingFor;
  if (!wait) return false;
  if (saga.status === "NeedsAttention" || wait.until === null || Date.parse(wait.until) < nowMs) return true;
  return wait.asked > 1;
}

/**
 * Tell whether sagas may have become stuck of which no news came: a deadline that nobody looks at passes silently. That
 * one is due for a moment is as it should be.
 */
export const isSomebodyLate = (news) => news.kind === "figures" && news.deadlineLagSeconds > 1;
