// Drawing the map: points, outline, cross, legend.

// Okabe and Ito's colours, which all eyes tell apart; then shades of them
const WORDS = [[0, 114, 178], [230, 159, 0], [0, 158, 115], [213, 94, 0], [86, 180, 233], [204, 121, 167], [150, 140, 30], [110, 110, 120]];
const RAMP = [[68, 1, 84], [59, 82, 139], [33, 145, 140], [94, 201, 98], [226, 211, 40]]; // viridis
const NONE = 255, STEPS = 249, MOST_PICTURES = 160;

export const bytes = (text) => { const raw = atob(text), out = new Uint8Array(raw.length); for (let i = 0; i < raw.length; i++) out[i] = raw.charCodeAt(i); return out; };

function ramp(fraction) {
  const at = Math.min(RAMP.length - 1.0001, fraction * (RAMP.length - 1)), i = Math.floor(at), part = at - i;
  return RAMP[i].map((value, channel) => Math.round(value + (RAMP[i + 1][channel] - value) * part));
}
export const colourOf = (legend, shade) => (shade === NONE ? [128, 128, 128] : legend?.kind === "number" ? ramp(shade / STEPS) : WORDS[shade % WORDS.length]);
export function shadesOf(legend) { return Array.from({ length: 256 }, (_, shade) => colourOf(legend, shade)); }

// `pictures(places)`: pictures by place, of those that are there already; asked for when few enough points are in view.
export function draw(canvas, map, shades, pictures) {
  const scale = devicePixelRatio || 1, wide = Math.round(canvas.clientWidth * scale), tall = Math.round(canvas.clientHeight * scale);
  if (!wide || !tall) return;
  if (canvas.width !== wide || canvas.height !== tall) { canvas.width = wide; canvas.height = tall; }
  const context = canvas.getContext("2d"), styles = getComputedStyle(canvas);
  context.clearRect(0, 0, wide, tall);
  if (!map.points) return;
  const side = Math.min(wide, tall) * 0.94 * map.view.zoom, x0 = wide / 2 - map.view.x * side, y0 = tall / 2 - map.view.y * side;
  const size = Math.max(2, Math.min(9, Math.sqrt((side * side) / map.rows.length) * 0.35)) * Math.min(scale, 1.5);
  const seen = points(context, map, shades, { side, x0, y0, size, wide, tall });
  if (seen.length && seen.length <= MOST_PICTURES) {
    const big = Math.max(24, Math.min(72, Math.sqrt((wide * tall) / scale / scale / seen.length) * 0.45)) * scale, drawn = pictures(seen);
    for (const [i, picture] of drawn) {
      const x = x0 + map.points[2 * i] * side - big / 2, y = y0 + map.points[2 * i + 1] * side - big / 2;
      context.fillStyle = `rgb(${shades[map.shades ? map.shades[i] : 0].join(" ")})`;
      context.fillRect(x - 2 * scale, y - 2 * scale, big + 4 * scale, big + 4 * scale);
      context.drawImage(picture, x, y, big, big);
    }
  }
  const ink = styles.color;
  if (map.outline.length) {
    context.beginPath();
    map.outline.forEach(([x, y], i) => context[i ? "lineTo" : "moveTo"](x0 + x * side, y0 + y * side));
    context.closePath();
    context.fillStyle = "rgb(128 128 128 / .18)";
    context.fill();
    context.strokeStyle = ink;
    context.lineWidth = 2 * scale;
    context.setLineDash([6 * scale, 4 * scale]);
    context.stroke();
    context.setLineDash([]);
  }
  if (map.cross) {
    const x = x0 + map.cross[0] * side, y = y0 + map.cross[1] * side, arm = 11 * scale;
    context.strokeStyle = ink;
    context.lineWidth = 2 * scale;
    context.beginPath();
    context.moveTo(x - arm, y); context.lineTo(x + arm, y); context.moveTo(x, y - arm); context.lineTo(x, y + arm);
    context.stroke();
  }
}

// Pale points first, so that none covers what the filters leave; returns the places of those that they leave in view.
function points(context, map, shades, { side, x0, y0, size, wide, tall }) {
  const names = shades.map((rgb) => `rgb(${rgb.join(" ")})`), seen = [];
  for (const pass of [0, 1]) {
    context.globalAlpha = pass ? 0.85 : 0.14;
    let last = -1;
    for (let i = 0; i < map.rows.length; i++) {
      if ((map.shown ? map.shown[i] : 1) !== pass) continue;
      const x = x0 + map.points[2 * i] * side, y = y0 + map.points[2 * i + 1] * side;
      if (x < -size || y < -size || x > wide + size || y > tall + size) continue;
      if (pass && seen.length <= MOST_PICTURES) seen.push(i);
      const shade = map.shades ? map.shades[i] : 0;
      if (shade !== last) { context.fillStyle = pass ? names[shade] : "rgb(128 128 128)"; last = shade; }
      context.fillRect(x - size / 2, y - size / 2, size, size);
    }
  }
  context.globalAlpha = 1;
  return seen;
}

// The shown point nearest to a place of the map, -1 when none is within reach.
export function nearestPoint(map, x, y, reach) {
  let best = -1, least = reach * reach;
  for (let i = 0; i < map.rows.length; i++) {
    if (map.shown && !map.shown[i]) continue;
    const far = (map.points[2 * i] - x) ** 2 + (map.points[2 * i + 1] - y) ** 2;
    if (far < least) { least = far; best = i; }
  }
  return best;
}

export function legendOf(make, legend, name, readable) {
  if (!legend || legend.kind === "none") return [];
  const swatch = (shade) => { const one = make("i", { class: "swatch", "aria-hidden": "true" }); one.style.background = `rgb(${colourOf(legend, shade).join(" ")})`; return one; };
  if (legend.kind === "number") {
    const bar = make("i", { class: "ramp", "aria-hidden": "true" });
    bar.style.background = `linear-gradient(to right, ${RAMP.map((rgb) => `rgb(${rgb.join(" ")})`).join(", ")})`;
    return [make("span", {}, name), make("span", {}, readable(legend.low)), bar, make("span", {}, readable(legend.high)), swatch(NONE), make("span", {}, "none")];
  }
  const shown = legend.values.slice(0, 16).map((value, i) => make("span", { class: "word" }, swatch(i), value.replaceAll("_", " ")));
  return [make("span", {}, name), ...shown, legend.values.length > 16 ? make("span", {}, `and ${legend.values.length - 16} more`) : "", make("span", { class: "word" }, swatch(NONE), "none")].filter(Boolean);
}
