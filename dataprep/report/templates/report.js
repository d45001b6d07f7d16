"use strict";
const data = JSON.parse(document.getElementById("data").textContent);
const dialog = document.querySelector("dialog");
const gallery = document.getElementById("gallery");
const filters = document.getElementById("filters");
const PAGE = 48;
const FRONT_DEG = 15;

// Pictures lie once in the page, in islands after this script; an island is parsed when its first picture is seen.
const islands = new Map();
function thumbnail(index) {
  const number = Math.floor(index / data.chunk);
  if (!islands.has(number)) {
    const island = document.querySelectorAll("script.thumbs")[number];
    if (!island) return null;
    islands.set(number, JSON.parse(island.textContent));
  }
  return "data:image/webp;base64," + islands.get(number)[index % data.chunk];
}

const seen = new IntersectionObserver((entries) => {
  for (const entry of entries) {
    if (!entry.isIntersecting) continue;
    seen.unobserve(entry.target);
    reveal(entry.target);
  }
}, { rootMargin: "500px" });

function reveal(image) {
  const source = thumbnail(Number(image.dataset.thumb));
  if (source) image.src = source;
  const button = image.closest(".picture");
  if (button) draw(button);
}

// Overlays: built when a picture is seen, from the layers that are switched on.
const chosen = new Set();
function readLayers() {
  chosen.clear();
  for (const box of document.querySelectorAll("input[name=layer]:checked")) chosen.add(box.value);
}

const SVG = "http://www.w3.org/2000/svg";
function draw(picture) {
  picture.querySelector("svg.overlay")?.remove();
  const shown = data.samples[picture.dataset.place][picture.dataset.kind];
  if (!shown?.layers || "bare" in picture.dataset) return;
  const always = new Set((picture.dataset.layers ?? "").split(" "));
  const names = Object.keys(shown.layers).filter((name) => chosen.has(name) || always.has(name));
  if (!names.length) return;
  const svg = document.createElementNS(SVG, "svg");
  svg.setAttribute("class", "overlay");
  svg.setAttribute("viewBox", `0 0 ${shown.frame[0]} ${shown.frame[1]}`);
  svg.setAttribute("preserveAspectRatio", "none");
  svg.setAttribute("aria-hidden", "true");
  for (const name of names) {
    const group = document.createElementNS(SVG, "g");
    group.setAttribute("class", name);
    for (const rim of [true, false]) {
      for (const [css, path] of shown.layers[name]) {
        const line = document.createElementNS(SVG, "path");
        line.setAttribute("class", rim ? "rim" : css);
        line.setAttribute("d", path);
        group.append(line);
      }
    }
    svg.append(group);
  }
  picture.append(svg);
}

document.querySelector(".overlays").addEventListener("change", () => {
  readLayers();
  remember();
  for (const picture of document.querySelectorAll(".picture")) {
    if (!picture.querySelector("img") || picture.querySelector("img").src) draw(picture);
  }
});

// One picture as a button (or, in the dialog, as a plain frame).
function frame(place, kind, tag, { layers = "", bare } = {}) {
  const sample = data.samples[place];
  const shown = sample[kind];
  const element = document.createElement(tag);
  if (tag === "button") element.type = "button";
  element.className = shown.size[1] > shown.size[0] ? "picture tall" : "picture";
  Object.assign(element.dataset, { place, kind, layers }, bare === undefined ? {} : { bare });
  element.style.aspectRatio = `${shown.size[0]} / ${shown.size[1]}`;
  if (tag === "div") { // opened: never larger than the pixels there are
    element.style.maxWidth = `min(34rem, 100%, ${shown.size[0]}px)`;
    element.style.maxHeight = `${shown.size[1]}px`;
  }
  if (shown.thumb < 0) {
    const absent = document.createElement("span");
    absent.className = "absent";
    absent.textContent = "no preview";
    element.append(absent);
    return element;
  }
  const image = document.createElement("img");
  [image.width, image.height] = shown.size;
  image.alt = `${kind} ${sample.name}`;
  image.dataset.thumb = shown.thumb;
  element.append(image);
  return element;
}

