// Views of the cluster: overview, nodes, one node, queues.
import { get, live, onNews, searching } from "./api.js";
import { button } from "./acts.js";
import { heatMap, sparkline } from "./charts.js";
import { ago, clock, cores, count, date, el, empty, eventItem, fill, heading, isFew, meter, plural, progress, properties, sheet, size, span, state, table, when } from "./dom.js";

const rates = []; // of finished tasks a second, one each sample of figures
let last = null;
onNews((news) => {
  const s = news.figures?.stats;
  if (!s) return;
  const now = performance.now(), done = s.succeeded + s.failed + s.cancelled;
  if (last && now > last.now) { rates.push(Math.max(0, done - last.done) / ((now - last.now) / 1000)); if (rates.length > 120) rates.shift(); }
  last = { now, done };
});

export function overview(main) {
  const figures = el("div", { cls: "figures", id: "figures" }), use = el("div", {}), spark = el("div", {}), master = el("div", {}), list = el("ol", { cls: "events" }), jobs = el("div", {});
  const note = el("p", {}, "");
  main.append(el("div", { cls: "top" }, el("div", {}, el("h1", { tabindex: "-1" }, "Overview"), note)), figures,
    el("div", { cls: "grid" }, sheet("Booked", "of all nodes that are up", use), sheet("Throughput", "tasks ended a second, since this page was opened", spark)),
    el("div", { cls: "grid" }, sheet("Jobs", el("a", { href: "#/jobs" }, "all jobs"), jobs), sheet("What happens", el("a", { href: "#/events" }, "all events"), list)), sheet("Master", null, master));
  const tell = ({ stats: s, master: m }) => {
    note.textContent = `${m.cluster} · ${plural(s.nodes_up, "node")} up · epoch ${m.epoch}`;
    const figure = (n, name, more) => el("div", { cls: "figure" }, el("b", {}, n), el("span", {}, name), more ? el("small", {}, more) : null);
    fill(figures, figure(count(s.nodes_up), "nodes up", [s.nodes_draining && `${s.nodes_draining} draining`, s.nodes_suspect && `${s.nodes_suspect} suspect`, s.nodes_lost && `${s.nodes_lost} lost`].filter(Boolean).join(", ") || "all well"),
      figure(count(s.tasks_assigned), "tasks on nodes", `in ${plural(s.jobs_running, "job")}`), figure(count(s.tasks_pending), "tasks waiting", `in ${plural(s.jobs_pending, "job")} not begun`),
      figure(count(s.succeeded), "succeeded", "since the cluster began"), figure(count(s.failed), "failed", `${s.submitted ? ((100 * s.failed) / s.submitted).toFixed(s.failed ? 2 : 0) : 0} % of all`), figure(count(s.requeued), "tried again", "node lost or retried"));
    const c = s.capacity, a = s.available, named = Object.entries(c.named_milli);
    fill(use, meter("Cores", c.cpu_milli - a.cpu_milli, c.cpu_milli, `${cores(c.cpu_milli - a.cpu_milli)} of ${cores(c.cpu_milli)}`),
      meter("Memory", c.memory_bytes - a.memory_bytes, c.memory_bytes, `${size(c.memory_bytes - a.memory_bytes)} of ${size(c.memory_bytes)}`),
      ...(c.disk_bytes ? [meter("Disk", c.disk_bytes - a.disk_bytes, c.disk_bytes, `${size(c.disk_bytes - a.disk_bytes)} of ${size(c.disk_bytes)}`)] : []),
      ...named.map(([k, v]) => meter(k, v - (a.named_milli[k] ?? 0), v, `${cores(v - (a.named_milli[k] ?? 0))} of ${cores(v)}`)));
    fill(spark, sparkline(rates.length > 1 ? rates : [0, 0], "Tasks ended a second"), el("p", { cls: "rest" }, rates.length ? `now ${count(Math.round(rates.at(-1) * 10) / 10)} a second, at most ${count(Math.round(Math.max(...rates) * 10) / 10)}` : "waiting for figures"));
    fill(master, properties([["Master", `${m.master} (${m.program}), ${m.role}`], ["Up for", span(s.uptime_us)], ["Takes work", m.accepting ? "yes" : state("failed")], ["Journal", `${m.journal}; ${count(m.seq)} entries, durable to ${count(m.durable)}`], ["Snapshot", m.snapshot ? `at entry ${count(m.snapshot)}` : "none yet"]]));
  };
  const show = (events, fresh) => { list.prepend(...events.slice(-14).reverse().map((e) => eventItem(e, fresh))); while (list.children.length > 14) list.lastChild.remove(); };
  return {
    async load() {
      const answer = await get("overview");
      if (answer.error) throw new Error(answer.error);
      tell(answer);
      if (!list.children.length) show(answer.events, false);
      const { jobs: rows } = await get("jobs", { limit: 8 });
      fill(jobs, rows.length ? table("Newest jobs", [["Job", (j) => el("a", { href: `#/job/${j.progress.job}` }, j.name || `job ${j.progress.job}`), { clip: true }], ["State", (j) => state(j.progress.state)], ["Progress", (j) => progress(j.progress)]], rows) : empty("No jobs yet: reeve submit -- echo hello"));
    },
    news(news) { if (news.figures?.stats) tell(news.figures); if (news.events.length) show(news.events, isFew(news.events)); },
    wants: (news) => news.jobs.length > 0,
  };
}

