// Questions, actions and the one live stream. Views ask again when the stream says that what they show has changed.
let session = null;
export async function get(path, params = {}) {
  const query = new URLSearchParams(Object.entries(params).filter(([, v]) => v !== "" && v !== undefined && v !== null));
  let answer;
  try { answer = await fetch(`/api/${path}${[...query].length ? `?${query}` : ""}`); } catch { throw Object.assign(new Error("the dashboard program does not answer"), { passing: true }); }
  const body = await answer.json();
  if (!answer.ok) throw Object.assign(new Error([body.error?.field, body.error?.text].filter(Boolean).join(": ")), { passing: answer.status === 429 || answer.status >= 500 });
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
/// Listens to a stream of the server, again and again, for as long as somebody sees the page. A browser opens six connections to one
/// server for all its tabs and for the pages that it keeps for its Back button; if unseen pages held theirs, the seventh would wait.
function stream(path, listeners) {
  let source = null;
  const over = new AbortController();
  const drop = () => { source?.close(); source = null; };
  const hold = () => {
    if (over.signal.aborted || source || document.hidden) return;
    source = new EventSource(path());
    for (const [kind, listener] of Object.entries(listeners)) source.addEventListener(kind, listener);
    source.addEventListener("error", () => { drop(); setTimeout(hold, 1000); }); // not left to the browser: where it goes on has changed
  };
  addEventListener("pagehide", drop, over);
  addEventListener("pageshow", hold, over);
  document.addEventListener("visibilitychange", () => (document.hidden ? drop() : hold()), over);
  hold();
  return () => { over.abort(); drop(); };
}
export function startLive() {
  let last = ""; // event seen: a stream that is opened again goes on behind it
  stream(() => `/api/live${last && `?from=${last}`}`, {
    open: () => { live.connected = true; tell({ events: [], jobs: [], nodes: false, link: true, all: true }); },
    error: () => { live.connected = false; tell({ events: [], jobs: [], nodes: false, link: true }); },
    gap: () => tell({ events: [], jobs: [], nodes: true, all: true }),
    tick: (message) => {
      const news = JSON.parse(message.data);
      last = message.lastEventId || last;
      if (news.figures) live.figures = news.figures;
      tell(news);
    },
  });
}
/// Calls `load` at once, but one call begins at least `pause` ms after the one before, when that has ended; the last wish is never left out.
export function throttle(load, pause = 1000) {
  let due = null, running = false, again = false, last = -pause;
  const run = async () => {
    due = null; running = true; last = performance.now();
    try { await load(); } finally { running = false; if (again) { again = false; plan(); } }
  };
  const plan = () => { due ??= setTimeout(run, Math.max(0, last + pause - performance.now())); };
  return () => { if (running) again = true; else plan(); };
}
/// The same for who types: an answer to what is no longer asked never comes last.
export const searching = (load) => throttle(() => load().catch(() => {}), 150);
/// Output of one attempt, piece by piece, until it has ended. Returns a function that stops it.
export function follow(params, onPiece) {
  let offset = 0;
  const stop = stream(() => `/api/follow?${new URLSearchParams({ ...params, offset })}`, {
    piece: (m) => { const piece = JSON.parse(m.data); offset = piece.next; if (piece.ended) stop(); onPiece(piece); },
    trouble: (m) => { stop(); onPiece({ text: "", trouble: JSON.parse(m.data).text, ended: true }); },
  });
  return stop;
}
