// The charts of a page tell their values under the pointer and under the arrow keys, all of them at the same time.
const plots = () => [...document.querySelectorAll(".plot")];
const counts = (plot) => JSON.parse(plot.dataset.counts);
const say = (el, text) => el && el.textContent !== text && (el.textContent = text);
const clocks = {
  clock: new Intl.DateTimeFormat("en-GB", { hour: "2-digit", minute: "2-digit", hourCycle: "h23" }),
  full: new Intl.DateTimeFormat("en-GB", { day: "numeric", month: "short", hour: "2-digit", minute: "2-digit", hourCycle: "h23" }),
};
let reading = -1; // the step that is read out, or none

function tell(plot) {
  const steps = counts(plot);
  const shown = steps[reading];
  const hit = plot.querySelector(".hit");
  hit.setAttribute("visibility", shown ? "visible" : "hidden");
  hit.setAttribute("width", `${100 / steps.length}%`);
  hit.setAttribute("x", `${(100 * Math.max(0, reading)) / steps.length}%`);
  const card = plot.closest(".chart");
  for (const el of card.querySelectorAll("[data-series]")) say(el, shown?.[el.dataset.series] ?? el.dataset.total);
  const at = Number(plot.dataset.from) + reading * plot.dataset.step;
  say(card.querySelector(".reading"), shown ? `from ${clocks[plot.dataset.form].format(at * 1000).replace(",", "")}` : plot.dataset.per);
}

function read(index, of) {
  reading = of ? Math.max(-1, Math.min(counts(of).length - 1, index)) : -1;
  plots().forEach(tell);
}

document.addEventListener("pointermove", ({ target, clientX }) => {
  const plot = target.closest?.(".plot");
  const box = plot?.getBoundingClientRect();
  if (plot) read(Math.floor(((clientX - box.left) / box.width) * counts(plot).length), plot);
  else if (reading >= 0 && !document.activeElement.matches(".plot")) read(-1);
});
document.addEventListener("focusout", ({ target }) => target.matches?.(".plot") && read(-1));
document.addEventListener("keydown", (event) => {
  const step = event.target.matches(".plot") && { ArrowLeft: -1, ArrowRight: 1, Home: -Infinity, End: Infinity, Escape: 0 }[event.key];
  if (step === false || step === undefined || event.ctrlKey || event.metaKey || event.altKey) return;
  event.preventDefault();
  if (!step) return read(-1);
  read(reading < 0 ? (step === -Infinity ? 0 : Infinity) : Math.max(0, reading + step), event.target);
});
document.addEventListener("refreshed", () => reading >= 0 && plots().forEach(tell));