const nodeLink = (n) => el("a", { href: `#/node/${encodeURIComponent(n.name)}` }, n.name);
export function nodes(main, query) {
  const want = { q: query.get("q") ?? "", state: query.get("state") ?? "", sort: "name", down: 0, offset: 0, limit: 50 };
  const map = el("div", {}), list = el("div", {}), note = el("p", {});
  let measure = "booked";
  const tab = (key, title) => el("button", { type: "button", "aria-pressed": String(measure === key), onclick: (e) => { measure = key; e.target.parentNode.querySelectorAll("button").forEach((b) => b.setAttribute("aria-pressed", String(b === e.target))); drawMap(); } }, title);
  const again = searching(() => loadList()), change = (o) => { Object.assign(want, { offset: 0 }, o); again(); };
  const search = el("input", { type: "search", value: want.q, placeholder: "name or label", oninput: (e) => change({ q: e.target.value }) });
  const chosen = el("select", { onchange: (e) => change({ state: e.target.value }) }, ["", "up", "draining", "quarantined", "suspect", "lost", "gone"].map((s) => el("option", { value: s }, s || "any state")));
  chosen.value = want.state;
  const sort = el("select", { onchange: (e) => { const [s, d] = e.target.value.split(" "); change({ sort: s, down: d ? 1 : 0 }); } }, [["name", "name"], ["booked down", "most booked"], ["used down", "most used"], ["tasks down", "most tasks"], ["heard", "longest silent"], ["state down", "state"]].map(([v, t]) => el("option", { value: v }, t)));
  main.append(el("div", { cls: "top" }, el("div", {}, el("h1", { tabindex: "-1" }, "Nodes"), note)),
    el("section", { cls: "sheet" }, el("div", { cls: "row spread" }, el("div", { cls: "tabs", role: "group", "aria-label": "What the colours show" }, tab("booked", "Booked"), tab("used", "Measured")), el("span", { cls: "rest" }, "0 ", el("span", { cls: "ramp" }), " 100 %")), el("p", {}, "\u00a0"), map),
    el("section", { cls: "sheet" }, el("div", { cls: "filters" }, el("label", {}, "Search", search), el("label", {}, "State", chosen), el("label", {}, "Order", sort)), el("p", {}, "\u00a0"), list));
  let heat = null;
  const drawn = heatMap((name) => { location.hash = `#/node/${encodeURIComponent(name)}`; });
  const drawMap = () => {
    if (!heat.names.length) { map.replaceChildren(empty("No node yet: reeve-agent --master …")); return; }
    if (map.firstChild !== drawn.node) map.replaceChildren(drawn.node);
    drawn.show(heat.names, heat.cells, measure);
  };
  async function loadList() {
    const page = await get("nodes", want);
    note.textContent = `${plural(page.total, "node")}: ${Object.entries(page.states).map(([k, v]) => `${count(v)} ${k}`).join(", ") || "none"}`;
    fill(list, page.nodes.length ? table("Nodes", [["Node", nodeLink], ["State", (n) => state(n.shown)], ["Booked", (n) => meterBar(n.booked)], ["Measured", (n) => meterBar(n.used_percent)], ["Tasks", (n) => count(n.tasks), { n: true }], ["Cores", (n) => cores(n.capacity.cpu_milli), { n: true, wide: true }], ["Memory", (n) => size(n.capacity.memory_bytes), { n: true, wide: true }], ["Labels", (n) => Object.entries(n.labels).map(([k, v]) => `${k}=${v}`).join(" "), { wide: true, clip: true }], ["Heard", (n) => when(n.heard_us), { wide: true }]], page.nodes) : empty("No node like this"),
      pager(want, page.matching, (offset) => { want.offset = offset; loadList().catch(() => {}); }));
  }
  const loadMap = async () => { // names change rarely, and are most of it
    const fresh = await get("heat", { known: heat?.version });
    heat = { ...fresh, names: fresh.names ?? heat.names };
    drawMap();
  };
  return { async load() { await Promise.all([loadMap(), loadList()]); }, leave: drawn.leave, wants: (news) => news.nodes || news.jobs.length > 0 || news.figures };
}
const meterBar = (part) => el("div", { cls: "bar", role: "img", "aria-label": `${part} %`, title: `${part} %` }, el("i", { cls: "run", style: { width: `${part}%` } }));
export function pager(want, total, go) {
  const end = Math.min(total, want.offset + want.limit);
  return el("div", { cls: "pager" }, el("span", {}, total ? `${count(want.offset + 1)} to ${count(end)} of ${count(total)}` : ""),
    el("span", { cls: "row" }, el("button", { type: "button", disabled: want.offset === 0, onclick: () => go(Math.max(0, want.offset - want.limit)) }, "Before"), el("button", { type: "button", disabled: end >= total, onclick: () => go(want.offset + want.limit) }, "After")));
}

