// Something loaded from the API that a view shows: the last answer, the last problem, and a way to ask again.
import { batch, signal, useEffect, useMemo } from "./html.js";
import { onNews } from "./live.js";

/** One thing to load. Asked again while it is being asked, it is asked once more afterwards. */
export function resource(load) {
  const data = signal(null);
  const problem = signal(null);
  let running = null;
  let isWantedAgain = false;
  let isOver = false;

  async function run() {
    do {
      isWantedAgain = false;
      try {
        const answer = await load();
        if (!isOver) batch(() => { data.value = answer; problem.value = null; });
      } catch (error) {
        if (!isOver) problem.value = error;
      }
    } while (isWantedAgain && !isOver);
    running = null;
  }

  return {
    data,
    problem,
    reload() {
      if (running) isWantedAgain = true;
      else running = run();
      return running;
    },
    end() { isOver = true; },
  };
}

/**
 * Load something for as long as a view is shown, again when `inputs` change, when the connection was lost and is
 * back, and when `concerns(news)` says that news is about it. At most four times a second.
 */
export function useResource(load, inputs, concerns = () => false) {
  const made = useMemo(() => resource(load), inputs);
  useEffect(() => {
    made.reload();
    let timer = null;
    const later = () => { timer ??= setTimeout(() => { timer = null; made.reload(); }, 250); };
    const off = onNews((news) => {
      if (news.kind === "reset") return made.reload();
      if (concerns(news)) later();
      return null;
    });
    return () => { off(); clearTimeout(timer); made.end(); };
  }, inputs);
  return made;
}
