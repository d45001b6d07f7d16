// The grid: only what is in view exists; rows come from the server a window at a time.
import { make } from "./app.js";
import { handle } from "./keys.js";
import { markOf } from "./marks.js";
import { openPanel, showPanel } from "./panel.js";
import { badge, buttons, triage } from "./triage.js";

const WINDOW = 100, SIZES = { small: 104, medium: 156, large: 232 }, CAPTION = 42, GAP = 8;
const grid = { total: 0, at: 0, windows: new Map(), focus: 0, chosen: new Set(), anchor: 0, key: null };
let app, cells, space, count, columns = 1, side = 156, waiting = null;

export async function open(place, theApp) {
  app = theApp;
  app.grid = { rowAt, total: () => grid.total, indexOf, focus: focusOn, find };
  place.classList.add("grid-tab");
  space = make("ul", { class: "space", "aria-label": "Pictures" });
  cells = make("div", { class: "cells", tabindex: "-1" }, space);
  count = make("p", { class: "count", role: "status" });
  const panel = make("aside", { class: "panel", "aria-label": "Filters" });
  const tools = make("div", { class: "tools" }, searchBox(), sortBox(), sizeBox(), count, buttons(chosenRows, advance));
  place.append(panel, make("div", { class: "shown" }, tools, cells));
  openPanel(panel, app);
  cells.addEventListener("scroll", draw, { passive: true });
  new ResizeObserver(draw).observe(cells);
  addEventListener("marked", ({ detail }) => remarked(detail));
  handle("grid", keys);
  setInterval(look, 5000);
}

export async function shown() {
  const key = JSON.stringify([...app.query]);
  for (const update of updates) update();
  side = SIZES[app.page.get("size")] ?? SIZES.medium;
  showPanel();
  if (grid.key !== key) await find(); else draw();
}

// Find the rows again; the order then stays as it is until the next time, whatever is marked meanwhile.
async function find() {
  waiting?.abort();
  waiting = new AbortController();
  const started = performance.now(), signal = waiting.signal;
  grid.key = JSON.stringify([...app.query]);
  const found = await app.get("api/found", app.query, signal);
  Object.assign(grid, { total: found.total, at: found.at, windows: new Map(), focus: 0, anchor: 0, chosen: new Set() });
  cells.scrollTop = 0;
  await load(0);
  count.textContent = `${found.total.toLocaleString("en")} of ${found.all.toLocaleString("en")}`;
  draw();
  document.documentElement.dataset.foundMs = String(Math.round(performance.now() - started));
}

// Marks that others made show up where one looks.
async function look() {
  if (document.hidden || app.tab !== "grid") return;
  const { at } = await app.get("api/found", app.query).catch(() => ({ at: grid.seen }));
  if (grid.seen !== undefined && at !== grid.seen) for (const first of [...grid.windows.keys()]) load(first, true).then(draw, () => {});
  grid.seen = at;
}

async function load(first, again = false) {
  if (grid.windows.has(first) && !again) return;
  const key = grid.key;
  if (!again) grid.windows.set(first, []);
  const params = new Map([...app.query, ["from", first], ["count", WINDOW], ["at", grid.at]]);
  const { rows } = await app.get("api/rows", params);
  if (key !== grid.key) return;
  grid.windows.set(first, rows);
}

const rowAt = (index) => grid.windows.get(Math.floor(index / WINDOW) * WINDOW)?.[index % WINDOW];
function indexOf(id) {
  for (const [first, rows] of grid.windows) {
    const place = rows.findIndex((row) => row.id === id);
    if (place >= 0) return first + place;
  }
  return -1;
}

