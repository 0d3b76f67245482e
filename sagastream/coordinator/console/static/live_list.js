// A page of sagas that news keeps current: rows change where they are, new ones come in at their place, within a bound.
import { batch, signal } from "./html.js";
import { get } from "./api.js";
import { exactly } from "./clock.js";
import { fits, newestFirst, oldestFirst } from "./fits.js";
import { onNews } from "./live.js";
import { isSomebodyLate } from "./stuck.js";

const AGES_MS = 5000; // a list of what is older than some age is looked through again so often

/**
 * The sagas of a filter in an `order` ("newest" first or "oldest"), after `start` (a `cursor`, or an instant: `to`, of the
 * oldest `from`; none of them: the first). `next` is the start of the page that follows, null at the end. `hold` keeps
 * rows where they are while somebody points at them; what would have moved them is counted in `waiting` and comes with
 * `release`.
 */
export function liveList(filter, order, start, limit) {
  const rows = signal(null);
  const next = signal(null);
  const problem = signal(null);
  const waiting = signal(0);
  const isFirst = !Object.values(start).some(Boolean);
  const [inOrder, bound] = order === "oldest" ? [oldestFirst, "from"] : [newestFirst, "to"];
  let fresh = new Map(); // what news told and is not drawn yet
  let held = new Map();
  let isHeld = false;
  let isLoading = false;
  let frame = null;
  let asked = 0;
  let loaded = 0;

  /** Whether sagas may fit by now of which no news came: each grows older. */
  const growsByItself = (news) => (filter.stuck && isSomebodyLate(news))
    || (filter.olderThan && news.kind === "figures" && exactly() - loaded > AGES_MS);

  async function reload() {
    const mine = ++asked;
    loaded = exactly();
    isLoading = true;
    try {
      const page = await get("api/v1/sagas", { ...filter, ...start, order, limit });
      if (mine !== asked) return;
      isLoading = false;
      batch(() => {
        held = new Map();
        problem.value = null;
        next.value = page.next ? { cursor: page.next } : null;
        rows.value = page.sagas;
        draw(); // the page may be older than news that came while it was on its way
      });
    } catch (error) {
      if (mine !== asked) return;
      isLoading = false;
      problem.value = error;
    }
  }

  function merge(changed) {
    if (rows.value === null) return;
    const nowMs = exactly();
    const last = rows.value.at(-1);
    const byId = new Map(rows.value.map((saga) => [saga.sagaId, saga]));
    for (const saga of changed) {
      if (saga.isGone || !fits(saga, filter, nowMs)) {
        byId.delete(saga.sagaId);
        held.delete(saga.sagaId);
      } else if (byId.has(saga.sagaId)) byId.set(saga.sagaId, saga);
      // What comes after this page stands on one that follows; a later page takes nothing in.
      else if (isFirst && (!next.value || !last || inOrder(saga, last) < 0)) (isHeld ? held : byId).set(saga.sagaId, saga);
    }
    const shown = [...byId.values()].sort(inOrder);
    rows.value = shown.slice(0, limit);
    if (shown.length > limit) next.value = { [bound]: rows.value.at(-1).startedAt };
    waiting.value = held.size;
    if (next.value && shown.length < limit / 2 && !isLoading) reload();
  }

  function draw() {
    frame = null;
    const changed = [...fresh.values()];
    if (!isLoading) fresh = new Map();
    if (changed.length > 0) batch(() => merge(changed));
  }

  function soon() {
    // Frames are not drawn for a tab in the background, which is to be current all the same.
    frame ??= document.hidden ? setTimeout(draw, 100) : requestAnimationFrame(draw);
  }

  return {
    rows, next, problem, waiting, reload,
    hold() { isHeld = true; },
    release() {
      isHeld = false;
      const late = [...held.values()];
      held = new Map();
      if (late.length > 0) batch(() => merge(late));
    },
    start() {
      reload();
      const off = onNews((news) => {
        if (news.kind === "reset") return reload();
        if (growsByItself(news) && !isHeld && !isLoading) reload();
        if (news.kind === "sagas") {
          for (const saga of news.sagas) fresh.set(saga.sagaId, saga);
          for (const id of news.gone ?? []) fresh.set(id, { sagaId: id, isGone: true });
          soon();
        }
        return null;
      });
      return () => { off(); asked += 1; };
    },
  };
}
