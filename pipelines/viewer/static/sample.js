// One sample, opened: every picture at full size, all that is known of it, its marks, the ones beside it.
import { make } from "./app.js";
import { handle } from "./keys.js";
import { markOf } from "./marks.js";
import { Stage } from "./stage.js";
import { badge, buttons, triage } from "./triage.js";

const ORDER = ["photograph", "crop", "superres", "cutout", "alpha", "portrait", "face"];
let app, dialog, stage, side, kinds, title, position, now = null, asked = "", layers = new Set(["square"]);

export function begin(theApp) {
  app = theApp;
  dialog = document.getElementById("sample");
  stage = new Stage();
  title = make("h2", { id: "sample-title" });
  position = make("p", { class: "note" });
  kinds = make("div", { class: "kinds" });
  side = make("div", { class: "facts" });
  const close = make("button", { type: "button", class: "close", "aria-label": "close (Esc)", onclick: shut }, "✕");
  dialog.append(make("div", { class: "looked-at" }, kinds, stage.element),
    make("div", { class: "told" }, make("div", { class: "row" }, title, close), position, buttons(rows, after),
      make("div", { class: "row turn" }, make("button", { type: "button", onclick: () => step(-1) }, "← before"), make("button", { type: "button", onclick: () => step(1) }, "next →")), side));
  dialog.addEventListener("cancel", (event) => { event.preventDefault(); shut(); });
  addEventListener("marked", ({ detail }) => {
    if (now && detail.stored[now.id]) now.mark = detail.stored[now.id][0] === "none" ? null : detail.stored[now.id];
    if (now && detail.ids.includes(now.id)) tell();
  });
  handle("sample", keys);
}

// The address says which sample is open.
export async function follow() {
  const id = app.page.get("id") ?? "";
  if (!id) { asked = ""; now = null; if (dialog.open) dialog.close(); return; }
  if (id !== asked) {
    asked = id;
    let said;
    try { said = await app.get(`api/sample/${encodeURIComponent(id)}`); } catch (error) { asked = ""; throw error; }
    if (asked !== id) return;
    now = said;
    stage.whole();
    tell();
    prefetch();
  }
  if (!dialog.open) { dialog.showModal(); dialog.focus(); }
  show();
}

const shut = () => app.setPage({ id: "", view: "", against: "" });
const rows = () => (now ? [now] : []);

function picture(kind) {
  const drawn = kind === "photograph" ? now.marks.photograph : ["superres", "cutout", "portrait", "alpha"].includes(kind) ? now.marks.portrait : null;
  const said = now.pictures.find((one) => one.key === kind);
  return { src: `picture/${now.id}/${kind}`, alt: `${said.title} of ${now.path ?? now.id}`, colour: kind === "cutout" ? colour() : null,
    layers: drawn?.layers, width: drawn?.width, height: drawn?.height };
}
const colour = () => (/^[0-9a-f]{6}$/.test(app.page.get("colour") ?? "") ? `#${app.page.get("colour")}` : "#2f9e44");
const has = (kind) => now.pictures.some((one) => one.key === kind);
const shown = () => [app.page.get("view"), "portrait", "superres", "photograph"].find((kind) => kind && has(kind)) ?? now.pictures[0]?.key;
const against = () => (has(app.page.get("against") ?? "") && app.page.get("against") !== shown() ? app.page.get("against") : "");

function show() {
  const kind = shown();
  if (!kind) { stage.element.hidden = true; kinds.replaceChildren(make("p", { class: "note" }, "No picture of it can be read here.")); return; }
  stage.element.hidden = false;
  stage.show(picture(kind), against() ? picture(against()) : null);
  stage.draw(layers);
  const pick = make("select", { "aria-label": "before: the picture to compare with" }, make("option", { value: "" }, "compare with…"),
    now.pictures.filter((one) => one.key !== kind).map((one) => make("option", { value: one.key, selected: one.key === against() }, one.title)));
  pick.addEventListener("change", () => app.setPage({ against: pick.value }, true));
  const tint = make("input", { type: "color", value: colour(), "aria-label": "colour behind the cut-out" });
  tint.addEventListener("input", () => app.setPage({ colour: tint.value.slice(1) }, true));
  const names = Object.keys(picture(kind).layers ?? {});
  kinds.replaceChildren(
    make("div", { class: "row" }, now.pictures.map((one) => make("button", { type: "button", "aria-pressed": String(one.key === kind), onclick: () => app.setPage({ view: one.key }, true) },
      make("kbd", {}, String(ORDER.indexOf(one.key) + 1)), ` ${one.title}`)), kind === "cutout" && tint),
    make("div", { class: "row" }, pick, names.map((name) => layerBox(name)),
      make("button", { type: "button", "aria-label": "smaller", onclick: () => stage.zoom(1 / 1.5) }, "−"), make("button", { type: "button", "aria-label": "larger", onclick: () => stage.zoom(1.5) }, "+"), make("button", { type: "button", onclick: () => stage.whole() }, "whole")));
}

