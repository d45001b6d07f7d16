// The page's frame: asks the server, keeps the state in the address, shows tabs. Tabs are modules (viewer_pages.py).

export const app = { start: null, columns: new Map(), query: new Map(), tab: "", sample: "" };
const opened = new Map(); // tab -> {place, module}

// --- asking the server -------------------------------------------------------------------------------------------

export class Refused extends Error {}

async function answered(reply) {
  if (reply.status === 403) throw new Refused("The viewer was started anew: open the address that it printed.");
  const content = await reply.json().catch(() => ({ error: `the viewer answered ${reply.status}` }));
  if (!reply.ok) throw new Refused(content.error || `the viewer answered ${reply.status}`);
  return content;
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

// --- what went wrong -----------------------------------------------------------------------------------------------

app.problem = (error) => {
  const place = document.getElementById("problem");
  place.hidden = !error;
  place.textContent = error ? error.message || String(error) : "";
};

// --- the address: #TAB?column=value&sort=-column&id=SAMPLE ------------------------------------------------------------

function readAddress() {
  const [tab, search] = location.hash.slice(1).split(/\?(.*)/s);
  const params = new URLSearchParams(search || "");
  const query = new Map();
  for (const [name, value] of params) if (name !== "id") query.set(name, [...(query.get(name) || []), value]);
  return { tab, query, sample: params.get("id") || "" };
}

function address(tab, query, sample) {
  const params = new URLSearchParams([...query].flatMap(([name, values]) => values.map((value) => [name, value])));
  if (sample) params.set("id", sample);
  return `#${tab}${params.size ? `?${params}` : ""}`;
}

app.go = ({ tab = app.tab, query = app.query, sample = app.sample } = {}, replace = false) => {
  history[replace ? "replaceState" : "pushState"](null, "", address(tab, query, sample));
  return follow();
};
app.setQuery = (changes, replace = false) => {
  const query = new Map(app.query);
  for (const [name, values] of Object.entries(changes)) {
    const kept = [values ?? []].flat().filter((one) => one !== "");
    if (kept.length) query.set(name, kept); else query.delete(name);
  }
  return app.go({ query }, replace);
};
app.openSample = (id) => app.go({ sample: id });

async function follow() {
  const { tab, query, sample } = readAddress();
  const tabs = app.start.tabs;
  Object.assign(app, { tab: tabs.some((one) => one.key === tab) ? tab : tabs[0].key, query, sample });
  try {
    await showTab();
  } catch (error) {
    app.problem(error);
  }
}

async function showTab() {
  for (const link of document.querySelectorAll("#tabs a")) {
    const here = link.dataset.tab === app.tab;
    if (here) link.setAttribute("aria-current", "page"); else link.removeAttribute("aria-current");
    link.href = address(link.dataset.tab, app.query, "");
  }
  if (!opened.has(app.tab)) {
    const place = make("section", { "aria-label": app.start.tabs.find((one) => one.key === app.tab).title });
    document.getElementById("main").append(place);
    opened.set(app.tab, { place, module: null });
    const module = await import(`./${app.start.tabs.find((one) => one.key === app.tab).script}`);
    opened.get(app.tab).module = module;
    await module.open(place, app);
  }
  for (const [key, { place }] of opened) place.hidden = key !== app.tab;
  await opened.get(app.tab).module?.shown?.(app.query);
}

async function begin() {
  const [start, columns] = await Promise.all([app.get("api/start"), app.get("api/columns")]);
  app.start = start;
  app.columns = new Map(columns.columns.map((column) => [column.name, column]));
  document.getElementById("name").textContent = start.name;
  document.title = `${start.name} · SHHQ-HS viewer`;
  document.getElementById("tabs").append(...start.tabs.map((tab) => make("li", {}, make("a", { "data-tab": tab.key }, tab.title))));
  addEventListener("popstate", follow);
  addEventListener("hashchange", follow);
  await follow();
}
begin().catch(app.problem);
