// The tab of the map: every portrait a point, what is alike together; a drawn outline chooses.
import { factor, short, sign } from "./chart.js";
import { handle } from "./keys.js";
import { chosenPanel } from "./map_chosen.js";
import { pictures } from "./map_pictures.js";
import { bytes, draw, legendOf, nearestPoint, shadesOf } from "./map_draw.js";

const GRID = 65535;
let app, canvas, tip, status, kinds, layouts, colour, legend, stage, panel, start;
// view: what part of the map is seen; outline: corners in map units; cross: the keyboard's place
const map = { key: "", points: null, rows: null, shown: null, shades: null, legend: null, view: { x: 0.5, y: 0.5, zoom: 1 }, outline: [], cross: null, hover: -1, mode: "lasso", chosen: null };

export async function open(place, theApp) {
  app = theApp;
  const { make } = app;
  place.classList.add("map-tab");
  canvas = make("canvas", { tabindex: "0", role: "application", "aria-label": "Map of all portraits", "aria-describedby": "map-keys" });
  tip = make("div", { class: "map-tip", hidden: true });
  status = make("p", { class: "count", role: "status" });
  kinds = make("select", { id: "map-by" });
  layouts = make("select", { id: "map-how" });
  colour = make("select", { id: "map-colour" }, make("option", { value: "" }, "nothing"), colourOptions());
  legend = make("div", { class: "legend" });
  start = make("div", { class: "map-start", hidden: true });
  panel = chosenPanel(app, () => { map.outline = []; map.chosen = null; redraw(); });
  const mode = make("button", { type: "button", "aria-pressed": "false", title: "drag moves the map; otherwise it draws an outline" }, "move");
  mode.addEventListener("click", () => { map.mode = map.mode === "move" ? "lasso" : "move"; mode.setAttribute("aria-pressed", String(map.mode === "move")); canvas.classList.toggle("moving", map.mode === "move"); });
  const zoom = (by) => () => { zoomAt(0.5, 0.5, by); };
  stage = make("div", { class: "map-stage" }, canvas, tip, start, legend);
  place.append(make("div", { class: "shown" },
    make("div", { class: "tools" }, make("label", { for: "map-by" }, make("span", {}, "Alike by"), kinds), make("label", { for: "map-how" }, make("span", {}, "Laid out"), layouts), make("label", { for: "map-colour" }, make("span", {}, "Colour"), colour),
      mode, make("button", { type: "button", "aria-label": "smaller", onclick: zoom(1 / 1.5) }, "−"), make("button", { type: "button", "aria-label": "larger", onclick: zoom(1.5) }, "+"), make("button", { type: "button", onclick: whole }, "whole"), status),
    stage, make("p", { class: "note", id: "map-keys" }, "Drag round points to choose them; the filters of Pictures hold here, too. Keys on the map: arrows move the cross, l sets a corner of an outline, Enter closes the outline or opens the nearest portrait, + − 0 zoom, Esc chooses none.")), panel.element);
  kinds.addEventListener("change", () => app.setPage({ by: kinds.value }));
  layouts.addEventListener("change", () => app.setPage({ how: layouts.value }));
  colour.addEventListener("change", () => app.setPage({ paint: colour.value || "none" }));
  new ResizeObserver(redraw).observe(stage);
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", redraw);
  handle("map", keys);
  pointer();
}

function colourOptions() {
  const { make } = app, groups = new Map();
  for (const column of app.columns.values()) {
    if (!["number", "word", "flag"].includes(column.kind)) continue;
    groups.set(column.group, [...(groups.get(column.group) ?? []), make("option", { value: column.name }, column.name)]);
  }
  return [...groups].map(([name, options]) => make("optgroup", { label: name }, options));
}

// --- what is shown --------------------------------------------------------------------------------------------------

export async function shown() {
  const by = app.page.get("by") ?? "likeness", how = app.page.get("how") ?? "";
  if (map.key !== `${by} ${how}`) await load(by, how);
  colour.value = paintBy();
  if (map.points) await paint();
}

const paintBy = () => { const name = app.page.get("paint") ?? (app.columns.has("split") ? "split" : ""); return name === "none" ? "" : name; };

