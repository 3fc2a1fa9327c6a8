// Views of the work: jobs with search, one job with its graph and array, one task with its attempts and output, explain.
import { follow, get, searching } from "./api.js";
import { button } from "./acts.js";
import { graph } from "./charts.js";
import { clock, cores, count, date, el, empty, fill, heading, hue, parts, plural, progress, properties, sheet, size, span, state, table, when } from "./dom.js";
import { cell } from "./cluster.js";

const final = (s) => ["succeeded", "failed", "cancelled"].includes(s);
const jobLink = (j) => el("a", { href: `#/job/${j.progress.job}` }, j.name || `job ${j.progress.job}`);

export function jobs(main, query) {
  const want = { name: query.get("name") ?? "", user: query.get("user") ?? "", queue: query.get("queue") ?? "", state: query.get("state") ?? "", ids: query.get("ids") ?? "", label: query.get("label") ?? "" };
  const list = el("div", {}), pages = [""];
  const again = searching(() => load()), change = (o) => { Object.assign(want, o); pages.length = 1; pages[0] = ""; again(); };
  const box = (title, key, hint) => el("label", {}, title, el("input", { type: "search", value: want[key], placeholder: hint, name: key, oninput: (e) => change({ [key]: e.target.value }) }));
  const chosen = el("select", { name: "state", onchange: (e) => change({ state: e.target.value }) }, [["", "any state"], ["pending,running,held", "not ended"], ["pending", "pending"], ["running", "running"], ["held", "held"], ["succeeded", "succeeded"], ["failed", "failed"], ["cancelled", "cancelled"]].map(([v, t]) => el("option", { value: v }, t)));
  chosen.value = want.state;
  main.append(heading("Jobs", "that the master holds; older ones are in the history"),
    el("section", { cls: "sheet" }, el("div", { cls: "filters" }, box("Name", "name", "may end in *"), box("Number", "ids", "5,7"), el("label", {}, "State", chosen), box("User", "user", ""), box("Queue", "queue", ""), box("Label", "label", "key=value")), el("p", {}, "\u00a0"), list));
  async function load() {
    const page = await get("jobs", { ...want, before: pages.at(-1), limit: 50 });
    fill(list, page.jobs.length ? table("Jobs", [["", (j) => count(j.progress.job), { n: true }], ["Job", jobLink, { clip: true }], ["State", (j) => state(j.progress.state)], ["Progress", (j) => progress(j.progress)], ["Tasks", (j) => count(j.progress.total), { n: true }], ["User", (j) => j.user, { wide: true }], ["Queue", (j) => j.queue, { wide: true }], ["Submitted", (j) => when(j.submitted_us)], ["Ran", (j) => (j.started_us ? span((j.ended_us || Date.now() * 1000) - j.started_us) : ""), { n: true, wide: true }], ["Reason", (j) => j.reason, { wide: true, clip: true }]], page.jobs) : empty("No job like this"),
      el("div", { cls: "pager" }, el("span", {}, ""), el("span", { cls: "row" }, el("button", { type: "button", disabled: pages.length === 1, onclick: () => { pages.pop(); load(); } }, "Newer"), el("button", { type: "button", disabled: !page.more, onclick: () => { pages.push(page.jobs.at(-1).progress.job); load(); } }, "Older"))));
  }
  return { load, wants: (news) => news.jobs.length > 0 };
}

