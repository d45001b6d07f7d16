// The keyboard: what every key does, said once, for the keys themselves and for the help.
import { make } from "./app.js";

// [key as the browser names it, as people read it, what it does]; tabs and dialogs hand in what they do.
export const KEYS = [
  ["Pictures", [
    ["←↑→↓", "move; with Shift, choose more"], ["Enter", "open, close"], ["Ctrl A", "choose all that match"],
    ["Esc", "choose none, close"]]],
  ["Marks", [
    ["a", "accept"], ["r", "reject: then a reason, by its number or in words"], ["x", "reject with the last reason"],
    ["d", "doubt"], ["n", "note"], ["c", "clear the mark"], ["u", "undo the last mark"]]],
  ["An open picture", [
    ["← →", "the one before, the next"], ["1 – 7", "photograph, crop, super-resolved, cut out, alpha, portrait, face"],
    ["b", "before and after"], ["o", "what was found, drawn over it"], ["+ − 0", "larger, smaller, whole"]]],
  ["Everywhere", [["/", "search"], [".", "find again, with the new marks"], ["?", "this help"]]],
];
const handlers = []; // the latest first: the open dialog's before the tab's

export const handle = (name, handler) => { handlers.unshift([name, handler]); };

const typing = (target) => target.closest?.("input:not([type=checkbox],[type=radio],[type=range],[type=color]), textarea, select");

export function begin() {
  const dialog = document.getElementById("help");
  dialog.append(
    make("h2", { id: "help-title" }, "Keys"),
    make("div", { class: "key-groups" }, KEYS.map(([title, keys]) => make("div", {}, make("h3", {}, title), make("dl", {},
      keys.map(([key, what]) => [make("dt", {}, make("kbd", {}, key)), make("dd", {}, what)]).flat())))),
    make("form", { method: "dialog" }, make("button", {}, "Close")),
  );
  document.getElementById("help-button").addEventListener("click", () => dialog.showModal());
  addEventListener("keydown", (event) => {
    if (event.defaultPrevented || typing(event.target) || event.altKey || event.metaKey) return;
    if (event.key === "?") { if (!dialog.open) dialog.showModal(); event.preventDefault(); return; }
    if (dialog.open) return;
    for (const [, handler] of handlers) if (handler(event)) { event.preventDefault(); return; }
  });
}
