// Marks: made at once on the page, sent at once to the server, kept here until it has said that they are on the disk.

export const marks = { pending: new Map(), undo: [], lastReason: "", reasons: [] };
let app, queue = [], sending = false, retry = 0, refused = "";

export function begin(theApp) {
  app = theApp;
  app.marks = marks;
  queue = leftBehind();
  for (const one of queue) marks.pending.set(one.id, asList(one));
  app.get("api/marks").then((said) => { marks.reasons = said.suggested; }).catch(() => {});
  addEventListener("beforeunload", (event) => { if (queue.length) event.preventDefault(); });
  send();
}

// The mark of a row as it will be: [verdict, reason, note, who, when] or null.
export const markOf = (row) => {
  const mark = marks.pending.has(row.id) ? marks.pending.get(row.id) : row.mark;
  return mark && mark[0] !== "none" ? mark : null;
};

// Mark rows ({id, mark}); what was said of them before can be brought back with undo().
export function mark(rows, verdict, reason = "", note = "") {
  marks.undo.push(rows.map((row) => ({ id: row.id, before: markOf(row) })));
  if (reason) marks.lastReason = reason;
  if (reason && !marks.reasons.includes(reason)) marks.reasons.unshift(reason);
  add(rows.map((row) => ({ id: row.id, verdict, reason, note })));
}

export function undo() {
  const last = marks.undo.pop();
  if (!last) return [];
  add(last.map(({ id, before }) => ({ id, verdict: before?.[0] ?? "none", reason: before?.[1] ?? "", note: before?.[2] ?? "" })));
  return last.map(({ id }) => id);
}

export const who = () => localStorage.getItem("who") || app.start.who;
export const setWho = (name) => localStorage.setItem("who", name.trim());

function add(made) {
  for (const one of made) {
    one.who = who();
    marks.pending.set(one.id, asList(one));
    queue.push(one);
  }
  keep();
  changed(made.map((one) => one.id));
  send();
}

async function send() {
  say();
  if (sending || !queue.length) return;
  sending = true;
  const batch = queue.slice(0, 2000);
  try {
    const { marks: stored } = await app.post("api/marks", { marks: batch });
    refused = "";
    retry = 0;
    done(batch, stored);
  } catch (error) {
    if (error.status === 400) { // no such mark can be: it would be refused for ever
      app.problem(error);
      done(batch, {});
    } else {
      refused = error.status ? error.message : "The viewer does not answer.";
      retry = Math.min(2000, retry + 250);
      setTimeout(send, retry);
      sending = false;
      say();
      return;
    }
  }
  sending = false;
  send();
}

function done(batch, stored) {
  queue = queue.slice(batch.length);
  keep();
  const waiting = new Set(queue.map((one) => one.id));
  const ids = [...new Set(batch.map((one) => one.id))].filter((id) => !waiting.has(id));
  for (const id of ids) marks.pending.delete(id);
  changed(ids, stored);
}

function changed(ids, stored = {}) {
  dispatchEvent(new CustomEvent("marked", { detail: { ids, stored } }));
}

function say() {
  const place = document.getElementById("saved"), count = queue.length;
  const word = count === 1 ? "mark" : "marks";
  place.dataset.state = refused ? "refused" : count ? "sending" : "saved";
  place.textContent = refused ? `${count} ${word} not saved yet. ${refused}` : count ? `saving ${count} ${word}` : "all marks saved";
}

// What is not saved yet outlives the page: it is sent when the viewer is opened at the same address again.
const key = () => `pending ${app.start.name}`;
function keep() {
  if (queue.length) localStorage.setItem(key(), JSON.stringify(queue)); else localStorage.removeItem(key());
}
function leftBehind() {
  try {
    return JSON.parse(localStorage.getItem(key()) || "[]").filter((one) => /^[0-9a-f]{32}$/.test(one.id));
  } catch {
    return [];
  }
}
const asList = (one) => [one.verdict, one.reason, one.note, one.who ?? "", ""];
