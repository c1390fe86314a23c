// The keyboard: walk through rows, select, act, go elsewhere. Every page is complete without it.
const root = document.body.dataset.root;
const byId = (id) => document.getElementById(id);
const all = (selector) => [...document.querySelectorAll(selector)];
const row = () => document.activeElement?.closest(".rows tbody tr");
const box = (el) => el?.querySelector(".pick input");
const GO = { o: "/", m: "/messages", d: "/dead-letters", r: "/relays", e: "/templates", s: "/suppressions", k: "/api-keys", u: "/users", t: "/send", a: "/audit", j: "/jobs", c: "/settings" };
const GRACE = 1500; // milliseconds between `g` and where to
let going = 0;

function walk(step) {
  const links = all(".rows .subject a");
  const at = links.findIndex((el) => el.closest("tr").contains(document.activeElement));
  links[at < 0 ? 0 : Math.min(links.length - 1, Math.max(0, at + step))]?.focus();
}

function select() {
  const found = box(row());
  if (!found) return;
  found.checked = !found.checked;
  found.dispatchEvent(new Event("change", { bubbles: true }));
}

function retry() {
  const button = byId("retry-picked") ?? document.querySelector("#actions form[action$='/retry'] button");
  const here = box(row());
  if (here && !document.querySelector(".pick input[name=id]:checked, #pick-every:checked")) here.checked = true;
  button?.click();
}

const KEYS = {
  "?": () => byId("help").showModal(),
  "/": () => (byId("search") ? byId("search").focus() : (location.href = `${root}/messages#search`)),
  ".": () => document.querySelector("#news a")?.click(),
  j: () => walk(1),
  k: () => walk(-1),
  x: select,
  e: retry,
  g: () => (going = performance.now()),
};

document.addEventListener("keydown", (event) => {
  const { key, target } = event;
  if (event.ctrlKey || event.metaKey || event.altKey || document.querySelector("dialog[open]")) return;
  if (target.matches("textarea, select, input:not([type=checkbox], [type=radio])")) return;
  const path = going && performance.now() - going < GRACE && GO[key];
  going = 0;
  if (path) location.href = root + path;
  else if (KEYS[key]) KEYS[key]();
  else return;
  event.preventDefault();
});

byId("keys").addEventListener("click", KEYS["?"]);
byId("keys").hidden = false;
if (location.hash === "#search") byId("search")?.focus();