export function job(main, query, id) {
  const head = el("div", {}), bar = el("div", {}), facts = el("div", {}), drawn = el("div", {}), tasks = el("div", {}), tiles = el("div", {});
  const graphSheet = sheet("Graph", "jobs that wait for each other", drawn), want = { job: id, from: 0, limit: 100, state: "" }, before = [];
  const chosen = el("select", { "aria-label": "State of the tasks", onchange: (e) => { Object.assign(want, { state: e.target.value, from: 0 }); before.length = 0; loadTasks().catch(() => {}); } }, [["", "all tasks"], ["pending", "waiting"], ["assigned", "on nodes"], ["failed", "failed"], ["held", "held"], ["succeeded", "succeeded"], ["cancelled", "cancelled"]].map(([v, t]) => el("option", { value: v }, t)));
  main.append(el("p", { cls: "crumb" }, el("a", { href: "#/jobs" }, "Jobs")), head, sheet("Progress", null, bar, tiles), graphSheet, sheet("Tasks", chosen, tasks), sheet("About", null, facts));
  const taskLink = (t) => el("a", { href: `#/task/${t.job}/${t.index}` }, `${t.job}/${t.index}`);
  async function loadTasks() {
    const page = await get("tasks", want);
    fill(tiles, page.tasks.length > 1 ? el("div", { cls: "tiles", role: "img", "aria-label": `Tasks ${page.tasks[0].index} to ${page.tasks.at(-1).index}` }, page.tasks.map((t) => el("a", { cls: hue(t.state), href: `#/task/${t.job}/${t.index}`, tabindex: -1, title: `${t.index}: ${t.state}`, "aria-hidden": "true" }))) : "");
    fill(tasks, page.tasks.length ? table("Tasks", [["Task", taskLink], ["State", (t) => state(t.state)], ["Node", (t) => (t.node ? el("a", { href: `#/node/${encodeURIComponent(t.node)}` }, t.node) : "")], ["Attempt", (t) => t.attempt || "", { n: true }], ["Ended by", (t) => (t.ended && t.last.cause !== "none" ? `${t.last.cause.replaceAll("_", " ")}${t.last.exit_code ? ` ${t.last.exit_code}` : ""}` : ""), { wide: true }], ["Ran", (t) => (t.ended && t.last.usage.wall_us ? span(t.last.usage.wall_us) : ""), { n: true }], ["Memory", (t) => (t.ended && t.last.usage.max_rss_bytes ? size(t.last.usage.max_rss_bytes) : ""), { n: true, wide: true }], ["Reason", (t) => t.reason || t.last.text, { wide: true, clip: true }]], page.tasks) : empty("No task like this"),
      el("div", { cls: "pager" }, el("span", {}, ""), el("span", { cls: "row" }, el("button", { type: "button", disabled: !before.length, onclick: () => { want.from = before.pop(); loadTasks(); } }, "Before"), el("button", { type: "button", disabled: !page.more, onclick: () => { before.push(want.from); want.from = page.next; loadTasks(); } }, "After"))));
  }
  const view = {
    async load() {
      const { job: j, graph: g } = await get("job", { job: id });
      const p = j.progress, s = j.spec ?? {}, again = () => view.load();
      fill(head, heading(j.name || `Job ${id}`, [state(p.state), ` · job ${id} · ${j.user} · queue ${j.queue}`], ...(final(p.state) ? [] : [button(p.state === "held" ? "release" : "hold", `job ${id}`, { jobs: [Number(id)] }, again), button("cancel", `job ${id}`, { jobs: [Number(id)] }, again)]), ...(p.failed || p.cancelled ? [button("retry", `job ${id}`, { jobs: [Number(id)] }, again)] : [])));
      fill(bar, progress(p, true), el("div", { cls: "key" }, parts.filter((k) => p[k]).map((k) => el("span", { cls: `state ${hue(k)}` }, `${count(p[k])} ${k === "assigned" ? "on nodes" : k}`)), el("span", {}, `of ${plural(p.total, "task")}`)), el("p", {}, "\u00a0"));
      graphSheet.hidden = g.length < 2;
      if (g.length > 1) fill(drawn, graph(g, Number(id)));
      fill(facts, properties([["Reason", j.reason], ["Command", s.command?.length ? el("code", {}, s.command.join(" ")) : ""], ["Executor", s.executor], ["Each task", s.resources ? `${cores(s.resources.cpu_milli)} cores, ${size(s.resources.memory_bytes)}` : ""], ["Priority", j.priority || ""], ["At once", s.max_parallel ? `at most ${count(s.max_parallel)}` : ""], ["Retries", s.retries || ""], ["Time limit", s.time_limit_us ? span(s.time_limit_us) : ""], ["Labels", Object.entries(j.labels).map(([k, v]) => `${k}=${v}`).join(", ")], ["Submitted", date(j.submitted_us)], ["Started", date(j.started_us)], ["Ended", date(j.ended_us)], ["Waited", j.started_us ? span(j.started_us - j.submitted_us) : ""], ["Ran", j.started_us ? span((j.ended_us || Date.now() * 1000) - j.started_us) : ""]]));
      await loadTasks();
    },
    wants: (news) => news.jobs.includes(Number(id)),
  };
  return view;
}