async function load(by, how, begin = false) {
  const key = `${by} ${how}`;
  const said = begin ? await app.post("api/map", { by, how }) : await app.get("api/map", { by, how });
  fill(kinds, said.kinds, said.by);
  fill(layouts, said.layouts, said.how);
  map.key = key;
  if (said.state === "ready") {
    start.hidden = true;
    const raw = bytes(said.points), places = new Uint16Array(raw.buffer);
    Object.assign(map, { by: said.by, how: said.how, all: said.all, rows: new Uint32Array(bytes(said.rows).buffer), points: Float32Array.from(places, (value) => value / GRID), shown: null, shades: null, outline: [], chosen: null, cross: null });
    panel.clear();
    whole();
    await paint();
    return;
  }
  map.points = null;
  wait(said, by, how);
  if (said.state === "absent" && by === "likeness" && !begin) await load(by, how, true);
}

function fill(select, titles, chosen) {
  select.replaceChildren(...Object.entries(titles).map(([value, title]) => app.make("option", { value, selected: value === chosen }, title)));
}

function wait(said, by, how) {
  const { make } = app;
  start.hidden = false;
  status.textContent = "";
  redraw();
  const again = make("button", { type: "button", onclick: () => load(by, how, true).catch(app.problem) }, said.state === "problem" ? "try again" : "make the map");
  if (said.state === "making") {
    const bar = make("progress", { max: 1, "aria-label": "how far the map is" });
    bar.value = said.fraction;
    start.replaceChildren(make("p", {}, "The map is being made; it is kept beside the data set."), bar, make("p", { class: "note", role: "status" }, said.said));
    setTimeout(() => { if (map.key === `${by} ${how}` && !map.points) load(by, how).catch(app.problem); }, 500);
  } else if (said.state === "problem") start.replaceChildren(make("p", {}, said.said), again);
  else start.replaceChildren(make("p", {}, by === "picture" ? "How pictures look has to be read from every portrait: about 30 ms each on one core." : "No map has been made of this data set yet."), again);
}

async function paint() {
  const name = paintBy(), key = map.key;
  const said = await app.get("api/map/paint", new Map([...app.query, ["by", map.by], ["how", map.how], ["colour", name]]));
  if (key !== map.key) return;
  Object.assign(map, { shown: bytes(said.shown), shades: bytes(said.shades), legend: said.legend });
  const left = map.all - map.rows.length;
  status.textContent = `${said.count.toLocaleString("en")} of ${map.rows.length.toLocaleString("en")} points${left ? `; ${left.toLocaleString("en")} rows have no place` : ""}`;
  const unit = app.columns.get(name)?.unit;
  legend.replaceChildren(...legendOf(app.make, said.legend, name, (value) => `${short(value * factor(unit))}${sign(unit)}`));
  redraw();
}

let waiting = 0;
function redraw() {
  cancelAnimationFrame(waiting);
  waiting = requestAnimationFrame(() => { if (canvas.isConnected) draw(canvas, map, shadesOf(map.legend), (places) => pictures(app, map, places, redraw)); });
}

// --- moving about ---------------------------------------------------------------------------------------------------

const side = () => Math.min(canvas.clientWidth, canvas.clientHeight) * 0.94 * map.view.zoom;
const toMap = (x, y) => [(x - canvas.clientWidth / 2) / side() + map.view.x, (y - canvas.clientHeight / 2) / side() + map.view.y];
function whole() { map.view = { x: 0.5, y: 0.5, zoom: 1 }; redraw(); }
function zoomAt(across, up, by) {
  const x = across * canvas.clientWidth, y = up * canvas.clientHeight, before = toMap(x, y);
  map.view.zoom = Math.max(1, Math.min(60, map.view.zoom * by));
  const after = toMap(x, y);
  map.view.x += before[0] - after[0];
  map.view.y += before[1] - after[1];
  redraw();
}

