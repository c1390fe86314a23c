// Makes the pages live and quick to use. Every page is complete without it.
const page = document.body.dataset;
const watch = document.getElementById("main").dataset.watch; // all, rows, the id of a message, kinds of events, or nothing
const skew = Number(page.now) - Date.now() / 1000;
const now = () => Date.now() / 1000 + skew;
const byId = (id) => document.getElementById(id);
const all = (selector, from = document) => [...from.querySelectorAll(selector)];
const say = (el, text) => el.textContent !== text && (el.textContent = text);
const parse = (text) => new DOMParser().parseFromString(text, "text/html");
const parsed = async (answer) => parse(await answer.text());

// Times: relative ones are kept fresh, absolute ones are told in the reader's time zone.
const format = (options) => new Intl.DateTimeFormat("en-GB", { hourCycle: "h23", ...options });
const forms = {
  clock: format({ hour: "2-digit", minute: "2-digit" }),
  exact: format({ hour: "2-digit", minute: "2-digit", second: "2-digit", fractionalSecondDigits: 3 }),
  day: format({ weekday: "short", day: "2-digit" }),
  full: format({ day: "numeric", month: "short", year: "numeric", hour: "2-digit", minute: "2-digit" }),
  title: format({ dateStyle: "medium", timeStyle: "long" }),
};
const absolute = (form, at) => forms[form].format(at * 1000).replace(",", "");

function rough(seconds) {
  for (const [unit, word] of [[86400, "d"], [3600, "h"], [60, "min"]])
    if (seconds >= unit) return `${Math.floor(seconds / unit)} ${word}`;
  return `${Math.round(seconds)} s`;
}

function ago(at) {
  const gap = now() - at;
  return Math.abs(gap) < 1 ? "just now" : gap > 0 ? `${rough(gap)} ago` : `in ${rough(-gap)}`;
}

function countdown(at) {
  const left = Math.round(at - now());
  const two = (n) => String(n).padStart(2, "0");
  const [h, m, s] = [Math.floor(left / 3600), Math.floor((left % 3600) / 60), left % 60];
  return left <= 0 ? "now" : h ? `${h}:${two(m)}:${two(s)}` : `${m}:${two(s)}`;
}

const RELATIVE = { ago, countdown, due: (at) => countdown(at).replace(/^\d/, "in $&") };
const moment = (el) => (el.dataset.at ? Number(el.dataset.at) : Date.parse(el.dateTime) / 1000);
const tick = (el) => say(el, RELATIVE[el.dataset.time](moment(el)));

function localise(from) {
  for (const el of all("[data-time]", from)) {
    if (el.dataset.time in RELATIVE) tick(el);
    else say(el, absolute(el.dataset.time, moment(el)));
    if (el.dateTime) el.title = `${absolute("title", moment(el))} · ${el.dateTime.replace("T", " ").replace("Z", "")} UTC`;
  }
}

setInterval(() => document.hidden || all("[data-time=ago], [data-time=countdown], [data-time=due]").forEach(tick), 1000);

// Morphing: a part of the page becomes like its fresh copy; only what differs is touched.
const OWN = new Set(["open", "title"]); // reader and script set these themselves
const calm = matchMedia("(prefers-reduced-motion: reduce)");

const STILL = 5000; // milliseconds; what changes all the time needs no sign of it, and would be drawn at every frame
const changed = new WeakMap(); // when a number or a table changed last, and whether it was still before
let drawn = 0;

function wasStill(el) {
  let [at, still] = changed.get(el) ?? [-STILL, true];
  if (at !== drawn) changed.set(el, [drawn, (still = drawn - at >= STILL)]);
  return still;
}

function flash(node) {
  const el = node.nodeType === Node.TEXT_NODE ? node.parentElement?.closest("[data-fade]") : node.nodeName === "TR" && node;
  if (el && wasStill(el.closest("tbody") ?? el) && !calm.matches) el.animate([{ opacity: 0.3 }, { opacity: 1 }], { duration: 700, easing: "ease-out" });
}

