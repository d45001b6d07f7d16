// Pictures on the map, once it is so large that few points are in view.
const KEPT = 600;
const known = new Map(); // row -> image, null while it is on its way or when there is none

// [place, image] of those that are there; the others are asked for, and `ready` is called as they come.
export function pictures(app, map, places, ready) {
  const missing = places.map((place) => map.rows[place]).filter((row) => !known.has(row));
  for (const row of missing) known.set(row, null);
  if (missing.length) fetchThem(app, missing, ready).catch(() => { for (const row of missing) known.delete(row); });
  for (const row of known.keys()) { if (known.size <= KEPT) break; if (known.get(row)) known.delete(row); }
  return places.map((place) => [place, known.get(map.rows[place])]).filter(([, image]) => image);
}

async function fetchThem(app, rows, ready) {
  const said = await app.get("api/map/points", { rows: rows.join(",") });
  said.rows.forEach((one, index) => {
    const image = new Image();
    image.addEventListener("load", () => { known.set(rows[index], image); ready(); });
    image.src = `thumb/${one.id}`;
  });
}
