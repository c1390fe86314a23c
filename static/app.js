// Makes pages live and quick to use. Every page is complete without it.
const page = document.body.dataset;
const main = document.getElementById("main");
const skew = Number(page.now) - Date.now() / 1000;
const now = () => Date.now() / 1000 + skew;
const all = (selector, from = document) => from.querySelectorAll(selector);
const calm = matchMedia("(prefers-reduced-motion: reduce)");

// Times: relative ones are kept fresh, absolute ones are told in the reader's time zone.
const zone = Intl.DateTimeFormat().resolvedOptions().timeZone;
const format = (options) => new Intl.DateTimeFormat("en-GB", { hourCycle: "h23", ...options });
const forms = {
  clock: format({ hour: "2-digit", minute: "2-digit" }),
  exact: format({ hour: "2-digit", minute: "2-digit", second: "2-digit", fractionalSecondDigits: 3 }),
  day: format({ weekday: "short", day: "2-digit" }),
  full: format({ day: "numeric", month: "short", year: "numeric", hour: "2-digit", minute: "2-digit" }),
  title: format({ dateStyle: "medium", timeStyle: "long" }),
};

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
  if (left <= 0) return "now";
  const two = (n) => String(n).padStart(2, "0");
  const [h, m, s] = [Math.floor(left / 3600), Math.floor((left % 3600) / 60), left % 60];
  return h ? `${h}:${two(m)}:${two(s)}` : `${m}:${two(s)}`;
}

const moment = (el) => (el.dataset.at ? Number(el.dataset.at) : Date.parse(el.dateTime) / 1000);
const say = (el, text) => el.textContent !== text && (el.textContent = text);

function tell(el) {
  const at = moment(el);
  const form = el.dataset.time;
  if (form === "ago") say(el, ago(at));
  else if (form === "countdown") say(el, countdown(at));
  else say(el, forms[form].format(at * 1000).replace(",", ""));
}

function localise(from) {
  for (const el of all("[data-time]", from)) {
    tell(el);
    if (el.dateTime) el.title = `${forms.title.format(moment(el) * 1000)} · ${el.dateTime.replace("T", " ").replace("Z", "")} UTC`;
  }
}

setInterval(() => {
  if (!document.hidden) all("[data-time=ago], [data-time=countdown]").forEach(tell);
}, 1000);

// Morphing: a part of the page becomes like a fresh copy, touching only what differs.
const OWN = new Set(["open", "title"]); // what reader and script set themselves
const alike = (a, b) => a.nodeType === b.nodeType && a.nodeName === b.nodeName;

function flash(node) {
  const el = node.nodeType === Node.TEXT_NODE ? node.parentElement?.closest("[data-fade]") : node.nodeName === "TR" && node;
  if (el && !calm.matches) el.animate([{ opacity: 0.3 }, { opacity: 1 }], { duration: 700, easing: "ease-out" });
}

function morph(old, fresh) {
  if (old.nodeType !== Node.ELEMENT_NODE) {
    if (old.data !== fresh.data) (old.data = fresh.data), flash(old);
    return;
  }
  const sameTime = old.dataset.time && (old.dateTime ?? old.dataset.at) === (fresh.dateTime ?? fresh.dataset.at);
  for (const { name, value } of fresh.attributes)
    if (!OWN.has(name) && old.getAttribute(name) !== value) old.setAttribute(name, value);
  for (const { name } of [...old.attributes])
    if (!OWN.has(name) && !fresh.hasAttribute(name)) old.removeAttribute(name);
  if (!sameTime) morphChildren(old, fresh);
}

function morphChildren(old, fresh) {
  const keyed = new Map([...old.children].filter((el) => el.id).map((el) => [el.id, el]));
  let at = old.firstChild;
  for (const child of [...fresh.childNodes]) {
    const match = child.id ? keyed.get(child.id) : at && !at.id && alike(at, child) ? at : null;
    if (!match) flash(old.insertBefore(document.adoptNode(child), at));
    else {
      if (match === at) at = at.nextSibling;
      else old.insertBefore(match, at);
      morph(match, child);
    }
  }
  while (at) {
    const next = at.nextSibling;
    at.remove();
    at = next;
  }
}

