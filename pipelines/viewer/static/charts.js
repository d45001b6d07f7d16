// The tab of charts: every score and label as a histogram, and two of them against each other.
import { draw, heat } from "./chart.js";

let app, body, picker, map, key = "", across, up;

export async function open(place, theApp) {
  app = theApp;
  const { make } = app;
  place.classList.add("page");
  const numbers = [...app.columns.values()].filter((column) => column.kind === "number").map((column) => column.name);
  const groups = new Map([["scores", numbers.filter((name) => name.startsWith("q_"))]]);
  for (const column of app.columns.values()) {
    if (["number", "word", "flag"].includes(column.kind)) groups.set(column.group, [...(groups.get(column.group) ?? []), column.name]);
  }
  for (const column of app.columns.values()) {
    if (column.kind === "list" && column.length <= 100) groups.set(column.name, Array.from({ length: column.length }, (_, i) => `${column.name}[${i}]`));
  }
  const options = () => numbers.map((name) => make("option", { value: name }, name));
  picker = make("select", { id: "chart-group" }, [...groups].map(([name, names]) => make("option", { value: names.join(",") }, `${name} (${names.length})`)));
  across = make("select", { id: "across" }, options());
  up = make("select", { id: "up" }, options());
  across.value = numbers.includes("yaw") ? "yaw" : numbers[0];
  up.value = numbers.includes("pitch") ? "pitch" : numbers[0];
  map = make("div", { class: "heat" });
  body = make("div", { class: "chart-wall" });
  for (const select of [picker, across, up]) select.addEventListener("change", () => { key = ""; shown(); });
  place.append(make("h2", {}, "Two columns against each other"),
    make("p", { class: "row" }, make("label", { for: "across" }, "across"), across, make("label", { for: "up" }, "up"), up),
    map, make("p", { class: "note" }, "A click on a cell shows its pictures."),
    make("h2", {}, "Columns"), make("p", { class: "row" }, make("label", { for: "chart-group" }, "of"), picker,
      make("button", { type: "button", onclick: () => app.go({ tab: "grid" }) }, "show the pictures")),
    make("p", { class: "note" }, "Bright: what all other filters leave; pale: all rows. Click or drag to filter. Heights are square roots, so that few stay visible."), body);
}

export async function shown() {
  const now = JSON.stringify([[...app.query], picker.value, across.value, up.value]);
  if (now === key) return;
  key = now;
  const [{ charts }, cells] = await Promise.all([
    app.get("api/charts", new Map([...app.query, ["columns", picker.value]])),
    app.get("api/heat", new Map([...app.query, ["across", across.value], ["up", up.value]]))]);
  if (now !== key) return;
  map.replaceChildren(heat(app, cells));
  body.replaceChildren(...charts.map((chart) => draw(app, chart)));
}