function pointer() {
  let drag = null;
  const place = (event) => { const box = canvas.getBoundingClientRect(); return [event.clientX - box.left, event.clientY - box.top]; };
  canvas.addEventListener("pointerdown", (event) => {
    if (event.button || !map.points) return;
    canvas.setPointerCapture(event.pointerId);
    drag = { from: place(event), last: place(event), far: false };
    canvas.focus({ preventScroll: true });
  });
  canvas.addEventListener("pointermove", (event) => {
    const [x, y] = place(event);
    if (!drag) { if (map.points) hover(x, y); return; }
    if (Math.hypot(x - drag.from[0], y - drag.from[1]) > 5 && !drag.far) { drag.far = true; if (map.mode === "lasso") map.outline = [toMap(...drag.from)]; hideTip(); }
    if (!drag.far) return;
    if (map.mode === "lasso") { if (Math.hypot(x - drag.last[0], y - drag.last[1]) > 3) { map.outline.push(toMap(x, y)); drag.last = [x, y]; } } else {
      map.view.x -= (x - drag.last[0]) / side();
      map.view.y -= (y - drag.last[1]) / side();
      drag.last = [x, y];
    }
    redraw();
  });
  canvas.addEventListener("pointerup", (event) => {
    if (!drag) return;
    const { far } = drag;
    drag = null;
    if (!far) openAt(...toMap(...place(event))).catch(app.problem);
    else if (map.mode === "lasso") close().catch(app.problem);
  });
  canvas.addEventListener("pointercancel", () => { drag = null; map.outline = []; redraw(); });
  canvas.addEventListener("pointerleave", hideTip);
  canvas.addEventListener("wheel", (event) => { event.preventDefault(); const [x, y] = place(event); zoomAt(x / canvas.clientWidth, y / canvas.clientHeight, event.deltaY < 0 ? 1.2 : 1 / 1.2); }, { passive: false });
}

const hideTip = () => { tip.hidden = true; map.hover = -1; };
const reach = () => 12 / side();
let asking = 0;
function hover(x, y) {
  const index = nearestPoint(map, ...toMap(x, y), reach());
  if (index === map.hover) return;
  map.hover = index;
  clearTimeout(asking);
  if (index < 0) { tip.hidden = true; return; }
  asking = setTimeout(async () => {
    const said = await app.get("api/map/points", { rows: map.rows[index] }).catch(() => null);
    if (!said || map.hover !== index) return;
    const [row] = said.rows;
    tip.replaceChildren(app.thumb(row.id), app.make("span", {}, (row.path ?? row.id).split("/").pop()));
    tip.hidden = false;
    const wide = stage.clientWidth;
    tip.style.left = `${Math.min(x + 14, wide - 150)}px`;
    tip.style.top = `${y + 190 > stage.clientHeight ? Math.max(0, y - 190) : y + 14}px`;
  }, 60);
}

async function openAt(x, y) {
  const index = nearestPoint(map, x, y, map.cross ? 1 : reach());
  if (index < 0) return;
  const { rows } = await app.get("api/map/points", { rows: map.rows[index] });
  app.openSample(rows[0].id);
}

async function close() {
  if (map.outline.length < 3) { map.outline = []; redraw(); return; }
  const step = Math.max(1, Math.ceil(map.outline.length / 1500)), corners = map.outline.filter((_, i) => i % step === 0);
  redraw();
  const said = await app.post("api/map/lasso", { by: map.by, how: map.how, corners, query: Object.fromEntries(app.query) });
  map.chosen = said.set;
  await panel.show(said);
}

function keys(event) {
  if (app.tab !== "map" || document.querySelector("dialog[open]")) return false;
  if (document.activeElement !== canvas) return panel.keys(event);
  if (!map.points) return false;
  const far = (event.shiftKey ? 0.1 : 0.02) / map.view.zoom;
  const step = { ArrowLeft: [-far, 0], ArrowRight: [far, 0], ArrowUp: [0, -far], ArrowDown: [0, far] }[event.key];
  if (step) {
    map.cross = [0, 1].map((i) => Math.max(0, Math.min(1, (map.cross ?? [map.view.x, map.view.y])[i] + step[i])));
    redraw();
    return true;
  }
  if (event.key === "l") { if (map.chosen) { map.outline = []; map.chosen = null; } map.cross ??= [map.view.x, map.view.y]; map.outline.push([...map.cross]); redraw(); return true; }
  if (event.key === "Enter") { (map.outline.length >= 3 && !map.chosen ? close() : openAt(...(map.cross ?? [map.view.x, map.view.y]))).catch(app.problem); return true; }
  if (event.key === "Escape") { map.outline = []; map.chosen = null; panel.clear(); redraw(); return true; }
  if (event.key === "+" || event.key === "=") { zoomAt(0.5, 0.5, 1.5); return true; }
  if (event.key === "-") { zoomAt(0.5, 0.5, 1 / 1.5); return true; }
  if (event.key === "0") { whole(); return true; }
  return panel.keys(event);
}

export const state = map; // for whoever looks at the page from outside, such as its tests
