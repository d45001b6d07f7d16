// A wall of portraits that the keyboard walks through and marks: neighbours, people, what a lasso holds.
import { make } from "./app.js";
import { handle } from "./keys.js";
import { markOf } from "./marks.js";
import { badge, triage } from "./triage.js";

const walls = new Set();
let app;

// One tile for each of `rows` ({id, path, mark, ...}); `said(row)` is the line below it.
export function wall(theApp, rows, said, label) {
  if (!app) begin(theApp);
  const element = make("ul", { class: "wall", "aria-label": label });
  const one = { element, rows, chosen: new Set(), tiles: rows.map((row, index) => tile(row, said(row), index)) };
  element.append(...one.tiles.map((button) => make("li", {}, button)));
  walls.add(one);
  one.tiles.forEach((button, index) => paint(button, rows[index], false));
  return element;
}

function begin(theApp) {
  app = theApp;
  handle("wall", keys);
  addEventListener("marked", ({ detail }) => {
    for (const one of walls) {
      if (!one.element.isConnected) { walls.delete(one); continue; }
      one.rows.forEach((row, index) => {
        if (!detail.ids.includes(row.id)) return;
        if (detail.stored[row.id]) row.mark = detail.stored[row.id][0] === "none" ? null : detail.stored[row.id];
        paint(one.tiles[index], row, one.chosen.has(index));
      });
    }
  });
}

function tile(row, said, index) {
  const image = app.thumb(row.id);
  image.addEventListener("error", () => { image.hidden = true; });
  return make("button", { type: "button", class: "tile", title: row.path ?? row.id, tabindex: index ? "-1" : "0", onclick: () => app.openSample(row.id) },
    make("span", { class: "thumb" }, image, make("span", { class: "absent", "aria-hidden": "true" }, "no picture")),
    make("span", { class: "marked" }), make("span", { class: "name" }, (row.path ?? row.id).split("/").pop()), make("span", { class: "said" }, said));
}

function paint(button, row, chosen) {
  button.setAttribute("aria-pressed", String(chosen));
  button.querySelector(".marked").replaceChildren(...[badge(markOf(row))].filter(Boolean));
}

function keys(event) {
  if (document.querySelector("dialog[open]")) return false;
  const one = [...walls].find(({ element }) => element.isConnected && element.contains(document.activeElement));
  if (!one) return false;
  const index = one.tiles.indexOf(document.activeElement), across = columnsOf(one);
  const step = { ArrowLeft: -1, ArrowRight: 1, ArrowUp: -across, ArrowDown: across }[event.key];
  if (step !== undefined || event.key === "Home" || event.key === "End") {
    focusOn(one, event.key === "Home" ? 0 : event.key === "End" ? one.tiles.length - 1 : index + step);
    return true;
  }
  if (event.key === "Enter") { app.openSample(one.rows[index].id); return true; }
  if (event.key === " ") { choose(one, index); return true; }
  if (event.ctrlKey && event.key === "a") { chooseAll(one); return true; }
  if (event.key === "Escape" && one.chosen.size) { chooseNone(one); return true; }
  if (event.key === "s") { similar(one.rows[index].id); return true; }
  const rows = one.chosen.size ? [...one.chosen].map((place) => one.rows[place]) : [one.rows[index]];
  return triage(event, rows, (undone) => { if (undone === null) { const last = one.chosen.size ? Math.max(...one.chosen) : index; chooseNone(one); focusOn(one, last + 1); } });
}

// The portraits most like one, in their own tab.
export const similar = (id) => app.go({ tab: "alike", page: new Map([["near", id], ...(app.page.has("by") ? [["by", app.page.get("by")]] : [])]) });

function choose(one, index) {
  if (!one.chosen.delete(index)) one.chosen.add(index);
  paint(one.tiles[index], one.rows[index], one.chosen.has(index));
}
function chooseAll(one) { one.tiles.forEach((_, index) => { if (!one.chosen.has(index)) choose(one, index); }); }
function chooseNone(one) { for (const index of [...one.chosen]) choose(one, index); }

function columnsOf({ tiles }) {
  const top = tiles[0].getBoundingClientRect().top;
  const next = tiles.findIndex((button) => button.getBoundingClientRect().top > top + 4);
  return next < 0 ? tiles.length : next;
}

function focusOn(one, index) {
  const place = Math.max(0, Math.min(one.tiles.length - 1, index));
  one.tiles.forEach((button, at) => { button.tabIndex = at === place ? 0 : -1; });
  one.tiles[place].focus();
}