// The gallery: filters and pages.
let found = [];
let first = 0;
function side(yaw) {
  if (yaw === null) return "";
  return Math.abs(yaw) < FRONT_DEG ? "front" : yaw < 0 ? "left" : "right";
}

function filter() {
  const wanted = Object.fromEntries(new FormData(filters));
  filters.dataset.gallery = wanted.gallery;
  const text = wanted.text.trim().toLowerCase();
  found = data.galleries[wanted.gallery].filter((place) => {
    const one = data.samples[place];
    if (text && !one.name.toLowerCase().includes(text) && !one.id.startsWith(text)) return false;
    if (wanted.gallery === "rejected") return !wanted.end || one.end === wanted.end;
    return (!wanted.split || one.split === wanted.split) && (!wanted.side || side(one.yaw) === wanted.side);
  });
  first = 0;
  page();
}

function page() {
  const kind = filters.dataset.gallery === "accepted" ? "portrait" : "photograph";
  const items = found.slice(first, first + PAGE).map((place) => {
    const one = data.samples[place];
    const item = document.createElement("li");
    const caption = document.createElement("p");
    caption.className = "caption";
    const name = document.createElement("span");
    name.className = "name";
    name.textContent = one.name.split("/").pop();
    caption.append(name, one.accepted ? `yaw ${Math.round(one.yaw)}°`.replace("-", "−") : one.end);
    item.append(frame(place, kind, "button"), caption);
    return item;
  });
  gallery.replaceChildren(...items);
  const images = gallery.querySelectorAll("img");
  for (const image of images) seen.observe(image);
  const last = Math.min(first + PAGE, found.length);
  const all = data.galleries[filters.dataset.gallery].length;
  document.getElementById("found").textContent =
    `${found.length} of ${all} ${found.length === 1 ? "matches" : "match"}`;
  document.getElementById("page").textContent = found.length ? `${first + 1}–${last} of ${found.length}` : "none";
  document.getElementById("earlier").disabled = first === 0;
  document.getElementById("later").disabled = last === found.length;
}

function ends() {
  const select = filters.elements.end;
  for (const end of [...new Set(data.galleries.rejected.map((place) => data.samples[place].end))].sort()) {
    select.append(new Option(end, end));
  }
}

filters.addEventListener("input", () => {
  filter();
  remember("#pictures");
});
filters.addEventListener("submit", (event) => event.preventDefault());
for (const [id, step] of [["earlier", -PAGE], ["later", PAGE]]) {
  document.getElementById(id).addEventListener("click", () => {
    first = Math.max(0, first + step);
    page();
    remember("#pictures");
    filters.scrollIntoView({ block: "start" });
  });
}

// What is chosen stands in the address behind the section, so that a reload or a sent link shows it again.
function remember(section = location.hash.split("?")[0]) {
  const kept = new URLSearchParams();
  for (const [name, value] of new FormData(filters)) if (value && value !== "accepted") kept.append(name, value);
  for (const layer of chosen) kept.append("layer", layer);
  if (first) kept.append("from", first);
  const hash = kept.size ? `${section || "#overview"}?${kept}` : section || "#overview";
  if (location.hash !== hash && (location.hash || kept.size)) history.replaceState(null, "", hash);
}

function recall() {
  const cut = location.hash.indexOf("?");
  if (cut < 0) return remember();
  const section = location.hash.slice(1, cut);
  const kept = new URLSearchParams(location.hash.slice(cut + 1));
  for (const name of ["text", "split", "side", "end"]) filters.elements[name].value = kept.get(name) ?? "";
  filters.elements.gallery.value = kept.get("gallery") ?? "accepted";
  for (const box of document.querySelectorAll("input[name=layer]")) {
    box.checked = kept.getAll("layer").includes(box.value);
  }
  readLayers();
  filter();
  const from = Math.floor(Number(kept.get("from")) / PAGE) * PAGE;
  if (from > 0 && from < found.length) {
    first = from;
    page();
  }
  document.getElementById(section)?.scrollIntoView({ behavior: "instant" });
}

