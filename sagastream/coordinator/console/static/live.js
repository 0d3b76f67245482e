// The one connection by which news comes in, and what may be claimed about it. Nothing else listens to the server.
import { signal } from "./html.js";
import { exactly, told } from "./clock.js";

const PATH = "api/v1/events";
const SILENCE_MS = 6000; // figures come about once a second: after this the line is dead, whatever it says
const PAUSES_MS = [500, 1000, 2000, 4000];

/**
 * What may be claimed: "connecting" (for the first time), "live", "catching up" (connected again, what was missed is
 * being loaded) or "lost", with the instant since when.
 */
export const connection = signal({ kind: "connecting", since: null });

/** When something was heard last (epoch ms), null before anything was. */
export const lastNews = signal(null);

const listeners = new Set();
let source = null;
let attempts = 0;
let timer = null;
let watch = null;

/** Call `listener` with all news until the returned function is called. What it returns is waited for on a reset. */
export function onNews(listener) {
  listeners.add(listener);
  return () => listeners.delete(listener);
}

/** Connect, and stay connected. */
export function start() {
  open();
  // A tab that slept may hold a line that died meanwhile.
  document.addEventListener("visibilitychange", () => { if (!document.hidden) check(); });
}

function open() {
  source?.close();
  const mine = new EventSource(new URL(PATH, document.baseURI));
  source = mine;
  mine.addEventListener("open", () => { if (mine === source) opened(); });
  mine.addEventListener("error", () => { if (mine === source) { lose(); schedule(); } });
  mine.addEventListener("sagas", (message) => heard(mine, message, "sagas"));
  mine.addEventListener("figures", (message) => heard(mine, message, "figures"));
  mine.addEventListener("reset", (message) => heard(mine, message, "reset"));
  clearInterval(watch);
  watch = setInterval(check, 1000);
}

async function opened() {
  attempts = 0;
  lastNews.value = exactly();
  const before = connection.value.kind;
  if (before === "live") return;
  connection.value = { kind: before === "connecting" ? before : "catching up", since: connection.value.since };
  const mine = source;
  // Whatever was shown before may have changed: everything is loaded again before it is called live.
  await everybody({ kind: "reset" });
  if (mine === source && source.readyState === EventSource.OPEN) connection.value = { kind: "live", since: null };
}

function heard(mine, message, kind) {
  if (mine !== source) return;
  let news;
  try {
    news = { kind, ...JSON.parse(message.data || "{}") };
  } catch {
    return; // cut off in the middle: the connection is about to end
  }
  lastNews.value = exactly();
  if (news.at) told(news.at);
  if (connection.value.kind === "lost") opened();
  everybody(news);
}

const everybody = (news) => Promise.allSettled([...listeners].map((listener) => listener(news)));

function lose() {
  if (connection.value.kind === "lost") return;
  connection.value = { kind: "lost", since: exactly() };
}

function schedule() {
  if (timer !== null) return;
  const pause = PAUSES_MS[Math.min(attempts++, PAUSES_MS.length - 1)];
  // A closed source never tries again by itself; an open one is left its own last position and tries again.
  timer = setTimeout(() => { timer = null; if (source.readyState !== EventSource.OPEN) open(); }, pause);
}

function reopen() {
  clearTimeout(timer);
  timer = null;
  open();
}

function check() {
  const isOpen = source?.readyState === EventSource.OPEN;
  if (isOpen && lastNews.value !== null && exactly() - lastNews.value > SILENCE_MS) {
    lose();
    reopen();
  }
}
