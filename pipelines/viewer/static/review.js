export async function open(place, app) { place.append(app.make("p", {}, `${app.start.rows} rows`)); }
export async function shown() {}