// Live: what happens is told by the stream, and the parts of the page it concerns are fetched anew, at most twice a second.
const watch = main.dataset.watch; // all, rows, the id of a message, or nothing
const PACE = 500;
let stale = new Set();
let timer = 0;
let last = 0;
let busy = false;

function refreshSoon() {
  if (!watch || timer || document.hidden) return;
  timer = setTimeout(refresh, Math.max(0, last + PACE - performance.now()));
}

function address() {
  const url = new URL(location.href);
  url.hash = "";
  if (watch !== "rows") return url;
  const rows = [...all("#rows > tr")];
  if (rows.length) url.searchParams.set("first", rows[0].dataset.key);
  for (const row of rows) if (stale.has("*") || stale.has(row.dataset.key)) url.searchParams.append("row", row.dataset.key);
  return url;
}

async function refresh() {
  if (busy) return (timer = setTimeout(refresh, PACE));
  busy = true;
  const url = address();
  stale = new Set();
  try {
    const answer = await fetch(url, { headers: { "x-part": "1" } });
    if (answer.redirected) return location.reload(); // the log-in has ended
    if (answer.ok) apply(new DOMParser().parseFromString(await answer.text(), "text/html"));
  } catch {
    stale.add("*"); // the stream notices by itself, and asks again when it is back
  } finally {
    (busy = false), (timer = 0), (last = performance.now());
  }
}

function apply(fresh) {
  for (const part of all("[data-live]", fresh)) {
    const old = document.getElementById(part.id);
    if (!old || ("calm" in old.dataset && old.matches(":hover, :focus-within"))) continue; // somebody reads it
    morph(old, part);
    localise(old);
  }
  document.title = fresh.title;
}

function trouble(flow) {
  const bad = flow.level === "warn" || flow.level === "bad";
  const title = document.title.replace(/^● /, "");
  document.title = bad ? `● ${title}` : title;
  const icon = document.querySelector("link[rel=icon]");
  const href = bad ? icon.dataset.trouble : icon.dataset.calm;
  if (icon.getAttribute("href") !== href) icon.setAttribute("href", href);
}

function listen() {
  const mark = document.getElementById("live");
  let seen = "";
  let lost = 0;
  const show = (state, text) => ((mark.dataset.state = state), say(mark.lastElementChild, text), (mark.title = text));
  const heard = (event, id) => {
    if (event.lastEventId) seen = event.lastEventId;
    if (watch === "all" || watch === id || (watch === "rows" && id)) stale.add(id ?? "*"), refreshSoon();
  };
  const open = () => {
    const source = new EventSource(page.events + (seen ? `?after=${seen}` : ""));
    source.onopen = () => {
      lost = 0;
      show("on", "live");
      stale.add("*"), refreshSoon();
    };
    source.onmessage = (event) => heard(event, JSON.parse(event.data).message);
    source.addEventListener("reset", (event) => (stale.add("*"), heard(event, watch)));
    source.addEventListener("status", (event) => (trouble(JSON.parse(event.data).flow), heard(event, null)));
    source.onerror = () => {
      lost ||= now();
      show("wait", "reconnecting");
      if (source.readyState === EventSource.CLOSED) setTimeout(open, 3000); // an answer the browser does not retry
    };
    addEventListener("pagehide", () => source.close(), { once: true });
  };
  setInterval(() => lost && now() - lost > 8 && show("gone", `offline since ${forms.clock.format(lost * 1000)}`), 1000);
  mark.hidden = false;
  open();
}

document.addEventListener("visibilitychange", () => document.hidden || (localise(document), stale.size && refreshSoon()));
for (const part of all("[data-calm]")) part.addEventListener("pointerleave", refreshSoon);

