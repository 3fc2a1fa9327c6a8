// Elements and words: how values look to a person. No state, no requests.
export function el(tag, props = {}, ...children) {
  const node = tag === "svg" || el.svg.has(tag) ? document.createElementNS("http://www.w3.org/2000/svg", tag) : document.createElement(tag);
  for (const [name, value] of Object.entries(props ?? {})) {
    if (value === undefined || value === null || value === false) continue;
    if (name.startsWith("on")) { node.addEventListener(name.slice(2), value); node.acts = true; }
    else if (name === "style") for (const [k, v] of Object.entries(value)) node.style.setProperty(k, v);
    else if (name === "value") node.value = value;
    else node.setAttribute(name === "cls" ? "class" : name, value === true ? "" : value);
  }
  for (const child of shown(children)) { node.append(child); if (child.acts) node.acts = true; }
  return node;
}
const shown = (children) => children.flat(9).filter((c) => c !== null && c !== undefined && c !== false && c !== "");
/// Gives `node` these children, and touches only what differs from those that it has: what is the same is neither laid out nor painted anew,
/// and keeps its focus and selection. What acts, or holds something that does, is replaced: its listener may know something newer.
export function fill(node, ...children) {
  const fresh = shown(children).map((c) => (c instanceof Node ? c : document.createTextNode(c)));
  while (node.childNodes.length > fresh.length) node.lastChild.remove();
  let old = node.firstChild;
  for (const child of fresh) {
    const next = old?.nextSibling;
    if (!old) node.append(child);
    else if (!patched(old, child)) old.replaceWith(child);
    old = next;
  }
}
/// Whether `old` is now like `fresh`.
function patched(old, fresh) {
  if (old.acts || fresh.acts || old.nodeName !== fresh.nodeName) return false;
  if (old.isEqualNode(fresh)) return true;
  if (old.nodeType === Node.TEXT_NODE) { old.data = fresh.data; return true; }
  for (const name of old.getAttributeNames()) if (!fresh.hasAttribute(name)) old.removeAttribute(name);
  for (const name of fresh.getAttributeNames()) {
    const value = fresh.getAttribute(name);
    if (old.getAttribute(name) === value) continue;
    if (name === "style") old.style.cssText = value; // as an attribute our policy of content forbids it
    else old.setAttribute(name, value);
  }
  fill(old, ...fresh.childNodes);
  return true;
}
el.svg = new Set(["g", "path", "rect", "line", "text", "circle", "polyline", "title"]);

const exact = new Intl.NumberFormat("en");
const short = new Intl.NumberFormat("en", { notation: "compact", maximumFractionDigits: 1 });
export const count = (n) => (n < 100000 ? exact.format(n) : short.format(n));
export const plural = (n, word) => `${count(n)} ${word}${n === 1 ? "" : "s"}`;
export function size(bytes) {
  const units = ["B", "KiB", "MiB", "GiB", "TiB", "PiB"];
  let k = 0;
  while (bytes >= 1024 && k < 5) { bytes /= 1024; k += 1; }
  return `${bytes < 10 && k ? bytes.toFixed(1) : Math.round(bytes)} ${units[k]}`;
}
const tenths = new Intl.NumberFormat("en", { maximumFractionDigits: 1 });
export const cores = (milli) => tenths.format(milli / 1000);
export function span(us) {
  const s = us / 1e6;
  if (s < 0.001) return `${Math.round(us)} µs`;
  if (s < 1) return `${Math.round(s * 1000)} ms`;
  if (s < 60) return `${s < 10 ? s.toFixed(1) : Math.round(s)} s`;
  if (s < 3600) return `${Math.floor(s / 60)} min ${String(Math.floor(s % 60)).padStart(2, "0")} s`;
  if (s < 86400) return `${Math.floor(s / 3600)} h ${String(Math.floor((s % 3600) / 60)).padStart(2, "0")} min`;
  return `${Math.floor(s / 86400)} d ${Math.floor((s % 86400) / 3600)} h`;
}
const clocks = new Intl.DateTimeFormat([], { hour12: false, hour: "numeric", minute: "numeric", second: "numeric" }); // to make one takes long
const dates = new Intl.DateTimeFormat([], { hour12: false, dateStyle: "medium", timeStyle: "medium" });
export const clock = (us) => (us ? clocks.format(us / 1000) : "");
export const date = (us) => (us ? dates.format(us / 1000) : "");
export function ago(us) {
  if (!us) return "";
  const passed = Date.now() * 1000 - us;
  return passed < 0 ? `in ${span(-passed)}` : passed < 2e6 ? "now" : `${span(passed)} ago`;
}
export const when = (us) => (us ? el("time", { datetime: new Date(us / 1000).toISOString(), title: date(us) }, ago(us)) : "");