function layerBox(name) {
  const box = make("input", { type: "checkbox", checked: layers.has(name) });
  box.addEventListener("change", () => { if (box.checked) layers.add(name); else layers.delete(name); stage.draw(layers); });
  return make("label", { class: "layer-box" }, box, name);
}

function tell() {
  title.textContent = (now.path ?? now.id).split("/").pop();
  const place = app.grid ? app.grid.indexOf(now.id) : -1;
  const end = now.status === "ok" ? (now.selected ? `in the ${now.split} split` : "not selected") : `${now.status} at ${now.stage}${now.reason ? `: ${now.reason.replaceAll("_", " ")}` : ""}`;
  position.replaceChildren(...[place >= 0 ? `${(place + 1).toLocaleString("en")} of ${app.grid.total().toLocaleString("en")} · ` : "", end, " ", badge(markOf(now)) ?? ""].filter(Boolean));
  const line = (name, value, unit, meaning) => [make("dt", { title: meaning }, name), make("dd", {}, app.readable(name, value), unit === "-" || unit === "rad" || unit.includes("[") ? "" : ` ${unit}`)];
  const only = (name, value, text) => make("button", { type: "button", class: "link", onclick: () => app.go({ query: new Map([[name, [value]]]), page: new Map(), tab: "grid" }) }, text);
  const scores = Object.values(now.facts).flat().filter(([name]) => name.startsWith("q_") || ["yaw", "pitch", "roll"].includes(name));
  const old = now.history.length ? [make("h3", {}, "Marks"), make("ul", { class: "history" }, now.history.map((mark) => make("li", {}, badge(mark), make("span", { class: "note" }, ` ${mark[2]} ${mark[3]}, ${mark[4].replace("T", " ").replace("Z", " UTC")}`))))] : [];
  side.replaceChildren(...[
    now.message ? make("p", {}, now.message) : "", ...old,
    now.alike > 1 ? make("p", {}, only("dup_cluster", `${now.cluster}..${now.cluster}`, `${now.alike} near-duplicates`)) : "",
    now.person_count > 1 ? make("p", {}, only("person", `=${now.person}`, `${now.person_count} photographs of this person`)) : "",
    make("p", {}, make("button", { type: "button", class: "link", onclick: () => app.go({ tab: "alike", page: new Map([["near", now.id]]) }) }, "find similar")),
    make("h3", {}, "Scores and head"), make("dl", {}, scores.map((fact) => line(...fact)).flat()),
    ...Object.entries(now.facts).map(([group, facts]) => make("details", {}, make("summary", {}, group), make("dl", {}, facts.map((fact) => line(...fact)).flat()))),
    make("p", { class: "note" }, now.path ?? "", make("br"), now.id),
  ].filter((one) => one !== ""));
}

function neighbour(by) {
  if (!app.grid || !now) return null;
  const place = app.grid.indexOf(now.id);
  return place < 0 ? null : { index: place + by, row: app.grid.rowAt(place + by) };
}

function step(by) {
  const next = neighbour(by);
  if (!next || next.index < 0 || next.index >= app.grid.total()) return;
  app.grid.focus(next.index);
  if (next.row) app.openSample(next.row.id); else setTimeout(() => step(by), 60); // its window is on its way
}

function after(undone) {
  if (undone?.length && undone[0] !== now?.id) app.openSample(undone[0]);
  else if (undone === null) step(1);
  else tell();
}

function prefetch() {
  const next = neighbour(1)?.row;
  if (next) { new Image().src = `picture/${next.id}/${shown() ?? "portrait"}`; }
}

function keys(event) {
  if (!dialog.open || !now || document.querySelector("dialog.ask[open]")) return false;
  if (event.target.type === "range" && event.key.startsWith("Arrow")) return false;
  if (event.key === "ArrowLeft" || event.key === "ArrowRight") { step(event.key === "ArrowLeft" ? -1 : 1); return true; }
  if (event.key === "Enter" && event.target.closest("button, summary, select")) return false;
  if (event.key === "Enter") { shut(); return true; }
  if (/^[1-7]$/.test(event.key)) { if (has(ORDER[event.key - 1])) app.setPage({ view: ORDER[event.key - 1] }, true); return true; }
  if (event.key === "b") { const before = ["crop", "photograph", "superres"].find((kind) => has(kind) && kind !== shown()); app.setPage({ against: against() ? "" : before }, true); return true; }
  if (event.key === "o") { const all = Object.keys(picture(shown()).layers ?? {}); layers = layers.size > 1 ? new Set(["square"]) : new Set(["square", ...all]); show(); return true; }
  if (event.key === "+" || event.key === "=") { stage.zoom(1.5); return true; }
  if (event.key === "-") { stage.zoom(1 / 1.5); return true; }
  if (event.key === "0") { stage.whole(); return true; }
  return triage(event, rows(), after);
}