function why(e) {
  if (!e) return null;
  return el("div", {}, el("p", {}, e.summary), e.start_us || e.ahead ? el("p", { cls: "rest" }, [e.ahead ? `${count(e.ahead)} tasks before it` : "", e.start_us ? `expected to start at ${clock(e.start_us)}` : ""].filter(Boolean).join(", ")) : null,
    Object.keys(e.nodes).length ? table("Why nodes do not take it", [["Nodes", ([, n]) => count(n), { n: true }], ["cannot take it because of", ([k]) => k]], Object.entries(e.nodes).sort((a, b) => b[1] - a[1])) : null, e.notes.length ? el("ul", {}, e.notes.map((n) => el("li", {}, n))) : null);
}

export function task(main, query, id, index) {
  const head = el("div", {}), line = el("div", {}), facts = el("div", {}), reason = el("div", {}), log = el("pre", { cls: "log", tabindex: 0, "aria-label": "Output" }), note = el("span", { cls: "rest" });
  const whySheet = sheet("Why it waits", null, reason);
  let stream = "stdout", attempt = 0, stop = null, shown = -1;
  const tab = (key) => el("button", { type: "button", "aria-pressed": String(key === stream), onclick: (e) => { stream = key; e.target.parentNode.querySelectorAll("button").forEach((b) => b.setAttribute("aria-pressed", String(b === e.target))); read(); } }, key);
  main.append(el("p", { cls: "crumb" }, el("a", { href: "#/jobs" }, "Jobs"), " / ", el("a", { href: `#/job/${id}` }, `job ${id}`)), head, sheet("Attempts", null, line), whySheet,
    sheet("Output", el("span", { cls: "tabs" }, tab("stdout"), tab("stderr")), log, note), sheet("Last attempt", null, facts));
  function read() {
    stop?.();
    log.replaceChildren();
    if (!attempt) { note.textContent = "It has not been given to a node yet."; return; }
    note.textContent = "reading";
    stop = follow({ job: id, index, attempt, stream }, (piece) => {
      if (piece.dropped) log.append(`\n[${count(piece.dropped)} bytes were not kept]\n`);
      const bottom = log.scrollTop + log.clientHeight > log.scrollHeight - 30;
      log.append(piece.text);
      if (bottom) log.scrollTop = log.scrollHeight;
      note.textContent = piece.trouble ?? (piece.ended ? (log.textContent ? "the end" : "nothing was written") : "live");
    });
  }
  const view = {
    async load() {
      const { task: t, attempts: h, explain: e } = await get("task", { job: id, index });
      const one = { tasks: [{ job: Number(id), index: Number(index) }] }, again = () => view.load();
      fill(head, heading(`Task ${id}/${index}`, [state(t.state), t.node ? " on " : "", t.node ? el("a", { href: `#/node/${encodeURIComponent(t.node)}` }, t.node) : "", t.reason ? ` · ${t.reason}` : ""], ...(final(t.state) ? (t.state === "succeeded" ? [] : [button("retry", `task ${id}/${index}`, one, again)]) : [button("cancel", `task ${id}/${index}`, one, again)])));
      const at = (name) => h.columns.indexOf(name), rows = (h?.rows ?? []).slice().reverse().map((r) => ({ attempt: r[at("attempt")], node: r[at("node")], cause: r[at("cause")], from: Number(r[at("started_us")] || r[at("recorded_us")]), to: Number(r[at("ended_us")] || r[at("recorded_us")]), text: r[at("text")] }));
      if (t.state === "assigned" && !rows.some((r) => Number(r.attempt) >= t.attempt)) rows.push({ attempt: t.attempt, node: t.node, cause: "running", from: rows.at(-1)?.to ?? Date.now() * 1000, to: Date.now() * 1000, text: "" });
      const first = Math.min(...rows.map((r) => r.from)), width = Math.max(1, Math.max(...rows.map((r) => r.to)) - first);
      fill(line, rows.length ? el("div", { cls: "lines" }, rows.map((r) => [el("span", {}, `${r.attempt}. on ${r.node || "?"}`), el("div", { cls: "line", role: "img", "aria-label": `attempt ${r.attempt}: ${r.cause}` }, el("i", { cls: hue(r.cause), style: { left: `${(98 * (r.from - first)) / width}%`, width: `${(98 * (r.to - r.from)) / width}%` } })), el("span", {}, r.cause === "running" ? state("running") : [state(r.cause), ` ${span(Math.max(0, r.to - r.from))}`])])) : empty("No attempt has begun"));
      whySheet.hidden = !e || t.state === "assigned";
      if (e) fill(reason, why(e));
      const l = t.last;
      fill(facts, t.ended ? properties([["Ended by", state(l.cause)], ["Exit code", ["none", "exit_code"].includes(l.cause) ? String(l.exit_code) : ""], ["Signal", l.signal || ""], ["Said", l.text], ["Started", date(l.started_us)], ["Ended", date(l.ended_us)], ["Wall time", l.usage.wall_us ? span(l.usage.wall_us) : ""], ["CPU time", l.usage.wall_us ? `${span(l.usage.user_cpu_us)} user, ${span(l.usage.system_cpu_us)} system` : ""], ["Memory", l.usage.max_rss_bytes ? `${size(l.usage.max_rss_bytes)} at most` : ""], ["Written", `${size(l.stdout_bytes)} stdout, ${size(l.stderr_bytes)} stderr`]]) : empty("None has ended"));
      if (t.attempt !== shown) { shown = attempt = t.attempt; read(); }
    },
    wants: (news) => news.jobs.includes(Number(id)),
    leave: () => stop?.(),
  };
  return view;
}

