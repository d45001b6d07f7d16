// The filters beside the grid: charts of columns, by group; what is filtered stands above as chips.
import { make } from "./app.js";
import { draw } from "./chart.js";

let app, groups = [], chips, problem;

const scores = (column) => column.name.startsWith("q_") && column.kind === "number";
const GROUPS = [
  ["State", true, (column) => ["mark", "mark_reason", "status", "stage", "reason", "split", "selected"].includes(column.name)],
  ["Scores", false, scores],
  ["Flags", false, (column) => column.name.startsWith("flag_")],
  ["Head and camera", false, (column) => ["yaw", "pitch", "roll", "skin_ita_deg", "head_disagreement", "face_fit_rmse", "body_fit_rmse_relative", "upsampling", "crop_side_px", "crop_roll_rad"].includes(column.name)],
  ["Duplicates and people", false, (column) => ["dup_cluster", "dup_rank", "mark_by", "sampling_weight", "likeness_self"].includes(column.name)],
];

export function openPanel(place, theApp) {
  app = theApp;
  const taken = new Set();
  const all = [...app.columns.values()].filter((column) => column.kind !== "list" && column.kind !== "text")
    .sort((a, b) => (b.group === "marks") - (a.group === "marks"));
  chips = make("ul", { class: "chips", "aria-label": "Filters that are on" });
  problem = make("p", { class: "note" });
  const built = [];
  for (const [title, isOpen, test] of GROUPS) {
    const columns = all.filter(test);
    columns.forEach((column) => taken.add(column.name));
    if (columns.length) built.push(group(title, isOpen, columns.map((column) => column.name)));
  }
  const rest = new Map();
  for (const column of all) if (!taken.has(column.name)) rest.set(column.group, [...(rest.get(column.group) ?? []), column.name]);
  for (const [title, names] of rest) built.push(group(`All of ${title}`, false, names));
  const details = make("details", { class: "all-filters" }, make("summary", {}, "Filters"), expression(), more(), ...built);
  details.open = matchMedia("(min-width: 50rem)").matches;
  place.append(chips, problem, details);
}

export function showPanel() {
  const items = [];
  for (const [name, values] of app.query) {
    if (name === "sort" || name === "text") continue;
    items.push(make("li", {}, make("button", { type: "button", title: "take this filter away", onclick: () => app.setQuery({ [name]: [] }) },
      `${name} ${values.map((value) => chip(name, value)).join(", ")}`, make("span", { "aria-hidden": "true" }, " ✕"))));
  }
  if (items.length > 1) items.push(make("li", {}, make("button", { type: "button", onclick: () => app.go({ query: new Map() }) }, "clear all")));
  chips.replaceChildren(...items);
  for (const one of groups) one.fill();
  const input = document.getElementById("expr");
  if (document.activeElement !== input) input.value = app.query.get("expr")?.[0] ?? "";
}

function chip(name, value) {
  if (!value.includes("..") || app.columns.get(name.replace(/\[.*/, ""))?.kind === "text") return value;
  const [low, high] = value.split("..").map((one) => (one === "" ? "" : app.readable(name, Number(one))));
  return low === "" ? `at most ${high}` : high === "" ? `at least ${low}` : `${low} to ${high}`;
}

function group(title, isOpen, names) {
  const body = make("div", { class: "chart-list" }), details = make("details", {}, make("summary", {}, title), body);
  details.open = isOpen;
  let key = "";
  const fill = async () => {
    const now = JSON.stringify([...app.query].filter(([name]) => name !== "sort"));
    if (!details.open || key === now) return;
    key = now;
    try {
      const { charts } = await app.get("api/charts", new Map([...app.query, ["columns", names.join(",")]]));
      if (key === now) body.replaceChildren(...charts.map((chart) => draw(app, chart)));
    } catch (error) {
      key = "";
    }
  };
  details.addEventListener("toggle", fill);
  groups.push({ fill });
  addEventListener("marked", () => { if (names.includes("mark")) key = ""; });
  return details;
}

function expression() {
  const input = make("input", { id: "expr", placeholder: "abs(yaw) < 0.3 and q_sharpness > 0.5", autocomplete: "off", spellcheck: "false" });
  input.addEventListener("change", () => app.setQuery({ expr: input.value }));
  return make("div", { class: "field" }, make("label", { for: "expr" }, "Expression, as for shhq-hs select (angles in radians)"), input);
}

// Any other column, such as a person's id or one number of a label: NAME = VALUE.
function more() {
  const name = make("input", { id: "more-name", list: "all-columns", placeholder: "bfm_exp[3]", autocomplete: "off", spellcheck: "false" });
  const value = make("input", { id: "more-value", placeholder: "1..  or  a text", autocomplete: "off", spellcheck: "false", "aria-label": "its values" });
  const list = make("datalist", { id: "all-columns" }, [...app.columns.values()].map((column) => make("option", { value: column.kind === "list" ? `${column.name}[0]` : column.name })));
  const form = make("form", { class: "field", onsubmit: (event) => { event.preventDefault(); if (name.value) app.setQuery({ [name.value.trim()]: value.value.trim() }); } },
    make("label", { for: "more-name" }, "Any column"), make("div", { class: "row" }, name, value, make("button", {}, "Filter")), list);
  return form;
}