export function node(main, query, name) {
  const head = el("div", {}), use = el("div", {}), facts = el("div", {}), past = el("div", {});
  main.append(el("p", { cls: "crumb" }, el("a", { href: "#/nodes" }, "Nodes")), head, el("div", { cls: "grid" }, sheet("Use", null, use), sheet("About", null, facts)), sheet("What it went through", "newest first", past));
  const view = {
    async load() {
      const n = await get("node", { name });
      fill(head, heading(name, n.reason, button(n.draining ? "undrain" : "drain", name, { nodes: [name] }, () => view.load())));
      const c = n.capacity, booked = (k) => c[k] - n.available[k];
      fill(use, meter("Cores booked", booked("cpu_milli"), c.cpu_milli, `${cores(booked("cpu_milli"))} of ${cores(c.cpu_milli)}`), meter("measured", n.used.cpu_milli, c.cpu_milli, cores(n.used.cpu_milli), "good"),
        meter("Memory booked", booked("memory_bytes"), c.memory_bytes, `${size(booked("memory_bytes"))} of ${size(c.memory_bytes)}`), meter("measured", n.used.memory_bytes, c.memory_bytes, size(n.used.memory_bytes), "good"));
      fill(facts, properties([["State", state(n.shown)], ["Tasks", count(n.tasks)], ["Leases", n.leases ? count(n.leases) : ""], ["Labels", Object.entries(n.labels).map(([k, v]) => `${k}=${v}`).join(", ")], ["Program", n.program], ["Registered", date(n.registered_us)], ["Last heard", ago(n.heard_us)], ["Quarantined", n.quarantined_us ? `until ${date(n.quarantined_us)}` : ""], ["Closed", n.closed ? "above the high mark of use" : ""]]));
      const h = n.history;
      fill(past, h?.rows.length ? rowsTable("What the node went through", h, ["time_us", "state", "reason"]) : empty("Nothing recorded yet"));
    },
    wants: (news) => news.nodes || Boolean(news.figures),
  };
  return view;
}
export function rowsTable(label, answer, wanted) {
  const at = (name) => answer.columns.indexOf(name);
  return table(label, wanted.filter((c) => at(c) >= 0).map((c) => [c.replace(/_(us|bytes)$/, "").replaceAll("_", " "), (row) => cell(c, row[at(c)]), { n: /^(tasks|succeeded|failed|cancelled|attempts|jobs|lost)$|wait_us|ran_us|wall_us|cpu_us|_bytes$/.test(c) }]), answer.rows);
}
export function cell(column, value) {
  if (value === "" || value === undefined) return "";
  if (column === "state" || column === "cause") return state(value);
  if (column === "job") return el("a", { href: `#/job/${value}` }, value);
  if (column === "node") return el("a", { href: `#/node/${encodeURIComponent(value)}` }, value);
  if (/wait_us|ran_us|wall_us|cpu_us$/.test(column)) return span(Number(value));
  if (/^day_us/.test(column)) return new Date(Number(value) / 1000).toLocaleDateString();
  if (/_us$/.test(column)) return when(Number(value));
  if (/_bytes$/.test(column)) return size(Number(value));
  return /^\d+$/.test(value) ? count(Number(value)) : value;
}

export function queues(main) {
  const list = el("div", { cls: "grid" });
  main.append(heading("Queues", "what waits, and when it is expected to start"), list);
  const forecast = (f) => {
    if (!f?.explain) return "";
    const link = el("a", { href: `#/task/${f.job}/${f.index}` }, `${f.job}/${f.index}`);
    return [f.explain.start_us ? `${ago(f.explain.start_us)}, at ${clock(f.explain.start_us)} ` : "not known ", "(", link, f.explain.ahead ? `, ${count(f.explain.ahead)} ahead)` : ")"];
  };
  return {
    async load() {
      const { queues: rows } = await get("queues");
      fill(list, ...rows.map((q) => {
        const p = { assigned: q.running, pending: q.waiting, total: q.running + q.waiting || 1 };
        return sheet(q.name, el("a", { href: `#/jobs?queue=${encodeURIComponent(q.name)}` }, "its jobs"), progress(p, true), el("p", {}, "\u00a0"),
          properties([["State", q.paused ? state("paused") : ""], ["On nodes", plural(q.running, "task")], ["Waiting", plural(q.waiting, "task")], ["Order", [q.order, q.ranking, `backfill ${q.backfill}`].join(", ")], ["Limit", q.limit],
            ["Oldest", q.next ? `waits since ${ago(q.next.submitted_us)}` : ""], ["Next starts", q.next ? forecast(q.next) : ""], ["Last starts", q.last ? forecast(q.last) : ""], ["Why", q.next?.explain?.summary ?? ""]]));
      }));
    },
    wants: (news) => news.jobs.length > 0 || news.events.some((e) => e.kind === "config.changed"),
  };
}
