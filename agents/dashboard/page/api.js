// Questions, actions and the one live stream. Views ask again when the stream says that what they show has changed.
let session = null;
export async function get(path, params = {}) {
  const query = new URLSearchParams(Object.entries(params).filter(([, v]) => v !== "" && v !== undefined && v !== null));
  let answer;
  try { answer = await fetch(`/api/${path}${[...query].length ? `?${query}` : ""}`); } catch { throw new Error("the dashboard program does not answer"); }
  const body = await answer.json();
  if (!answer.ok) throw new Error([body.error?.field, body.error?.text].filter(Boolean).join(": "));
  return body;
}
export async function rights() { return (session ??= await get("session")); }
export async function act(action) {
  const send = async () => fetch("/api/act", { method: "POST", body: JSON.stringify(action),
    headers: { "Content-Type": "application/json", "X-Reeve-Token": (await rights()).token } });
  let answer = await send();
  if (answer.status === 409 && (await answer.clone().json()).error?.field === "X-Reeve-Token") { session = null; answer = await send(); }
  const body = await answer.json();
  if (!answer.ok) throw new Error([body.error?.field, body.error?.text].filter(Boolean).join(": "));
  return body;
}

const listeners = new Set();
export const live = { connected: false, figures: null };
export function onNews(listener) { listeners.add(listener); return () => listeners.delete(listener); }
const tell = (news) => listeners.forEach((l) => l(news));
/// One connection, and only while the page is looked at: a browser has six for all pages of a server.
export function startLive() {
  let source = null, last = "";
  const close = () => { source?.close(); source = null; };
  const open = () => {
    if (source || document.hidden) return;
    source = new EventSource(last ? `/api/live?from=${last}` : "/api/live");
    source.addEventListener("open", () => { live.connected = true; tell({ events: [], jobs: [], nodes: false, link: true, all: true }); });
    source.addEventListener("error", () => {
      live.connected = false;
      tell({ events: [], jobs: [], nodes: false, link: true });
      if (source?.readyState === EventSource.CLOSED) { close(); setTimeout(open, 2000); } // refused: too many pages
    });
    source.addEventListener("gap", () => tell({ events: [], jobs: [], nodes: true, all: true }));
    source.addEventListener("tick", (message) => {
      const news = JSON.parse(message.data);
      if (message.lastEventId) last = message.lastEventId;
      if (news.figures) live.figures = news.figures;
      tell(news);
    });
  };
  document.addEventListener("visibilitychange", () => (document.hidden ? close() : open()));
  addEventListener("pagehide", close);
  addEventListener("pageshow", open);
  open();
}
/// Calls `load` at most once a second, and once more after the last wish.
export function throttle(load, pause = 1000) {
  let due = null, running = false, again = false;
  const run = async () => {
    due = null; running = true;
    try { await load(); } finally { running = false; if (again) { again = false; due = setTimeout(run, pause); } }
  };
  return () => { if (running) again = true; else due ??= setTimeout(run, pause); };
}
/// Output of one attempt, piece by piece, until it has ended. Returns a function that stops it.
export function follow(params, onPiece) {
  const source = new EventSource(`/api/follow?${new URLSearchParams(params)}`);
  source.addEventListener("piece", (m) => { const piece = JSON.parse(m.data); onPiece(piece); if (piece.ended) source.close(); });
  source.addEventListener("trouble", (m) => { source.close(); onPiece({ text: "", trouble: JSON.parse(m.data).text, ended: true }); });
  source.addEventListener("error", () => source.close());
  addEventListener("pagehide", () => source.close(), { once: true });
  return () => source.close();
}
