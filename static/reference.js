// The forms of the API reference: ask the hub itself, and say how to ask it with curl. The page is complete without them.
const root = document.body.dataset.root;
const key = document.getElementById("try-key");
const all = (selector, from) => [...from.querySelectorAll(selector)];
const quoted = (text) => `'${text.replaceAll("'", `'\\''`)}'`;

// The request a form describes; what is empty is left out.
function asked(tool) {
  const { method, path } = tool.dataset;
  const query = new URLSearchParams();
  const headers = {};
  let address = path;
  for (const input of all("[data-place]", tool)) {
    const { place } = input.dataset;
    if (place === "path") address = address.replace(`{${input.name}}`, encodeURIComponent(input.value) || `{${input.name}}`);
    else if (place === "query" && input.value) query.append(input.name, input.value);
    else if (place === "header" && input.value) headers[input.name] = input.value;
  }
  const body = tool.querySelector("textarea")?.value.trim();
  if (body) headers["Content-Type"] = "application/json";
  return { method, url: address + (query.size ? `?${query}` : ""), headers, body: body || undefined };
}

function curl(tool) {
  const { method, url, headers, body } = asked(tool);
  const address = tool.dataset.base + url;
  const plain = method === "GET" || (method === "POST" && body);
  const lines = [`curl ${plain ? "" : `-X ${method} `}${/[?&']/.test(address) ? quoted(address) : address}`];
  if (tool.dataset.guarded) lines.push('-H "Authorization: Bearer $EMAILHUB_API_KEY"');
  for (const [name, value] of Object.entries(headers)) lines.push(`-H ${quoted(`${name}: ${value}`)}`);
  if (body) lines.push(`-d ${quoted(body)}`);
  return lines.join(" \\\n  ");
}

function pretty(text) {
  try {
    return JSON.stringify(JSON.parse(text), null, 2);
  } catch {
    return text;
  }
}

const TOLD = /^(ratelimit-|retry-after|idempotency-replayed|allow|x-request-id)/;

async function ask(tool) {
  const { method, url, headers, body } = asked(tool);
  const [told, status, answer] = [".told", "[data-status]", "[data-answer]"].map((one) => tool.querySelector(one));
  told.hidden = false;
  status.textContent = "Asking …";
  answer.textContent = "";
  if (key.value) headers.Authorization = `Bearer ${key.value}`;
  const began = performance.now();
  try {
    const found = await fetch(root + url, { method, headers, body, cache: "no-store" });
    const text = await found.text();
    const more = [...found.headers].filter(([name]) => TOLD.test(name)).map(([name, value]) => `${name}: ${value}`);
    told.dataset.tone = found.ok ? "ok" : "bad";
    status.textContent = `${found.status} after ${Math.round(performance.now() - began)} ms`;
    answer.textContent = [...more, ...(more.length ? [""] : []), pretty(text)].join("\n");
  } catch {
    told.dataset.tone = "bad";
    status.textContent = "The hub did not answer.";
  }
}

// Put the example of a field into the body, or into the first thing of a list.
function add(tool, field) {
  const area = tool.querySelector("textarea");
  try {
    const body = JSON.parse(area.value || "{}");
    Object.assign(Array.isArray(body) ? body[0] : body, JSON.parse(field));
    area.value = JSON.stringify(body, null, 2);
    area.rows = Math.min(area.value.split("\n").length + 1, 24);
  } catch {
    tool.querySelector(".told").hidden = false;
    tool.querySelector("[data-status]").textContent = "The body is not JSON; correct it first.";
  }
}

for (const tool of all(".try", document)) {
  const example = tool.parentElement.querySelector("[data-curl]");
  const show = () => (example.textContent = curl(tool));
  tool.hidden = false;
  tool.addEventListener("input", show);
  tool.addEventListener("submit", (event) => (event.preventDefault(), ask(tool)));
  tool.querySelector("[data-add]")?.addEventListener("change", (event) => {
    add(tool, event.target.value);
    event.target.selectedIndex = 0;
    show();
  });
}
const credential = document.getElementById("try-credential");
credential.hidden = false;
credential.addEventListener("submit", (event) => event.preventDefault());