const hues = {
  succeeded: "good", none: "good", up: "good", running: "run", assigned: "run", pending: "wait", failed: "bad", lost: "bad",
  suspect: "bad", interrupted: "bad", cancelled: "gone", gone: "gone", held: "held", draining: "held", quarantined: "held",
};
export const hue = (state) => hues[state] ?? (/fail|lost|error|signal|exit|limit|memory/.test(state) ? "bad" : "gone");
const words = { assigned: "on a node", none: "succeeded", exit_code: "exit code", lost_node: "node lost", time_limit: "time limit" };
export const state = (name) => el("span", { cls: `state ${hue(name)}` }, words[name] ?? name.replaceAll("_", " "));

export const parts = ["succeeded", "assigned", "pending", "held", "interrupted", "failed", "cancelled"];
export function progress(p, tall = false) {
  const shown = parts.filter((k) => p[k]);
  const label = shown.map((k) => `${count(p[k])} ${words[k] ?? k}`).join(", ") || "nothing yet";
  return el("div", { cls: tall ? "bar tall" : "bar", role: "img", "aria-label": label, title: label },
    shown.map((k) => el("i", { cls: hue(k), style: { width: `${(100 * p[k]) / p.total}%` } })));
}
export function meter(name, used, whole, text, tone = "run") {
  const part = whole > 0 ? Math.min(100, (100 * used) / whole) : 0;
  return el("div", { cls: "meter" }, el("span", {}, name),
    el("div", { cls: "bar", role: "meter", "aria-label": name, "aria-valuemin": 0, "aria-valuemax": 100, "aria-valuenow": Math.round(part) },
      el("i", { cls: tone, style: { width: `${part}%` } })), el("span", {}, text));
}
export const empty = (text) => el("p", { cls: "empty" }, text);
/// columns: [title, value(row) → node, {n: number, wide: only on wide screens, clip}]
export function table(label, columns, rows) {
  const cls = (o) => [o?.n && "n", o?.wide && "wide-only", o?.clip && "clip"].filter(Boolean).join(" ") || null;
  return el("div", { cls: "scroll" }, el("table", { "aria-label": label },
    el("thead", {}, el("tr", {}, columns.map(([title, , o]) => el("th", { scope: "col", cls: cls(o), "aria-sort": o?.sort }, title)))),
    el("tbody", {}, rows.map((row) => el("tr", {}, columns.map(([, value, o]) => el("td", { cls: cls(o) }, value(row))))))));
}
export const properties = (pairs) => el("dl", {}, pairs.filter(([, v]) => v !== "" && v !== null && v !== undefined && v !== false)
  .map(([k, v]) => [el("dt", {}, k), el("dd", {}, v)]));
export const sheet = (title, note, ...rest) => el("section", { cls: "sheet" }, el("h2", {}, title, note ? el("small", {}, note) : null), ...rest);
export const heading = (title, note, ...right) => el("div", { cls: "top" }, el("div", {}, el("h1", { tabindex: "-1" }, title), note ? el("p", {}, note) : null), el("div", { cls: "row" }, ...right));

export function eventText(e) {
  const rest = [];
  if (e.job) rest.push(el("a", { href: `#/job/${e.job}` }, `job ${e.job}`), " ");
  if (e.queue) rest.push(e.queue, " ");
  if (e.node) rest.push(el("a", { href: `#/node/${encodeURIComponent(e.node)}` }, e.node), " ");
  rest.push([e.name, e.text, ...Object.entries(e.numbers ?? {}).map(([k, v]) => `${k} ${/_us$/.test(k) ? date(v) : v}`)].filter(Boolean).join(" · "));
  const tone = /failed|lost|given_up|gap/.test(e.kind) ? "bad" : /succeeded/.test(e.kind) || (e.kind === "job.ended" && e.name === "succeeded") ? "good" : /held|drain|quarantin|cancel|preempt/.test(e.kind) ? "held" : /placed|started|registered/.test(e.kind) ? "run" : "wait";
  return [el("span", { cls: `state kind ${tone}` }, e.kind.replace(".", " ").replaceAll("_", " ")), " ", el("span", { cls: "rest" }, rest)];
}
/// Events one of which is told from the others: in a flood everything is fresh, and to fade each costs more than to show it.
export const isFew = (events) => events.length <= 5;
export const eventItem = (e, fresh) => el("li", { cls: fresh ? "fresh" : null, "data-seq": e.seq }, el("time", { title: date(e.time_us) }, clock(e.time_us)), el("div", {}, eventText(e)));
