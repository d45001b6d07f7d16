// The tab that compares two data sets: pairs of pictures, the one that moved most first, and what moved in it.
import { factor, short, sign } from "./chart.js";

const WINDOW = 40;
let app, list, head, pick, order, summary, from = 0, now = "";

export async function open(place, theApp) {
  app = theApp;
  const { make } = app;
  place.classList.add("page");
  summary = await app.get("api/moves");
  pick = make("select", { id: "moved" }, options());
  order = make("select", { id: "moved-order" }, make("option", { value: "" }, "whatever moved most"), summary.columns.filter((one) => one.changed).map((one) => make("option", { value: one.name }, titleOf(one.name))));
  pick.addEventListener("change", () => { from = 0; app.setPage({ moved: pick.value }); });
  order.addEventListener("change", () => { from = 0; app.setPage({ order: order.value }); });
  head = make("p", { class: "note", role: "status" });
  list = make("ol", { class: "moves" });
  const number = (n) => n.toLocaleString("en");
  place.append(make("h2", {}, "What moved"),
    make("p", {}, "Before: ", make("code", {}, summary.there), `, ${number(summary.rows_there)} rows. After, and marked here: `, make("code", {}, summary.here), `, ${number(summary.rows_here)} rows. ${number(summary.both)} rows stand in both; ${number(summary.moved)} of them moved.`),
    make("p", { class: "row" }, make("label", { for: "moved" }, "Show"), pick, make("label", { for: "moved-order" }, "ordered by"), order), head, list);
  list.addEventListener("keydown", keys);
}

const titleOf = (name) => (name === "portrait_dhash" ? "the portrait itself" : name);

function options() {
  const { make } = app, number = (n) => n.toLocaleString("en");
  const option = (value, title) => make("option", { value }, title);
  return [option("", `all that moved (${number(summary.moved)})`),
    make("optgroup", { label: "rows" }, option("only_here", `only after (${number(summary.only_here)})`), option("only_there", `only before (${number(summary.only_there)})`), option("split", `in another split (${number(summary.split_changed)})`)),
    summary.ends.length ? make("optgroup", { label: "ended otherwise" }, summary.ends.map((one) => option(`end:${one.before} > ${one.after}`, `${one.before} → ${one.after} (${number(one.rows)})`))) : "",
    make("optgroup", { label: "a column" }, summary.columns.filter((one) => one.changed).map((one) => option(`column:${one.name}`, `${titleOf(one.name)} (${number(one.changed)})`)))].filter(Boolean);
}

export async function shown() {
  const what = app.page.get("moved") ?? "", sort = app.page.get("order") ?? "", key = JSON.stringify([what, sort, from]);
  pick.value = what;
  order.value = sort;
  if (key === now) return;
  now = key;
  const said = await app.get("api/moves/rows", { what, sort, from, count: WINDOW });
  if (key !== now) return;
  const { make } = app, turn = (to, title, able) => make("button", { type: "button", disabled: !able, onclick: () => { from = to; shown().catch(app.problem); } }, title);
  head.replaceChildren(`${said.total ? from + 1 : 0} to ${from + said.rows.length} of ${said.total.toLocaleString("en")} `, turn(from - WINDOW, "← before", from > 0), " ", turn(from + WINDOW, "next →", from + WINDOW < said.total));
  list.replaceChildren(...said.rows.map(pair));
  list.querySelector("button.side")?.setAttribute("tabindex", "0");
}

function pair(one) {
  const { make } = app, row = one.here ?? one.there;
  const picture = (src, title, missing) => {
    const image = make("img", { src, alt: "", loading: "lazy", decoding: "async" });
    image.addEventListener("error", () => { image.hidden = true; });
    return make("span", { class: "half" }, make("span", { class: "thumb" }, image, make("span", { class: "absent" }, missing)), make("span", { class: "said" }, title));
  };
  const button = make("button", { type: "button", class: "side", tabindex: "-1", "aria-label": `${row.path ?? row.id}: look closely`, "aria-expanded": "false", onclick: () => closely(item, one) },
    picture(`other/thumb/${row.id}`, one.there ? endOf(one, 0) : "is not there", one.there ? "no picture" : "not in it"),
    picture(`thumb/${row.id}`, one.here ? endOf(one, 1) : "is not there", one.here ? "no picture" : "not in it"));
  const item = make("li", { class: "move", "data-id": row.id }, button, make("div", { class: "what" }, make("h3", {}, (row.path ?? row.id).split("/").pop()), told(one), one.moved.length ? table(one.moved) : ""));
  return item;
}

