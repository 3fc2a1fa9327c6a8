// Views of what was: events as they come, history with charts.
import { get, searching } from "./api.js";
import { bars } from "./charts.js";
import { count, el, empty, eventItem, fill, heading, isFew, sheet } from "./dom.js";
import { rowsTable } from "./cluster.js";

export function events(main, query) {
  const most = 200, searched = 5000; // so many are shown, and looked through
  let kind = query.get("kind") ?? "", text = query.get("q") ?? "", paused = false, held = [], all = [];
  const list = el("ol", { cls: "events" }), note = el("p", { cls: "rest", role: "status" });
  const fits = (e) => e.kind.startsWith(kind) && (!text || JSON.stringify(e).toLowerCase().includes(text.toLowerCase()));
  const add = (events) => {
    all = all.concat(events).slice(-searched);
    list.prepend(...events.filter(fits).slice(-most).reverse().map((e) => eventItem(e, isFew(events))));
    while (list.children.length > most) list.lastChild.remove();
  };
  const draw = () => {
    const found = [];
    for (let k = all.length; k > 0 && found.length < most; k -= 1) if (fits(all[k - 1])) found.push(eventItem(all[k - 1], false));
    fill(list, found);
    note.textContent = found.length ? "" : "Nothing like this has happened since the master started.";
  };
  const again = searching(async () => draw());
  const chosen = el("select", { onchange: (e) => { kind = e.target.value; again(); } }, [["", "all kinds"], ["job.", "jobs"], ["task.", "tasks"], ["task.failed", "failures"], ["node.", "nodes"], ["lease.", "leases"], ["config.", "settings"], ["master.", "master"]].map(([v, t]) => el("option", { value: v }, t)));
  chosen.value = kind;
  const pause = el("button", { type: "button", "aria-pressed": "false", onclick: () => { paused = !paused; pause.textContent = paused ? "Go on" : "Pause"; pause.setAttribute("aria-pressed", String(paused)); if (!paused) { add(held); held = []; note.textContent = ""; } } }, "Pause");
  main.append(heading("Events", "as they happen, newest first", pause), el("section", { cls: "sheet" }, el("div", { cls: "filters" }, el("label", {}, "Kind", chosen), el("label", {}, "Contains", el("input", { type: "search", value: text, oninput: (e) => { text = e.target.value; again(); } }))), note, list));
  const view = {
    async load() { all = (await get("events")).events; draw(); },
    news(news) {
      if (paused) { held = held.concat(news.events).slice(-searched); note.textContent = `${count(held.length)} more`; return; }
      if (news.skipped) note.textContent = `${count(news.skipped)} older events of this moment are not shown; reeve events has them all.`;
      add(news.events);
    },
  };
  return view;
}

const ranges = { "1 h": 3600, "24 h": 86400, "7 d": 7 * 86400, "30 d": 30 * 86400 };
export function history(main, query) {
  const want = { range: query.get("range") ?? "24 h", kind: "jobs", name: "", user: "", queue: "", state: "" };
  const chart = el("div", {}), sums = el("div", {}), rows = el("div", {}), pages = [""];
  let by = "user";
  const change = (o) => { Object.assign(want, o); pages.length = 1; pages[0] = ""; view.load().catch((e) => fill(rows, el("p", { cls: "trouble" }, e.message))); };
  const pick = (title, key, all) => { const s = el("select", { onchange: (e) => change({ [key]: e.target.value }) }, all.map((v) => el("option", { value: v }, v))); s.value = want[key]; return el("label", {}, title, s); };
  const box = (title, key, hint) => el("label", {}, title, el("input", { type: "search", placeholder: hint ?? "", onchange: (e) => change({ [key]: e.target.value }) }));
  const tabs = el("span", { cls: "tabs" }, ["user", "queue", "name", "node"].map((k) => el("button", { type: "button", "aria-pressed": String(k === by), onclick: (e) => { by = k; e.target.parentNode.querySelectorAll("button").forEach((b) => b.setAttribute("aria-pressed", String(b === e.target))); view.load().catch(() => {}); } }, k)));
  main.append(heading("History", "what has ended"), el("section", { cls: "sheet" }, el("div", { cls: "filters" }, pick("Since", "range", Object.keys(ranges)), pick("Of", "kind", ["jobs", "attempts"]), box("Name", "name", "may end in *"), box("User", "user"), box("Queue", "queue"), box("Ended as", "state", "failed"))),
    sheet("Over time", null, chart), sheet("Totals", tabs, sums), sheet("One by one", "newest first", rows));
  const view = {
    async load() {
      const seconds = ranges[want.range] ?? 86400, since = Math.floor((Date.now() / 1000 - seconds) * 1e6);
      const common = { since, kind: want.kind, name: want.name, user: want.user, queue: want.queue };
      const step = seconds > 3 * 86400 ? "day" : "hour", time = await get("history", { ...common, by: step, limit: 1000 });
      const at = (name) => time.columns.indexOf(name), n = (row, name) => (at(name) < 0 ? 0 : Number(row[at(name)] || 0));
      fill(chart, time.rows.length ? bars(time.rows.map((r) => {
        const start = new Date(n(r, `${step}_us`) / 1000), label = step === "day" ? start.toLocaleDateString([], { month: "short", day: "numeric" }) : start.toLocaleTimeString([], { hour: "2-digit", minute: "2-digit", hour12: false });
        return { label, values: { good: n(r, "succeeded"), bad: n(r, "failed"), gone: n(r, "cancelled") }, title: `${label}: ${count(n(r, "succeeded"))} succeeded, ${count(n(r, "failed"))} failed` };
      }), `${want.kind} ended each ${step}`) : empty("Nothing ended in this time"));
      const total = await get("history", { ...common, kind: by === "node" ? "attempts" : want.kind, by, limit: 50 });
      fill(sums, total.rows.length ? rowsTable("Totals", total, total.columns) : empty("Nothing"));
      const page = await get("history", { ...common, state: want.state, before: pages.at(-1), limit: 50 });
      fill(rows, page.rows.length ? rowsTable("Rows", page, want.kind === "jobs" ? ["job", "name", "user", "state", "tasks", "failed", "ended_us", "ran_us", "reason"] : ["job", "task", "attempt", "name", "node", "cause", "wall_us", "max_rss_bytes", "text"]) : empty("Nothing like this"),
        el("div", { cls: "pager" }, el("span", {}, ""), el("span", { cls: "row" }, el("button", { type: "button", disabled: pages.length === 1, onclick: () => { pages.pop(); view.load(); } }, "Newer"), el("button", { type: "button", disabled: page.next === "0", onclick: () => { pages.push(page.next); view.load(); } }, "Older"))));
    },
    wants: (news) => news.events.some((e) => e.kind === "job.ended") && pages.length === 1,
  };
  return view;
}