function morph(old, fresh) {
  if (old.nodeType !== Node.ELEMENT_NODE) {
    if (old.data !== fresh.data) (old.data = fresh.data), flash(old);
    return;
  }
  const sameTime = old.dataset.time && (old.dateTime ?? old.dataset.at) === (fresh.dateTime ?? fresh.dataset.at);
  for (const { name, value } of fresh.attributes) if (!OWN.has(name) && old.getAttribute(name) !== value) old.setAttribute(name, value);
  for (const { name } of [...old.attributes]) if (!OWN.has(name) && !fresh.hasAttribute(name)) old.removeAttribute(name);
  if (!sameTime) morphChildren(old, fresh);
}

function morphChildren(old, fresh) {
  const keyed = new Map([...old.children].filter((el) => el.id).map((el) => [el.id, el]));
  let at = old.firstChild;
  for (const child of [...fresh.childNodes]) {
    const match = child.id ? keyed.get(child.id) : at && !at.id && at.nodeName === child.nodeName ? at : null;
    if (!match) flash(old.insertBefore(document.adoptNode(child), at));
    else {
      if (match === at) at = at.nextSibling;
      else old.insertBefore(match, at);
      morph(match, child);
    }
  }
  while (at) [at] = [at.nextSibling, at.remove()];
}

// Live: the stream tells what happens, and the parts of the page it concerns are fetched anew, at most twice a second.
const PACE = 500;
const reads = matchMedia("(hover: hover)").matches ? ":hover, :focus-within" : ":focus-within"; // never moved meanwhile
let stale = new Set(); // ids of messages, or * for everything
let timer = 0;
let last = -PACE;
let pause = PACE;

function refreshSoon(what) {
  if (what) stale.add(what);
  if (watch && stale.size && !timer && !document.hidden) timer = setTimeout(refresh, Math.max(0, last + pause - performance.now()));
}

function address() {
  const url = new URL(location.href);
  const rows = watch === "rows" ? all("#rows > tr") : [];
  if (rows.length) url.searchParams.set("first", rows[0].dataset.key);
  for (const { dataset } of rows) if (stale.has("*") || stale.has(dataset.key)) url.searchParams.append("row", dataset.key);
  return url;
}

async function refresh() {
  const url = address();
  stale = new Set();
  try {
    const answer = await fetch(url, { headers: { "x-part": "1" } });
    if (answer.redirected) return location.reload(); // the log-in has ended
    const text = await answer.text();
    const began = performance.now();
    if (answer.ok) apply(parse(text));
    pause = Math.min(5000, Math.max(PACE, 15 * (performance.now() - began))); // a slow computer is left time for other things
  } catch {
    // The stream fails too, and everything is asked for again when it is back.
  }
  [timer, last] = [0, performance.now()];
  refreshSoon();
}

function apply(fresh) {
  drawn = performance.now();
  for (const part of all("[data-live]", fresh)) {
    const old = byId(part.id);
    if (old && "calm" in old.dataset && old.matches(reads)) continue;
    if (old) morph(old, part), localise(old);
  }
  document.dispatchEvent(new Event("refreshed"));
  if (document.title !== fresh.title) document.title = fresh.title;
}

function trouble({ level }) {
  const bad = level === "warn" || level === "bad";
  document.title = (bad ? "● " : "") + document.title.replace(/^● /, "");
  const icon = document.querySelector("link[rel=icon]");
  const href = bad ? icon.dataset.trouble : icon.dataset.calm;
  if (icon.getAttribute("href") !== href) icon.setAttribute("href", href);
}

// What a message waits for is told by how its relay stands, and no event of the message's own says when that changes.
const standing = ({ flow, relays }) => JSON.stringify([flow.headline, flow.causes.length, relays.map((r) => [r.breaker, r.suspended, r.covered_by])]);

const SILENCE = 40_000; // milliseconds; the hub is heard every 15 seconds