// The chart tells its values under the pointer and under the arrow keys.
function read(plot, hit) {
  const card = plot.closest(".chart");
  all(".hit.on", plot).forEach((el) => el.classList.remove("on"));
  hit?.classList.add("on");
  const values = hit?.dataset.values.split(" ");
  for (const el of all("[data-series]", card)) say(el, Number(values?.[el.dataset.series] ?? el.dataset.total).toLocaleString("en"));
  const at = hit && forms[plot.dataset.form].format(hit.dataset.at * 1000).replace(",", "");
  say(card.querySelector(".reading"), at ? `from ${at}` : plot.dataset.per);
}

document.addEventListener("pointermove", ({ target }) => {
  const hit = target.closest?.(".hit");
  const shown = document.querySelector(".hit.on");
  if (hit !== shown) read((hit ?? shown).closest(".plot"), hit);
});
document.addEventListener("focusout", ({ target }) => target.matches?.(".plot") && read(target, null));

function arrow(plot, step) {
  const hits = [...all(".hit", plot)];
  const at = hits.findIndex((el) => el.classList.contains("on"));
  read(plot, hits[at < 0 ? hits.length - 1 : Math.min(hits.length - 1, Math.max(0, at + step))]);
}

// Keys.
const GO = { o: "/", m: "/messages", r: "/relays", t: "/send" };
let going = 0;

function walk(step) {
  const links = [...all(".rows .subject a")];
  const at = links.findIndex((el) => el.closest("tr").contains(document.activeElement));
  links[at < 0 ? 0 : Math.min(links.length - 1, Math.max(0, at + step))]?.focus();
}

const KEYS = {
  "?": () => document.getElementById("help").showModal(),
  "/": () => {
    const search = document.getElementById("search");
    if (search) search.focus();
    else location.href = `${page.root}/messages#search`;
  },
  ".": () => document.querySelector("#news a")?.click(),
  j: () => walk(1),
  k: () => walk(-1),
  g: () => (going = now()),
  Escape: () => all("details.ask[open]").forEach((el) => (el.open = false)),
};

document.addEventListener("keydown", (event) => {
  const { key, target } = event;
  if (event.ctrlKey || event.metaKey || event.altKey || (target.matches("input, textarea, select") && key !== "Escape")) return;
  if (target.matches(".plot") && key.startsWith("Arrow")) return event.preventDefault(), arrow(target, key === "ArrowLeft" ? -1 : 1);
  const path = now() - going < 1.5 && GO[key];
  going = 0;
  if (path) location.href = page.root + path;
  else if (KEYS[key] && !document.querySelector("dialog[open]")) {
    if (key !== "Escape") event.preventDefault();
    KEYS[key]();
  }
});

// Small comforts.
document.addEventListener("click", async (event) => {
  for (const el of all("details.ask[open]")) if (!el.contains(event.target)) el.open = false;
  const view = event.target.closest(".views a");
  if (!view || event.ctrlKey || event.metaKey || event.shiftKey) return;
  event.preventDefault(); // the same link, without losing the place
  const answer = await fetch(view.href);
  const fresh = new DOMParser().parseFromString(await answer.text(), "text/html").getElementById("content");
  if (!answer.ok || !fresh) return (location.href = view.href);
  document.getElementById("content").replaceWith(document.adoptNode(fresh));
  history.replaceState(null, "", view.href);
  fresh.querySelector("[aria-current]").focus({ preventScroll: true });
});

const themes = ["system", "light", "dark"];
const theme = document.getElementById("theme");
theme.addEventListener("click", () => {
  const next = themes[(themes.indexOf(document.documentElement.dataset.theme ?? "system") + 1) % 3];
  if (next === "system") delete document.documentElement.dataset.theme;
  else document.documentElement.dataset.theme = next;
  document.cookie = `emailhub_theme=${next}; path=${page.root || "/"}; max-age=31536000; samesite=strict`;
  say(theme, `theme: ${next}`);
});
say(theme, `theme: ${document.documentElement.dataset.theme ?? "system"}`);
const keys = document.getElementById("keys");
keys.addEventListener("click", KEYS["?"]);
theme.hidden = keys.hidden = false;
say(document.getElementById("zone"), `times in ${zone}`);

localise(document);
if (location.hash === "#search") document.getElementById("search")?.focus();
if (page.events) listen();
