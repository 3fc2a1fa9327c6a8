// Where the browser is: which view is shown, what the live stream says of the link, light or dark.
import { live, onNews, startLive, throttle } from "./api.js";
import { el } from "./dom.js";
import * as cluster from "./cluster.js";
import * as work from "./work.js";
import * as past from "./past.js";

const pages = [["", "Overview", cluster.overview], ["nodes", "Nodes", cluster.nodes], ["queues", "Queues", cluster.queues], ["jobs", "Jobs", work.jobs],
  ["events", "Events", past.events], ["history", "History", past.history], ["explain", "Explain", work.explain]];
const details = { node: [cluster.node, "nodes"], job: [work.job, "jobs"], task: [work.task, "jobs"] };
const main = document.getElementById("main"), nav = document.getElementById("nav"), link = document.getElementById("link");
nav.append(...pages.map(([path, title]) => el("li", {}, el("a", { href: `#/${path}` }, title))));

let view = null; // {news(news), leave()}
async function show() {
  const [path, query] = location.hash.replace(/^#\//, "").split("?");
  const [name, ...rest] = path.split("/").map(decodeURIComponent);
  const page = pages.find(([p]) => p === name);
  const make = page?.[2] ?? details[name]?.[0];
  const current = page ? name : details[name]?.[1];
  [...nav.querySelectorAll("a")].forEach((a) => (a.getAttribute("href") === `#/${current}` ? a.setAttribute("aria-current", "page") : a.removeAttribute("aria-current")));
  view?.leave?.();
  view = null;
  main.replaceChildren();
  document.title = `${page?.[1] ?? `${name} ${rest.join("/")}`} · reeve`;
  if (!make) { main.append(el("h1", { tabindex: "-1" }, "No such page"), el("p", {}, el("a", { href: "#/" }, "To the overview"))); return; }
  const mine = (view = { busy: true });
  const made = make(main, new URLSearchParams(query ?? ""), ...rest);
  if (view === mine) view = { ...made, refresh: throttle(() => attempt(made)) };
  await attempt(made);
  if (document.activeElement === document.body || nav.contains(document.activeElement) || !document.contains(document.activeElement)) main.querySelector("h1")?.focus({ preventScroll: true });
  scrollTo(0, 0);
}
async function attempt(made) {
  try { await made.load(); main.querySelector(":scope > .trouble")?.remove(); main.setAttribute("data-ready", "1"); } catch (error) {
    main.querySelector(":scope > .trouble")?.remove();
    main.append(el("p", { cls: "trouble sheet", role: "alert" }, error.message));
    if (error.passing) setTimeout(() => { if (view?.load === made.load) view.refresh?.(); }, 3000);
  }
}

onNews((news) => {
  const error = live.figures?.error;
  link.className = `link ${live.connected && !error ? "on" : "off"}`;
  const text = !live.connected ? "reconnecting" : error ? "no master" : "live";
  if (link.textContent !== text) link.textContent = text;
  view?.news?.(news);
  if (view && (news.all || view.wants?.(news))) view.refresh?.();
});

const theme = document.getElementById("theme");
const kept = (() => { try { return localStorage.getItem("theme"); } catch { return null; } })();
if (kept) document.documentElement.dataset.theme = kept;
theme.addEventListener("click", () => {
  const dark = (document.documentElement.dataset.theme ?? (matchMedia("(prefers-color-scheme: dark)").matches ? "dark" : "light")) === "dark";
  document.documentElement.dataset.theme = dark ? "light" : "dark";
  try { localStorage.setItem("theme", document.documentElement.dataset.theme); } catch { /* a browser that keeps nothing */ }
  view?.refresh?.();
});
addEventListener("hashchange", show);
show();
startLive();