function listen() {
  const mark = byId("live");
  let [seen, stood] = ["", ""];
  let [lost, heard, source] = [0, Date.now(), null];
  const hear = () => (heard = Date.now());
  const show = (state, text) => ((mark.dataset.state = state), say(mark.lastElementChild, text), (mark.title = text));
  const happened = ({ data, lastEventId }) => {
    hear();
    seen = lastEventId || seen;
    // A line is not parsed: there may be thousands of them a second.
    if (watch === "rows") for (const [, id] of data.matchAll(/"message":"(\w+)"/g)) stale.add(id);
    else if (watch === "all" || (watch && watch.split(" ").some((one) => data.includes(`"${one}"`)))) stale.add("*");
    refreshSoon();
  };
  const open = () => {
    source = new EventSource(`${page.events}?gather${seen && `&after=${seen}`}`);
    hear();
    source.onopen = () => (hear(), (lost = 0), show("on", "live"), refreshSoon("*"));
    source.addEventListener("many", happened);
    source.addEventListener("beat", hear);
    source.addEventListener("reset", () => refreshSoon("*"));
    source.addEventListener("status", ({ data }) => {
      hear();
      const [status, before] = [JSON.parse(data), stood];
      trouble(status.flow);
      stood = standing(status);
      if (watch === "all" || stood !== before) refreshSoon("*");
    });
    source.onerror = ({ target }) => {
      lost ||= now();
      show("wait", "reconnecting");
      if (target === source && target.readyState === EventSource.CLOSED) setTimeout(open, 3000); // the browser gives up
    };
  };
  const silent = () => {
    if (Date.now() - heard < SILENCE || source.readyState !== EventSource.OPEN) return;
    lost ||= now() - (Date.now() - heard) / 1000; // the computer slept, or the network went away without a word
    show("wait", "reconnecting");
    source.close();
    open();
  };
  addEventListener("pagehide", () => source.close(), { once: true });
  setInterval(silent, 1000);
  setInterval(() => lost && now() - lost > 8 && show("gone", `offline since ${absolute("clock", lost)}`), 1000);
  mark.hidden = false;
  open();
}

addEventListener("pageshow", ({ persisted }) => persisted && location.reload());
document.addEventListener("visibilitychange", () => document.hidden || (localise(document), refreshSoon()));
for (const part of all("[data-calm]")) part.addEventListener("pointerleave", () => refreshSoon("*"));

// Small comforts: menus close, views change in place, light or dark.
document.addEventListener("keydown", ({ key }) => key === "Escape" && all("details.ask[open]").forEach((el) => (el.open = false)));
document.addEventListener("click", async (event) => {
  for (const el of all("details.ask[open]")) if (!el.contains(event.target)) el.open = false;
  const view = event.target.closest(".views a");
  if (!view || event.ctrlKey || event.metaKey || event.shiftKey) return;
  event.preventDefault();
  const answer = await fetch(view.href).catch(() => null);
  const fresh = answer?.ok && (await parsed(answer)).getElementById("content");
  if (!fresh) return (location.href = view.href);
  byId("content").replaceWith(document.adoptNode(fresh));
  history.replaceState(null, "", view.href);
  fresh.querySelector("[aria-current]").focus({ preventScroll: true });
});

const dressed = document.documentElement.dataset;
byId("theme")?.addEventListener("submit", (event) => {
  event.preventDefault();
  const button = event.submitter;
  const [chosen, root] = [button.value, page.root || "/"];
  if (chosen) dressed.theme = chosen;
  else delete dressed.theme;
  document.cookie = `emailhub_theme=${chosen}; path=${root}; max-age=${chosen ? 31536000 : 0}; samesite=strict`;
  button.value = { "": "light", light: "dark", dark: "" }[chosen];
  button.title = button.ariaLabel = `Theme: ${chosen || "system"}`;
});
say(byId("zone"), `times in ${Intl.DateTimeFormat().resolvedOptions().timeZone}`);

localise(document);
for (const current of document.querySelectorAll(".bar nav [aria-current], .tabs [aria-current]"))
  current.scrollIntoView({ block: "nearest", inline: "center" });
if (page.events) listen();
