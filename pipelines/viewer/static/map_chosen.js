// Beside the map: what an outline holds, to look at, to filter by and to mark at once.
import { make } from "./app.js";
import { buttons, triage } from "./triage.js";
import { wall } from "./wall.js";

const SHOWN = 120, WINDOW = 500;

export function chosenPanel(app, forget) {
  const element = make("aside", { class: "map-chosen", "aria-label": "What the outline holds", hidden: true });
  let now = null, rows = null;

  async function show(said) {
    now = said;
    rows = null;
    element.hidden = false;
    if (!said.count) { element.replaceChildren(make("p", { role: "status" }, "The outline holds no point that the filters leave."), done()); return; }
    const first = (await app.get("api/rows", { set: said.set, from: 0, count: SHOWN })).rows;
    if (now !== said) return;
    element.replaceChildren(
      make("h2", { role: "status" }, `${said.count.toLocaleString("en")} chosen`),
      make("p", { class: "row" }, make("button", { type: "button", class: "to-grid", onclick: () => app.go({ tab: "grid", query: new Map([["set", [said.set]]]), page: new Map() }) }, "show in Pictures"), done()),
      make("p", { class: "note" }, "These mark all of them; on one picture, keys mark that one."),
      buttons(() => rows ?? [], () => {}), wall(app, first, (row) => (row.status === "ok" ? row.split ?? "not selected" : row.reason ?? row.status), "chosen portraits"),
      said.count > SHOWN ? make("p", { class: "note" }, `and ${(said.count - SHOWN).toLocaleString("en")} more`) : "");
    rows = await everyRow(app, said);
  }

  const done = () => make("button", { type: "button", onclick: () => { clear(); forget(); } }, "choose none");
  function clear() { now = null; rows = null; element.hidden = true; element.replaceChildren(); }
  const keys = (event) => Boolean(now?.count && rows && triage(event, rows, () => {}));
  return { element, show, clear, keys };
}

// Marks of all, so that an undo brings back what was said of each before.
async function everyRow(app, { set, count }) {
  const found = [];
  for (let first = 0; first < count; first += WINDOW) found.push(...(await app.get("api/rows", { set, from: first, count: WINDOW })).rows);
  return found;
}
