// The report's own page, in a box from which its scripts reach nothing.
export async function open(place, app) {
  place.classList.add("framed");
  place.append(app.make("iframe", { src: "report/index.html", title: "Report of the data set", sandbox: "allow-scripts" }));
}
