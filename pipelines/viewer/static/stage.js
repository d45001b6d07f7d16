// One place for a picture, or for two on top of each other with a slider between them: zoom, pan, drawings over it.
import { make } from "./app.js";

const NS = "http://www.w3.org/2000/svg";

export class Stage {
  constructor() {
    this.under = make("div", { class: "layer" });
    this.over = make("div", { class: "layer over", hidden: true });
    this.slider = make("input", { type: "range", min: "0", max: "1000", value: "500", "aria-label": "before and after", hidden: true });
    this.line = make("span", { class: "line", hidden: true });
    this.view = make("div", { class: "view" }, this.under, this.over, this.line);
    this.element = make("div", { class: "stage" }, this.view, this.slider);
    this.scale = 1; this.x = 0; this.y = 0;
    this.slider.addEventListener("input", () => this.cut());
    this.view.addEventListener("wheel", (event) => { event.preventDefault(); this.zoom(Math.exp(-event.deltaY / 400), event); }, { passive: false });
    this.view.addEventListener("dblclick", (event) => (this.scale > 1 ? this.whole() : this.zoom(3, event)));
    const held = new Map();
    this.view.addEventListener("pointerdown", (event) => { held.set(event.pointerId, event); this.view.setPointerCapture(event.pointerId); });
    this.view.addEventListener("pointermove", (event) => this.moved(held, event));
    for (const end of ["pointerup", "pointercancel"]) this.view.addEventListener(end, (event) => held.delete(event.pointerId));
  }

  // picture: {src, alt, layers, width, height, colour}; against: another one or null.
  show(picture, against) {
    fill(this.under, against ?? picture);
    if (against) fill(this.over, picture);
    for (const one of [this.over, this.slider, this.line]) one.hidden = !against;
    this.cut();
  }

  draw(names) {
    for (const layer of this.view.querySelectorAll("svg > g")) layer.style.display = names.has(layer.dataset.layer) ? "" : "none";
  }

  cut() {
    const part = Number(this.slider.value) / 10;
    this.line.style.left = `${part}%`;
    // The cut stays where it is on the screen while the picture moves below it.
    const box = this.view.clientWidth, at = (part / 100) * box;
    const inside = ((at - box / 2 - this.x) / this.scale + box / 2) / Math.max(1, box) * 100;
    this.over.style.clipPath = `inset(-9999% -9999% -9999% ${inside}%)`;
  }

  zoom(by, at = null) {
    const box = this.view.getBoundingClientRect(), next = Math.min(40, Math.max(1, this.scale * by));
    const [px, py] = at ? [at.clientX - box.left - box.width / 2, at.clientY - box.top - box.height / 2] : [0, 0];
    this.x = px - (px - this.x) * next / this.scale;
    this.y = py - (py - this.y) * next / this.scale;
    this.scale = next;
    if (next === 1) this.x = this.y = 0;
    this.place();
  }

  whole() { this.scale = 1; this.x = this.y = 0; this.place(); }

  place() {
    for (const layer of [this.under, this.over]) layer.style.transform = `translate(${this.x}px, ${this.y}px) scale(${this.scale})`;
    this.view.classList.toggle("near", this.scale >= 3); // single pixels are wanted then
    this.cut();
  }

  moved(held, event) {
    if (!held.has(event.pointerId)) return;
    const before = held.get(event.pointerId);
    if (held.size === 2) {
      const other = [...held.values()].find((one) => one.pointerId !== event.pointerId);
      const reach = (one) => Math.hypot(one.clientX - other.clientX, one.clientY - other.clientY);
      this.zoom(reach(event) / Math.max(1, reach(before)), event);
    } else if (this.scale > 1) {
      this.x += event.clientX - before.clientX;
      this.y += event.clientY - before.clientY;
      this.place();
    }
    held.set(event.pointerId, event);
  }
}

function fill(layer, picture) {
  const image = make("img", { src: picture.src, alt: picture.alt, draggable: "false" });
  image.style.background = picture.colour ?? "";
  layer.replaceChildren(image);
  if (picture.layers && picture.width) layer.append(drawing(picture));
}

function drawing({ layers, width, height }) {
  const root = document.createElementNS(NS, "svg");
  root.setAttribute("viewBox", `0 0 ${width} ${height}`);
  root.setAttribute("class", "overlay");
  root.setAttribute("aria-hidden", "true");
  for (const [name, paths] of Object.entries(layers)) {
    const group = document.createElementNS(NS, "g");
    group.dataset.layer = name;
    group.setAttribute("class", name);
    for (const rim of [true, false]) for (const [side, path] of paths) {
      const line = document.createElementNS(NS, "path");
      line.setAttribute("class", `${side}${rim ? " rim" : ""}`);
      line.setAttribute("d", path);
      group.append(line);
    }
    root.append(group);
  }
  return root;
}