const endOf = (one, side) => (one.end ? one.end[side] : (one.here ?? one.there).status).replaceAll("_", " ");

function told(one) {
  const { make } = app, said = [];
  if (!one.end) said.push(one.here ? "Only in the data set after." : "Only in the data set before.");
  else {
    if (one.end[0] !== one.end[1]) said.push(`${one.end[0]} → ${one.end[1]}`.replaceAll("_", " "));
    if (one.split[0] !== one.split[1]) said.push(`split: ${one.split[0] ?? "none"} → ${one.split[1] ?? "none"}`);
  }
  return said.length ? make("p", { class: "ended" }, said.join("; ")) : "";
}

function table(moved) {
  const { make } = app;
  const value = (number, unit) => (number === null ? "–" : `${short(number * factor(unit))}${sign(unit)}`);
  const most = Math.max(...moved.map((one) => one.spreads), 1);
  const bar = (one) => { const meter = make("meter", { max: most, min: 0, "aria-label": `${one.spreads.toFixed(2)} spreads` }); meter.value = one.spreads; return meter; };
  return make("table", {}, make("thead", {}, make("tr", {}, ["what", "before", "after", "moved by", "in spreads", ""].map((title) => make("th", { scope: "col" }, title)))),
    make("tbody", {}, moved.map((one) => make("tr", {}, make("th", { scope: "row" }, titleOf(one.name)), make("td", {}, value(one.before, one.unit)), make("td", {}, value(one.after, one.unit)),
      make("td", {}, value(one.amount, one.unit), one.unit === "-" || one.unit === "rad" || one.unit.includes("[") ? "" : ` ${one.unit}`), make("td", {}, one.spreads.toFixed(2)), make("td", {}, bar(one))))));
}

// Both pictures large, below the row; the place of the mouse or a slider parts before from after.
function closely(item, one) {
  const { make } = app, row = one.here ?? one.there, button = item.querySelector("button.side"), old = item.querySelector(".closely");
  button.setAttribute("aria-expanded", String(!old));
  if (old) { old.remove(); return; }
  const image = (src, label) => { const img = make("img", { src, alt: label }); img.addEventListener("error", () => { img.hidden = true; }); return make("figure", {}, img, make("figcaption", {}, label)); };
  const kinds = make("select", { "aria-label": "which picture" }, [["portrait", "portrait"], ["superres", "super-resolved"], ["crop", "native crop"], ["alpha", "alpha"], ["face", "face"], ["photograph", "photograph"]].map(([kind, title]) => make("option", { value: kind }, title)));
  const both = make("div", { class: "both" });
  const fill = () => both.replaceChildren(...[one.there && image(`other/picture/${row.id}/${kinds.value}`, "before"), one.here && image(`picture/${row.id}/${kinds.value}`, "after")].filter(Boolean));
  kinds.addEventListener("change", fill);
  fill();
  item.append(make("div", { class: "closely" }, make("p", { class: "row" }, kinds, one.here && make("button", { type: "button", onclick: () => app.openSample(row.id) }, "open it")), both));
}

function keys(event) {
  if (event.altKey || event.ctrlKey || event.metaKey || !event.target.matches("button.side")) return;
  const buttons = [...list.querySelectorAll("button.side")], at = buttons.indexOf(event.target);
  const next = { ArrowDown: at + 1, ArrowUp: at - 1, Home: 0, End: buttons.length - 1 }[event.key];
  if (next === undefined) return;
  event.preventDefault();
  const place = Math.max(0, Math.min(buttons.length - 1, next));
  buttons.forEach((button, index) => { button.tabIndex = index === place ? 0 : -1; });
  buttons[place].focus();
}
