// The list of messages: select all rows of the page, and say how many are selected.
const many = document.getElementById("many");
const whole = document.getElementById("pick-all");
const every = document.getElementById("pick-every");
const said = document.getElementById("picked");
const boxes = () => [...document.querySelectorAll(".pick input[name=id]")];

function tell() {
  const found = boxes();
  const picked = found.filter((box) => box.checked).length;
  whole.checked = picked > 0 && picked === found.length;
  whole.indeterminate = picked > 0 && picked < found.length;
  const none = !picked && !every?.checked;
  said.textContent = every?.checked ? "With all that match:" : picked ? `With the ${picked} selected:` : "Select messages to";
  for (const button of many.querySelectorAll("button")) button.classList.toggle("faint", none);
}

if (many) {
  whole.hidden = false;
  document.addEventListener("change", ({ target }) => {
    if (target === whole) for (const box of boxes()) box.checked = whole.checked;
    if (target === whole || target === every || target.closest(".pick")) tell();
  });
  document.addEventListener("refreshed", tell);
  tell();
}