export function explain(main, query) {
  const out = el("div", {}), box = el("input", { name: "task", value: query.get("task") ?? "", placeholder: "5/3", "aria-label": "Task", required: true });
  const form = el("form", { cls: "filters", onsubmit: (e) => { e.preventDefault(); location.hash = `#/explain?task=${encodeURIComponent(box.value)}`; } }, el("label", {}, "Job, or job/task", box), el("button", { cls: "main" }, "Explain"));
  const waiting = el("div", {});
  main.append(heading("Explain", "why a task waits, and when it is expected to start"), el("section", { cls: "sheet" }, form, el("p", {}, "\u00a0"), out), sheet("Jobs that wait", null, waiting));
  return {
    async load() {
      const { jobs: rows } = await get("jobs", { state: "pending,held", limit: 20 });
      fill(waiting, rows.length ? table("Jobs that wait", [["Job", (j) => el("a", { href: `#/explain?task=${j.progress.job}/0` }, j.name || `job ${j.progress.job}`)], ["Waiting", (j) => count(j.progress.pending), { n: true }], ["Submitted", (j) => when(j.submitted_us)], ["Reason", (j) => j.reason, { clip: true }]], rows) : empty("No job waits."));
      const [, id, index = "0"] = /^(\d+)(?:\/(\d+))?$/.exec(query.get("task") ?? "") ?? [];
      if (!query.get("task")) { fill(out); return; }
      if (!id) { fill(out, el("p", { cls: "trouble" }, "A task is written as 5/3: job 5, task 3.")); return; }
      fill(out, el("h3", {}, el("a", { href: `#/task/${id}/${index}` }, `Task ${id}/${index}`)), why(await get("explain", { job: id, index })));
    },
    wants: (news) => news.jobs.length > 0,
  };
}
