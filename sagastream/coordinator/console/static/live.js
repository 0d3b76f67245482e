// The one connection by which news comes in, and what may be claimed about it. Nothing else listens to the server.
import { signal } from "./html.js";
import { exactly, told } from "./clock.js";

const PATH = "api/v1/events";
const SILENCE_MS = 6000; // figures come every second: after this the line is dead, whatever it says
const PAUSES_MS = [500, 1000, 2000, 4000];
const REST_MS = 2000; // browsers have six connections for one server, all tabs together: who is not seen needs none

/**
 * What may be claimed: "connecting" (for the first time), "live", "catching up" (connected again, what was missed is
 * being loaded), "resting" (nobody sees this tab, or only just again), "troubled" (the coordinator itself cannot look,
 * and says `why`) or "lost"; with the instant since when.
 */
export const connection = signal({ kind: "connecting", since: null });

/** When something was heard last (epoch ms), null before anything was. */
export const lastNews = signal(null);

const listeners = new Set();
let source = null;
let position = "";
let attempts = 0;
let timer = null;
let resting = null;
let tried = 0; // when the last attempt to connect began

/** Call `listener` with all news until the returned function is called. What it returns is waited for on a reset. */
export function onNews(listener) {
  listeners.add(listener);
  return () => listeners.delete(listener);
}

/** Connect, and stay connected. */
export function start() {
  watch();
  setInterval(check, 1000);
  document.addEventListener("visibilitychange", watch);
  // Browsers keep pages that were left, so as to go back to them at once, and their connections too.
  addEventListener("pagehide", rest);
  addEventListener("pageshow", watch);
}

function watch() {
  clearTimeout(resting);
  if (document.hidden) resting = setTimeout(rest, REST_MS);
  else if (source === null) open();
  else check(); // a tab that slept may hold a line that died meanwhile
}

function rest() {
  source?.close();
  source = null;
  if (connection.value.kind !== "connecting") say("resting");
}

function open() {
  source?.close();
  tried = exactly();
  const address = new URL(PATH, document.baseURI);
  if (position) address.searchParams.set("lastEventId", position);
  const mine = new EventSource(address);
  source = mine;
  mine.addEventListener("open", () => { if (mine === source) opened(); });
  mine.addEventListener("error", () => { if (mine === source) { say("lost"); schedule(); } });
  for (const kind of ["sagas", "figures", "reset", "trouble"]) {
    mine.addEventListener(kind, (message) => { if (mine === source) heard(message, kind); });
  }
}

function opened() {
  attempts = 0;
  if (connection.value.kind === "lost") say("catching up");
  lastNews.value = exactly();
}

async function heard(message, kind) {
  let news;
  try {
    news = { kind, ...JSON.parse(message.data || "{}") };
  } catch {
    return; // cut off in the middle: the connection is about to end
  }
  const mine = source;
  if (message.lastEventId) position = message.lastEventId;
  if (kind === "trouble") return say("troubled", news.why);
  lastNews.value = exactly();
  if (kind === "figures" && news.at) told(news.at);
  // Whatever was shown before a reset may have changed: it is loaded again before it is called live.
  const loaded = everybody(news);
  if (kind === "reset") {
    if (!["connecting", "resting"].includes(connection.value.kind)) say("catching up");
    await loaded;
  }
  if (mine === source && mine?.readyState === EventSource.OPEN) say("live");
}

const everybody = (news) => Promise.allSettled([...listeners].map((listener) => listener(news)));

function say(kind, why = "") {
  const before = connection.value;
  if (before.kind === kind) return;
  const since = ["live", "connecting", "resting"].includes(kind) ? null : before.since ?? exactly();
  connection.value = { kind, since, why };
}

function schedule() {
  // A closed source never tries again by itself; whatever it is, it is tried soon, and from where it was.
  if (timer !== null) return;
  const pause = PAUSES_MS[Math.min(attempts++, PAUSES_MS.length - 1)];
  timer = setTimeout(() => { timer = null; if (source && source.readyState !== EventSource.OPEN) open(); }, pause);
}

function check() {
  if (source === null) return;
  const since = source.readyState === EventSource.OPEN ? lastNews.value : tried;
  if (exactly() - since > SILENCE_MS) {
    say("lost");
    open();
  }
}
