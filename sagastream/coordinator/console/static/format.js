// Instants, durations, counts and rates as people read them. Pure.

const two = (number) => String(number).padStart(2, "0");

/** An ISO instant as "20:31:04.120"; with its date unless it is the day of `now`. */
export function instant(iso, now, { exact = false } = {}) {
  if (!iso) return "";
  const at = new Date(iso);
  const time = `${two(at.getUTCHours())}:${two(at.getUTCMinutes())}:${two(at.getUTCSeconds())}`;
  const ms = exact ? `.${String(at.getUTCMilliseconds()).padStart(3, "0")}` : "";
  const day = at.toISOString().slice(0, 10);
  return new Date(now).toISOString().slice(0, 10) === day ? time + ms : `${day} ${time}${ms}`;
}

/** Milliseconds as "0.108 s", "3 min 12 s", "2 h 5 min", "3 d 4 h". */
export function lasting(ms) {
  if (ms === null || ms === undefined) return "–";
  const seconds = Math.max(0, ms) / 1000;
  if (seconds < 1) return `${Math.round(seconds * 1000)} ms`;
  if (seconds < 10) return `${seconds.toFixed(1)} s`;
  return whole(seconds);
}

/** Milliseconds in whole seconds and more, for what is counted up while one looks. */
export const ticking = (ms) => whole(Math.max(0, ms) / 1000);

function whole(seconds) {
  const all = Math.floor(seconds);
  if (all < 60) return `${all} s`;
  const minutes = Math.floor(all / 60);
  if (minutes < 60) return `${minutes} min ${two(all % 60)} s`;
  const hours = Math.floor(minutes / 60);
  return hours < 48 ? `${hours} h ${two(minutes % 60)} min` : `${Math.floor(hours / 24)} d ${hours % 24} h`;
}

/** A count with its thousands apart. */
export const count = (number) => (number === null || number === undefined ? "–" : number.toLocaleString("en"));

/** A share as a percentage that never rounds up to "100 %" nor down to "0 %". */
export function share(rate) {
  if (rate === null || rate === undefined) return "–";
  const text = (rate * 100).toFixed(rate > 0.98 && rate < 1 ? 2 : 1);
  if (rate < 1 && Number(text) === 100) return "> 99.99 %";
  if (rate > 0 && Number(text) === 0) return "< 0.1 %";
  return `${Number(text)} %`;
}

/** Events per second, in the unit that has few digits. */
export function rate(perSecond) {
  if (perSecond === null || perSecond === undefined) return "–";
  if (perSecond >= 0.95) return `${perSecond < 10 ? perSecond.toFixed(1) : Math.round(perSecond)} /s`;
  const perMinute = perSecond * 60;
  return `${perMinute < 10 ? Number(perMinute.toFixed(1)) : Math.round(perMinute)} /min`;
}

/** "1 saga", "2 sagas". */
export const many = (number, noun) => `${count(number)} ${noun}${number === 1 ? "" : "s"}`;

/** "an InProgress", "a Completed". */
export const short = (id) => (id.length > 14 ? `${id.slice(0, 10)}…` : id);

/** A sentence from words that begin small. */
export const cap = (text) => text[0].toUpperCase() + text.slice(1);