// One sample, opened.
let opened = null;
let siblings = [];
function open(button) {
  opened = button;
  const list = button.closest("ul");
  siblings = [...(list ?? document).querySelectorAll("button.picture")];
  const { place } = button.dataset;
  const sample = data.samples[place];
  const kinds = ["portrait", "photograph"].filter((kind) => sample[kind] && sample[kind].thumb >= 0);
  const frames = (kinds.length ? kinds : [button.dataset.kind]).map((kind) => frame(place, kind, "div", button.dataset));
  dialog.querySelector(".frames").replaceChildren(...frames);
  const title = document.createElement("h3");
  title.textContent = sample.name;
  const facts = document.createElement("dl");
  for (const [name, value] of sample.facts) {
    const term = document.createElement("dt");
    const text = document.createElement("dd");
    term.textContent = name;
    text.textContent = value;
    facts.append(term, text);
  }
  dialog.querySelector(".about").replaceChildren(title, facts);
  if (!dialog.open) dialog.showModal();
  dialog.focus({ preventScroll: true }); // the buttons lie at the end: with the focus they would pull it into view
  dialog.scrollTop = 0;
  for (const image of dialog.querySelectorAll("img")) reveal(image);
}

function step(by) {
  const next = siblings[(siblings.indexOf(opened) + by + siblings.length) % siblings.length];
  if (next) open(next);
}

document.addEventListener("click", (event) => {
  const button = event.target.closest("main button.picture");
  if (button) open(button);
  else if (event.target === dialog) dialog.close();
  else if (!event.target.closest(".overlays")) document.querySelector(".overlays").open = false;
  if (narrow.matches && !event.target.closest(".menu summary")) menu.open = false;
});
dialog.addEventListener("close", () => opened?.focus());
dialog.addEventListener("keydown", (event) => {
  if (event.key === "ArrowRight") step(1);
  if (event.key === "ArrowLeft") step(-1);
});
dialog.querySelector(".next").addEventListener("click", () => step(1));
dialog.querySelector(".previous").addEventListener("click", () => step(-1));

// The menu of sections: folded where it has no room, with a mark of where one is.
const nav = document.querySelector("nav");
const menu = document.querySelector(".menu");
const narrow = matchMedia("(max-width: 60rem)");
const links = [...menu.querySelectorAll("a")];
const sections = links.map((link) => document.querySelector(link.hash));

function fold() {
  menu.open = !narrow.matches;
}

function markSection() {
  const line = parseFloat(getComputedStyle(document.documentElement).scrollPaddingTop) + 40;
  const end = innerHeight + scrollY >= document.documentElement.scrollHeight - 2;
  const begun = sections.filter((section) => section.getBoundingClientRect().top <= line).length;
  const here = links[end ? links.length - 1 : Math.max(begun, 1) - 1];
  if (here.ariaCurrent) return;
  for (const link of links) link.removeAttribute("aria-current");
  here.setAttribute("aria-current", "location");
  menu.querySelector("summary b").textContent = here.textContent;
}

narrow.addEventListener("change", fold);
addEventListener("scroll", markSection, { passive: true });
addEventListener("resize", markSection);
new ResizeObserver(() => {
  if (!narrow.matches) document.documentElement.style.setProperty("--nav", `${nav.offsetHeight}px`);
  else document.documentElement.style.removeProperty("--nav");
}).observe(nav);
fold();
markSection();

readLayers();
ends();
filter();
recall();
addEventListener("hashchange", recall);
// The islands come after this script, so that text is painted before megabytes of pictures are read.
addEventListener("DOMContentLoaded", () => {
  for (const image of document.querySelectorAll("img[data-thumb]")) seen.observe(image);
  for (const image of gallery.querySelectorAll("img:not([src])")) seen.observe(image);
});
