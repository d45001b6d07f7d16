// A chart that is a filter: bars of what the filters leave before those of all rows; a click on one filters.
import { make } from "./app.js";

const NS = "http://www.w3.org/2000/svg", WIDE = 240, TALL = 56;
const svg = (tag, attributes, ...children) => {
  const element = document.createElementNS(NS, tag);
  for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
  element.append(...children);
  return element;
};
const say = (text, ...children) => svg("title", {}, text, ...children);

// Angles are radians in the data set and degrees for people.
export const factor = (unit) => (unit === "rad" ? 180 / Math.PI : 1);
export const sign = (unit) => (unit === "rad" ? "°" : "");
export const short = (value) => (Math.abs(value) >= 1000 || Number.isInteger(value) ? value.toLocaleString("en", { maximumFractionDigits: 0 }) : String(Number(value.toPrecision(3))));

export function draw(app, chart) {
  const body = chart.kind === "number" ? numbers(app, chart) : words(app, chart);
  const active = app.query.has(chart.name);
  return make("div", { class: `chart-box${active ? " active" : ""}`, "data-column": chart.name },
    make("h4", { title: chart.meaning }, chart.name,
      active && make("button", { type: "button", class: "clear", "aria-label": `clear the filter of ${chart.name}`, onclick: () => app.setQuery({ [chart.name]: [] }) }, "✕")),
    body);
}

function numbers(app, chart) {
  const bins = chart.counts.length, most = Math.max(1, ...chart.all), wide = WIDE / bins, unit = factor(chart.unit);
  const height = (count) => (count ? Math.max(1.5, Math.sqrt(count / most) * TALL) : 0);
  const picture = svg("svg", { viewBox: `0 0 ${WIDE} ${TALL}`, preserveAspectRatio: "none", role: "img", "aria-label": `histogram of ${chart.name}` });
  const label = (i) => `${short(chart.edges[i] * unit)} to ${short(chart.edges[i + 1] * unit)}${sign(chart.unit)}: ${chart.counts[i].toLocaleString("en")} of ${chart.all[i].toLocaleString("en")}`;
  const [low, high] = range(app, chart.name);
  for (let i = 0; i < bins; i++) {
    const inside = chart.edges[i + 1] > low && chart.edges[i] < high;
    picture.append(svg("g", { class: inside ? "bin" : "bin outside" }, say(label(i)),
      svg("rect", { class: "hit", x: i * wide, y: 0, width: wide, height: TALL }),
      svg("rect", { class: "all", x: i * wide, y: TALL - height(chart.all[i]), width: wide * 0.9, height: height(chart.all[i]) }),
      svg("rect", { class: "now", x: i * wide, y: TALL - height(chart.counts[i]), width: wide * 0.9, height: height(chart.counts[i]) })));
  }
  let from = null;
  const place = (event) => {
    const box = picture.getBoundingClientRect();
    return Math.max(0, Math.min(bins - 1, Math.floor((event.clientX - box.left) / box.width * bins)));
  };
  picture.addEventListener("pointerdown", (event) => { from = place(event); picture.setPointerCapture(event.pointerId); });
  picture.addEventListener("pointerup", (event) => {
    if (from === null) return;
    const [a, b] = [from, place(event)].sort((x, y) => x - y);
    from = null;
    app.setQuery({ [chart.name]: `${chart.edges[a]}..${chart.edges[b + 1]}` });
  });
  return make("div", {}, picture, limits(app, chart));
}

function range(app, name) {
  const [low, high] = (app.query.get(name)?.[0] ?? "..").split("..");
  return [low ? Number(low) : -Infinity, high ? Number(high) : high === undefined ? Number(low) : Infinity];
}

function limits(app, chart) {
  const unit = factor(chart.unit), [low, high] = range(app, chart.name), bins = chart.counts.length;
  const shown = (value) => (Number.isFinite(value) ? Number((value * unit).toPrecision(6)) : "");
  const field = (what, value, hint) => make("input", { type: "number", step: "any", value: String(shown(value)), placeholder: short(hint * unit), "aria-label": `${what} ${chart.name}${chart.unit === "rad" ? " in degrees" : ""}` });
  const least = field("least", low, chart.edges[0]), most = field("most", high, chart.edges[bins]);
  const changed = () => {
    const text = (input) => (input.value === "" ? "" : String(Number(input.value) / unit));
    app.setQuery({ [chart.name]: least.value === "" && most.value === "" ? "" : `${text(least)}..${text(most)}` });
  };
  for (const input of [least, most]) input.addEventListener("change", changed);
  const none = chart.null > 0 && make("button", { type: "button", class: "none", title: "only rows without a value", onclick: () => app.setQuery({ [chart.name]: "null" }) }, `none: ${chart.null.toLocaleString("en")}`);
  return make("div", { class: "limits" }, least, make("span", {}, `to`), most, make("span", {}, sign(chart.unit)), none);
}

function words(app, chart) {
  const most = Math.max(1, ...chart.all), now = new Set(app.query.get(chart.name) ?? []);
  const rows = chart.values.map((value, i) => ({ value, count: chart.counts[i], all: chart.all[i] }))
    .filter((one) => one.all || now.has(one.value)).sort((a, b) => b.all - a.all);
  return make("ul", { class: "words" }, rows.map(({ value, count, all }) => {
    const box = make("input", { type: "checkbox", checked: now.has(value) });
    box.addEventListener("change", () => {
      const next = new Set(now);
      if (box.checked) next.add(value); else next.delete(value);
      app.setQuery({ [chart.name]: [...next] });
    });
    const bar = make("span", { class: "bar" });
    bar.style.width = `${Math.sqrt(count / most) * 100}%`;
    return make("li", {}, make("label", {}, box, make("span", { class: "word" }, value === "null" ? "none" : value.replaceAll("_", " ")),
      make("span", { class: "number" }, count.toLocaleString("en"))), bar);
  }));
}

// Two columns against each other, as cells to click.
export function heat(app, data) {
  const side = data.counts.length, most = Math.max(1, ...data.counts.flat()), cell = 10;
  const picture = svg("svg", { viewBox: `0 0 ${side * cell} ${side * cell}`, role: "img", "aria-label": `${data.up} against ${data.across}` });
  const [across, up] = data.units;
  for (let y = 0; y < side; y++) for (let x = 0; x < side; x++) {
    const count = data.counts[y][x];
    if (!count) continue;
    const box = svg("rect", { x: x * cell, y: (side - 1 - y) * cell, width: cell - 0.5, height: cell - 0.5, class: "heat-cell" });
    box.style.opacity = String(0.15 + 0.85 * Math.sqrt(count / most));
    const say = `${data.across} ${short(data.across_edges[x] * factor(across))} to ${short(data.across_edges[x + 1] * factor(across))}${sign(across)}, ${data.up} ${short(data.up_edges[y] * factor(up))} to ${short(data.up_edges[y + 1] * factor(up))}${sign(up)}: ${count.toLocaleString("en")}`;
    box.append(svg("title", {}, say));
    box.addEventListener("click", () => app.setQuery({
      [data.across]: `${data.across_edges[x]}..${data.across_edges[x + 1]}`, [data.up]: `${data.up_edges[y]}..${data.up_edges[y + 1]}`,
    }, { tab: "grid" }));
    picture.append(box);
  }
  return picture;
}
