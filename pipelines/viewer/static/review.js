// The tab of marks: how many there are, what they change, and the latest.
import { setWho, who } from "./marks.js";
import { badge } from "./triage.js";

let app, body;

export async function open(place, theApp) {
  app = theApp;
  place.classList.add("page");
  body = app.make("div");
  place.append(body);
  addEventListener("marked", () => { if (app.tab === "review") shown().catch(app.problem); });
}

export async function shown() {
  const { make } = app, said = await app.get("api/marks");
  const name = make("input", { id: "who", value: who(), maxlength: 100 });
  name.addEventListener("change", () => setWho(name.value));
  const count = (number, one, many = `${one}s`) => `${number.toLocaleString("en")} ${number === 1 ? one : many}`;
  const link = (text, query) => make("button", { type: "button", class: "link", onclick: () => app.go({ tab: "grid", query: new Map(Object.entries(query).map(([key, value]) => [key, [value]])) }) }, text);
  const verdicts = ["reject", "accept", "doubt"].map((verdict) => make("li", {}, link(count(said.verdicts[verdict] ?? 0, verdict), { mark: verdict })));
  const reasons = Object.entries(said.reasons).map(([reason, number]) => make("li", {}, reason ? link(`${reason.replaceAll("_", " ")}: ${number}`, { mark_reason: reason }) : `without a reason: ${number}`));
  const people = Object.entries(said.people).map(([person, number]) => make("li", {}, link(`${person || "nobody"}: ${number}`, { mark_by: person })));
  body.replaceChildren(
    make("h2", {}, "Marks"), make("ul", { class: "tally" }, verdicts),
    make("h2", {}, "What they change"),
    make("p", {}, `The next run takes ${count(said.leave, "selected portrait")} out of the shards. ${said.may_return ? `It may take ${said.may_return} back that a rule of quality refused. ` : ""}${said.cannot_return ? `${count(said.cannot_return, "accepted picture stays", "accepted pictures stay")} out, since labels are missing or another rule holds. ` : ""}${said.elsewhere ? `${count(said.elsewhere, "mark is", "marks are")} of pictures that this data set does not hold.` : ""}`),
    make("p", {}, "See what would run, then run it: ", make("code", {}, `shhq-hs plan SOURCE --out ${said.place}`), " and ", make("code", {}, `shhq-hs run SOURCE --out ${said.place}`)),
    reasons.length ? make("h2", {}, "Reasons") : "", make("ul", { class: "tally" }, reasons),
    people.length ? make("h2", {}, "People") : "", make("ul", { class: "tally" }, people),
    make("p", { class: "row" }, make("label", { for: "who" }, "My marks are signed"), name),
    make("h2", {}, "The latest"),
    make("ul", { class: "latest" }, said.latest.map(([id, ...mark]) => make("li", {}, make("button", { type: "button", onclick: () => app.openSample(id) }, app.thumb(id), badge(mark), make("span", { class: "note" }, ` ${mark[2]} ${mark[3]}, ${mark[4].replace("T", " ").replace("Z", " UTC")}`))))));
}
