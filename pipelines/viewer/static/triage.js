// Marking by keys and buttons: the same in the grid and in an open picture.
import { make } from "./app.js";
import { mark, marks, undo } from "./marks.js";

// Does what a key asks of `rows`; returns "marked", "asked" (a dialog is open), "undone" or "" when the key is none of these.
export function triage(event, rows, next) {
  if (event.ctrlKey) return false;
  const simple = { a: "accept", d: "doubt", c: "none" }[event.key];
  if (event.key === "u") { next(undo()); return true; }
  if (!rows.length) return false;
  if (simple) { mark(rows, simple); next(null); return true; }
  if (event.key === "x") { mark(rows, "reject", marks.lastReason); next(null); return true; }
  if (event.key === "r") { askReason(rows, next); return true; }
  if (event.key === "n") { askNote(rows, next); return true; }
  return false;
}

const GLYPHS = { accept: "✓", reject: "✕", doubt: "?" };
export const badge = (said) => said && make("span", { class: `badge ${said[0]}` },
  make("span", { "aria-hidden": "true" }, GLYPHS[said[0]] ?? ""), ` ${said[0]}${said[1] ? `: ${said[1].replaceAll("_", " ")}` : ""}`);

export function buttons(rowsOf, next) {
  const press = (key) => () => triage({ key }, rowsOf(), next);
  return make("div", { class: "triage" }, [["accept", "a"], ["reject…", "r"], ["doubt", "d"], ["note…", "n"], ["clear", "c"], ["undo", "u"]]
    .map(([title, key]) => make("button", { type: "button", "data-does": title.replace("…", ""), onclick: press(key), title: `${title.replace("…", "")} (${key})` }, title)));
}

function ask(title, content, done) {
  const dialog = make("dialog", { class: "ask", "aria-label": title });
  dialog.append(make("h2", {}, title), content);
  dialog.addEventListener("close", () => { dialog.remove(); });
  dialog.addEventListener("keydown", (event) => event.stopPropagation());
  document.body.append(dialog);
  dialog.showModal();
  return (value) => { dialog.close(); done(value); };
}

function askReason(rows, next) {
  const offered = marks.reasons.slice(0, 9);
  const input = make("input", { id: "reason", maxlength: 40, autocomplete: "off", list: "reasons", spellcheck: "false" });
  const finish = (reason) => close(reason);
  const form = make("form", { onsubmit: (event) => { event.preventDefault(); finish(asReason(input.value) || marks.lastReason); } },
    make("ol", { class: "reasons" }, offered.map((reason, i) => make("li", {}, make("button", { type: "button", onclick: () => finish(reason) },
      make("kbd", {}, String(i + 1)), ` ${reason.replaceAll("_", " ")}`)))),
    make("label", { for: "reason" }, marks.lastReason ? `In words, or Enter for “${marks.lastReason.replaceAll("_", " ")}”` : "In words"), input,
    make("div", { class: "row" }, make("button", {}, "Reject"), make("button", { type: "button", onclick: (event) => event.target.closest("dialog").close() }, "Cancel")));
  input.addEventListener("keydown", (event) => {
    const chosen = !input.value && /^[1-9]$/.test(event.key) ? offered[Number(event.key) - 1] : "";
    if (chosen) { event.preventDefault(); finish(chosen); }
  });
  const close = ask(`Reject ${rows.length > 1 ? `${rows.length} pictures` : "this picture"}: why?`, form, (reason) => { mark(rows, "reject", reason); next(null); });
  input.focus();
}

function askNote(rows, next) {
  const before = rows.length === 1 ? marks.pending.get(rows[0].id) ?? rows[0].mark : null;
  const area = make("textarea", { id: "note", maxlength: 2000, rows: 4 });
  area.value = before?.[2] ?? "";
  const form = make("form", { onsubmit: (event) => { event.preventDefault(); close(area.value); } },
    make("label", { for: "note" }, "Your note; the verdict stays, without one it is a doubt"), area,
    make("div", { class: "row" }, make("button", {}, "Save"), make("button", { type: "button", onclick: (event) => event.target.closest("dialog").close() }, "Cancel")));
  area.addEventListener("keydown", (event) => { if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) close(area.value); });
  const close = ask("Note", form, (note) => {
    const verdict = before && before[0] !== "none" ? before[0] : "doubt";
    mark(rows, verdict, before?.[1] ?? "", note);
    next([]);
  });
  area.focus();
}

// As the server takes it: a short word.
export const asReason = (text) => text.trim().toLowerCase().replace(/[^a-z0-9_.-]+/g, "_").replace(/^[^a-z0-9]+|_+$/g, "").slice(0, 40);
