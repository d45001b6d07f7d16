// The tab of people: who has several photographs, and which two people may be one.
import { asFilter } from "./filtered.js";
import { wall } from "./wall.js";

const WINDOW = 40;
let app, body, what, across, from = 0;

export async function open(place, theApp) {
  app = theApp;
  const { make } = app;
  place.classList.add("page");
  what = make("select", { id: "people-what" }, make("option", { value: "people" }, "people with several photographs"), make("option", { value: "pairs" }, "two people who may be one"));
  across = make("input", { type: "checkbox", id: "people-across" });
  for (const input of [what, across]) input.addEventListener("change", () => { from = 0; show().catch(app.problem); });
  body = make("div");
  place.append(make("h2", {}, "People"), make("p", { class: "row" }, make("label", { for: "people-what" }, "Show"), what,
    make("label", { class: "row" }, across, "in both splits only")), body);
  await show();
}

async function show() {
  const { make } = app, said = await app.get("api/people", { what: what.value, across: across.checked, from });
  const count = (number, one, many) => `${number.toLocaleString("en")} ${number === 1 ? one : many}`;
  const turn = (to, title, able) => make("button", { type: "button", disabled: !able, onclick: () => { from = to; show().catch(app.problem); } }, title);
  body.replaceChildren(
    make("p", {}, `${count(said.photographs, "selected portrait shows", "selected portraits show")} ${count(said.people, "person", "people")}, ${said.repeated.toLocaleString("en")} of them more than once and ${said.in_both.toLocaleString("en")} in both splits. ${count(said.pairs, "pair of people resembles", "pairs of people resemble")} each other, ${said.pairs_across.toLocaleString("en")} across the splits.`),
    make("p", { class: "note" }, "Tab goes to the next group, arrows go within it; a, r, x, d mark, s finds similar ones, Space chooses several."),
    ...said.groups.map((one, index) => group(one, said.from + index + 1)),
    said.total ? "" : make("p", {}, "Nobody."),
    make("p", { class: "row" }, turn(from - WINDOW, "← before", from > 0), `${said.total ? said.from + 1 : 0} to ${said.from + said.groups.length} of ${said.total.toLocaleString("en")}`, turn(from + WINDOW, "next →", from + WINDOW < said.total)));
}

function group(one, number) {
  const { make } = app, splits = one.splits.length > 1 ? "in both splits" : one.splits[0] ?? "not selected";
  const title = one.cosine === null ? `${one.sizes[0]} photographs, ${splits}` : `resemble each other by ${one.cosine.toFixed(3)}, ${splits}`;
  const said = (row) => row.split ?? row.status;
  return make("section", { class: `people${one.splits.length > 1 ? " across" : ""}`, "aria-label": `group ${number}` },
    make("h3", {}, title, " ", make("button", { type: "button", class: "link", onclick: () => asFilter(app, one.ids).catch(app.problem) }, "show in Pictures")),
    make("div", { class: "sides" }, one.sides.map((rows, side) => make("div", {}, wall(app, rows, said, one.cosine === null ? `photographs of person ${number}` : `person ${side + 1} of pair ${number}`),
      one.sizes[side] > rows.length && make("p", { class: "note" }, `and ${one.sizes[side] - rows.length} more`)))));
}