function draw() {
  const width = cells.clientWidth - GAP;
  if (width <= 0) return;
  columns = Math.max(1, Math.floor(width / (side + GAP)));
  const tall = side + CAPTION + GAP, wide = Math.floor(width / columns);
  space.style.height = `${Math.ceil(grid.total / columns) * tall + GAP}px`;
  const from = Math.max(0, Math.floor(cells.scrollTop / tall) - 1) * columns;
  const to = Math.min(grid.total, (Math.ceil((cells.scrollTop + cells.clientHeight) / tall) + 1) * columns);
  for (let first = Math.floor(from / WINDOW) * WINDOW; first < to; first += WINDOW) {
    if (!grid.windows.has(first)) load(first).then(draw, app.problem);
  }
  const had = new Map([...space.children].map((item) => [item.dataset.key, item]));
  for (let index = from; index < to; index++) {
    const row = rowAt(index), key = `${index} ${row?.id ?? ""}`;
    const item = had.get(key) ?? cell(index, row, key);
    had.delete(key);
    item.style.transform = `translate(${GAP + (index % columns) * wide}px, ${GAP + Math.floor(index / columns) * tall}px)`;
    item.style.width = `${wide - GAP}px`;
    item.style.height = `${tall - GAP}px`;
    if (row) paint(item, index, row);
    if (!item.isConnected) space.append(item);
  }
  for (const item of had.values()) item.remove();
}

function cell(index, row, key) {
  const item = make("li", { "data-key": key, "aria-setsize": String(grid.total), "aria-posinset": String(index + 1) });
  if (!row) return item;
  const name = (row.path ?? row.id).split("/").pop();
  const image = app.thumb(row.id);
  item.append(make("button", { type: "button", class: "cell", onclick: (event) => pressed(index, event), ondblclick: () => app.openSample(row.id) },
    make("span", { class: "thumb" }, make("span", { class: "absent", "aria-hidden": "true" }, "no picture"), image),
    make("span", { class: "marked" }),
    make("span", { class: "name" }, name), make("span", { class: "said" }, caption(row))));
  return item;
}

function caption(row) {
  if ("value" in row) return `${app.query.get("sort")[0].replace("-", "")} ${app.readable(app.query.get("sort")[0].replace("-", ""), row.value)}`;
  return row.status === "ok" ? row.split ?? "not selected" : `${row.stage}: ${(row.reason ?? row.status).replaceAll("_", " ")}`;
}

function paint(item, index, row) {
  const button = item.firstChild, said = markOf(row);
  button.classList.toggle("lost", row.status !== "ok");
  button.tabIndex = index === grid.focus ? 0 : -1;
  button.setAttribute("aria-pressed", String(grid.chosen.has(index)));
  button.classList.toggle("focused", index === grid.focus);
  const key = JSON.stringify(said);
  const place = button.querySelector(".marked");
  if (place.dataset.key === key) return;
  place.dataset.key = key;
  place.replaceChildren(...[badge(said)].filter(Boolean));
}

function pressed(index, event) {
  if (event.shiftKey) choose(grid.anchor, index);
  else if (event.ctrlKey || event.metaKey) { if (!grid.chosen.delete(index)) grid.chosen.add(index); } else {
    const again = index === grid.focus && !grid.chosen.size;
    grid.chosen.clear();
    grid.anchor = index;
    if (again && event.detail !== 2) { app.openSample(rowAt(index).id); return; }
  }
  focusOn(index);
}

function choose(from, to) {
  grid.chosen.clear();
  for (let i = Math.min(from, to); i <= Math.max(from, to); i++) grid.chosen.add(i);
}

function focusOn(index) {
  if (!grid.total) return;
  grid.focus = Math.max(0, Math.min(grid.total - 1, index));
  const tall = side + CAPTION + GAP, top = Math.floor(grid.focus / columns) * tall;
  if (top < cells.scrollTop) cells.scrollTop = top;
  if (top + tall + GAP > cells.scrollTop + cells.clientHeight) cells.scrollTop = top + tall + GAP - cells.clientHeight;
  draw();
  if (!document.querySelector("dialog[open]")) space.querySelector("button.focused")?.focus({ preventScroll: true });
}

const chosenRows = () => (grid.chosen.size ? [...grid.chosen] : [grid.focus]).map(rowAt).filter(Boolean);

// After a mark: the next picture, so that a hand on the keys goes through them; after an undo: the one it concerned.
function advance(undone) {
  if (undone?.length) { const place = indexOf(undone[0]); if (place >= 0) focusOn(place); return; }
  if (undone) return draw();
  const last = grid.chosen.size ? Math.max(...grid.chosen) : grid.focus;
  grid.chosen.clear();
  grid.anchor = last + 1;
  focusOn(last + 1);
}

