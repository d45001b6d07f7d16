// The page's frame: asks the server, keeps the state in the address, shows tabs. Tabs are modules (viewer_pages.py).

import { factor, short, sign } from "./chart.js";
import { begin as beginMarks } from "./marks.js";
import { begin as beginKeys } from "./keys.js";
import { begin as beginSample, follow as followSample } from "./sample.js";

// query: filters and order by column, as the server reads them; page: what only the page reads, such as the open sample
export const app = { start: null, columns: new Map(), query: new Map(), page: new Map(), tab: "" };
const PAGE = new Set(["id", "view", "against", "size", "colour", "near", "by", "how", "paint", "moved", "order"]);
const opened = new Map(); // tab -> {place, module}

// --- asking the server -------------------------------------------------------------------------------------------

async function answered(reply) {
  const content = await reply.json().catch(() => ({}));
  if (reply.ok) return content;
  const said = reply.status === 403 ? "The viewer was started anew: open the address that it printed."
    : content.error || `The viewer answered ${reply.status}.`;
  throw Object.assign(new Error(said), { status: reply.status });
}

app.get = async (path, params = [], signal = undefined) => {
  const pairs = params instanceof Map || Array.isArray(params) ? [...params] : Object.entries(params);
  const search = new URLSearchParams(pairs.flatMap(([name, value]) => [value].flat().map((one) => [name, String(one)])));
  return answered(await fetch(`${path}?${search}`, { signal }));
};
app.post = async (path, content) => answered(await fetch(path, {
  method: "POST", headers: { "Content-Type": "application/json" }, body: JSON.stringify(content),
}));

// --- making elements: all text is text, never markup --------------------------------------------------------------

export function make(tag, properties = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(properties)) {
    if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
    else if (name === "class") element.className = value;
    else if (name in element && typeof value !== "string") element[name] = value;
    else if (value !== undefined && value !== null && value !== false) element.setAttribute(name, value);
  }
  element.append(...children.flat().filter((one) => one !== null && one !== undefined && one !== false));
  return element;
}
app.make = make;
app.thumb = (id, alt = "") => make("img", { src: `thumb/${id}`, alt, loading: "lazy", decoding: "async" });

// A value as people read it: angles in degrees, few digits.
app.readable = (name, value) => {
  if (typeof value !== "number") return String(value);
  const unit = app.columns.get(name.replace(/\[.*/, ""))?.unit;
  return unit === "rad" ? `${(value * factor(unit)).toFixed(1)}${sign(unit)}` : short(value);
};

// --- what went wrong -----------------------------------------------------------------------------------------------

app.problem = (error) => {
  const place = document.getElementById("problem");
  place.hidden = !error;
  place.textContent = error ? error.message || String(error) : "";
};

// --- the address: #TAB?column=value&sort=-column&id=SAMPLE ----------------------------------------------------------

function readAddress() {
  const [tab, search] = location.hash.slice(1).split(/\?(.*)/s);
  const query = new Map(), page = new Map();
  for (const [name, value] of new URLSearchParams(search || "")) {
    if (PAGE.has(name)) page.set(name, value);
    else query.set(name, [...(query.get(name) || []), value]);
  }
  return { tab, query, page };
}

function address(tab, query, page) {
  const params = new URLSearchParams([...query].flatMap(([name, values]) => values.map((value) => [name, value])));
  for (const [name, value] of page) params.set(name, value);
  return `#${tab}${params.size ? `?${params}` : ""}`;
}

app.go = ({ tab = app.tab, query = app.query, page = app.page } = {}, replace = false) => {
  const next = address(tab, query, page);
  if (next === location.hash) return undefined;
  history[replace ? "replaceState" : "pushState"](null, "", next);
  return follow();
};
app.setQuery = (changes, { replace = false, tab = app.tab } = {}) => {
  const query = new Map(app.query);
  for (const [name, values] of Object.entries(changes)) {
    const kept = [values ?? []].flat().map(String).filter((one) => one !== "");
    if (kept.length) query.set(name, kept); else query.delete(name);
  }
  return app.go({ query, tab }, replace);
};
app.setPage = (changes, replace = false) => {
  const page = new Map(app.page);
  for (const [name, value] of Object.entries(changes)) if (value) page.set(name, String(value)); else page.delete(name);
  return app.go({ page }, replace);
};
app.openSample = (id) => app.setPage({ id }, app.page.has("id")); // leafing through adds nothing to the history

async function follow() {
  const { tab, query, page } = readAddress();
  const tabs = app.start.tabs;
  Object.assign(app, { tab: tabs.some((one) => one.key === tab) ? tab : tabs[0].key, query, page });
  try {
    app.problem(null);
    await Promise.all([showTab(), followSample(app)]);
  } catch (error) {
    if (error.name !== "AbortError") app.problem(error);
  }
}

async function showTab() {
  const shown = app.start.tabs.find((one) => one.key === app.tab);
  for (const link of document.querySelectorAll("#tabs a")) {
    const here = link.dataset.tab === app.tab;
    if (here) link.setAttribute("aria-current", "page"); else link.removeAttribute("aria-current");
    link.href = address(link.dataset.tab, app.query, new Map());
  }
  for (const [key, { place }] of opened) place.hidden = key !== app.tab;
  if (!opened.has(app.tab)) {
    const place = make("section", { "aria-label": shown.title });
    document.getElementById("main").append(place);
    opened.set(app.tab, { place, module: null });
    const module = await import(`./${shown.script}`);
    opened.get(app.tab).module = module;
    await module.open(place, app);
  }
  await opened.get(app.tab).module?.shown?.(app.query);
}

async function begin() {
  const [start, columns] = await Promise.all([app.get("api/start"), app.get("api/columns")]);
  app.start = start;
  app.columns = new Map(columns.columns.map((column) => [column.name, column]));
  document.getElementById("name").textContent = start.name;
  document.title = `${start.name} · SHHQ-HS viewer`;
  document.getElementById("tabs").append(...start.tabs.map((tab) => make("li", {}, make("a", { "data-tab": tab.key }, tab.title))));
  addEventListener("popstate", follow); // also after an address was typed
  beginMarks(app);
  beginSample(app);
  beginKeys(app);
  await follow();
}
begin().catch(app.problem);
