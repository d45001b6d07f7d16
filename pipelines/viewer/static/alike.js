// The tab of neighbours: the portraits most like one.
import { asFilter } from "./filtered.js";
import { wall } from "./wall.js";

let app, body, shownFor = "";

export async function open(place, theApp) {
  app = theApp;
  place.classList.add("page");
  body = app.make("div");
  place.append(body);
}

export async function shown() {
  const id = app.page.get("near") ?? app.page.get("id") ?? "", by = app.page.get("by") ?? "likeness";
  const now = `${id} ${by}`;
  if (now === shownFor) return;
  if (!id) {
    shownFor = now;
    body.replaceChildren(app.make("h2", {}, "Similar portraits"), app.make("p", {}, "Choose a portrait: press s on it in Pictures, Map or People, or open it and press “find similar”."));
    return;
  }
  const said = await app.get("api/near", { id, by });
  shownFor = now;
  const { make } = app, name = (said.of.path ?? said.of.id).split("/").pop();
  const choose = make("select", { id: "near-by" }, Object.entries(said.kinds).map(([kind, title]) => make("option", { value: kind, selected: kind === said.by }, title)));
  choose.addEventListener("change", () => app.setPage({ by: choose.value, near: id }));
  body.replaceChildren(...[
    make("h2", {}, `Most like ${name}`),
    make("p", { class: "row" }, make("label", { for: "near-by" }, "alike by"), choose,
      said.rows.length > 0 && make("button", { type: "button", onclick: () => asFilter(app, [id, ...said.rows.map((row) => row.id)]).catch(app.problem) }, "show these in Pictures")),
    wall(app, [said.of], () => "this one", "the portrait itself"),
    said.problem ? make("p", {}, said.problem) : make("h3", {}, "The nearest first; 1 is the same"),
    said.problem ? null : wall(app, said.rows, (row) => `${row.cosine.toFixed(3)} · ${row.status === "ok" ? row.split ?? "not selected" : row.reason ?? row.status}`, "most similar portraits"),
  ].filter(Boolean));
}