function remarked({ ids, stored }) {
  const changed = new Set(ids);
  for (const rows of grid.windows.values()) {
    for (const row of rows) if (changed.has(row.id) && stored[row.id]) row.mark = stored[row.id][0] === "none" ? null : stored[row.id];
  }
  draw();
}

function keys(event) {
  if (app.tab !== "grid" || document.querySelector("dialog[open]")) return false;
  if (event.key === "/") { document.getElementById("search").focus(); return true; }
  if (event.key === ".") { find().catch(app.problem); return true; }
  if (event.target.closest?.("aside, .tools, header") && event.key.length > 1) return false;
  const page = Math.max(1, Math.floor(cells.clientHeight / (side + CAPTION + GAP))) * columns;
  const step = { ArrowLeft: -1, ArrowRight: 1, ArrowUp: -columns, ArrowDown: columns, PageUp: -page, PageDown: page, Home: -grid.focus, End: grid.total }[event.key];
  if (step !== undefined) {
    focusOn(grid.focus + step);
    if (event.shiftKey) choose(grid.anchor, grid.focus); else { grid.chosen.clear(); grid.anchor = grid.focus; }
    draw();
    return true;
  }
  if (event.key === "Enter" && rowAt(grid.focus)) { app.openSample(rowAt(grid.focus).id); return true; }
  if (event.key === "Escape" && grid.chosen.size) { grid.chosen.clear(); draw(); return true; }
  if (event.ctrlKey && event.key === "a") { chooseAll().catch(app.problem); return true; }
  return triage(event, chosenRows(), advance);
}

async function chooseAll() {
  for (let first = 0; first < grid.total; first += WINDOW) await load(first);
  choose(0, grid.total - 1);
  draw();
}

// --- search, order, size -------------------------------------------------------------------------------------------

const updates = [];

function field(id, label, input) {
  return make("label", { for: id }, make("span", {}, label), input);
}

function searchBox() {
  const input = make("input", { id: "search", type: "search", placeholder: "name, id or message", autocomplete: "off" });
  let timer = 0;
  input.addEventListener("input", () => { clearTimeout(timer); timer = setTimeout(() => app.setQuery({ text: input.value }, { replace: true }), 200); });
  input.addEventListener("keydown", (event) => { if (event.key === "Escape") input.blur(); });
  updates.push(() => { if (document.activeElement !== input) input.value = app.query.get("text")?.[0] ?? ""; });
  return field("search", "Search", input);
}

function sortBox() {
  const select = make("select", { id: "sort" }), turn = make("button", { type: "button", title: "Turn the order round" });
  const groups = new Map();
  for (const column of app.columns.values()) {
    if (column.kind !== "list") groups.set(column.group, [...(groups.get(column.group) ?? []), make("option", { value: column.name }, column.name)]);
  }
  select.append(make("option", { value: "" }, "id"), ...[...groups].map(([name, options]) => make("optgroup", { label: name }, options)));
  select.addEventListener("change", () => app.setQuery({ sort: select.value }));
  turn.addEventListener("click", () => { const now = app.query.get("sort")?.[0]; if (now) app.setQuery({ sort: now.startsWith("-") ? now.slice(1) : `-${now}` }); });
  updates.push(() => {
    const now = app.query.get("sort")?.[0] ?? "", name = now.replace(/^-/, "");
    if (name && ![...select.options].some((one) => one.value === name)) select.append(make("option", { value: name }, name));
    select.value = name;
    turn.textContent = now.startsWith("-") ? "↓" : "↑";
    turn.setAttribute("aria-label", now.startsWith("-") ? "largest first" : "smallest first");
    turn.disabled = !now;
  });
  return make("div", { class: "sort" }, field("sort", "Order", select), turn);
}

function sizeBox() {
  const select = make("select", { id: "size" }, Object.keys(SIZES).map((name) => make("option", { value: name }, name)));
  select.addEventListener("change", () => app.setPage({ size: select.value === "medium" ? "" : select.value }, true));
  updates.push(() => { select.value = app.page.get("size") ?? "medium"; });
  return field("size", "Size", select);
}
