// Drawings: a heat map on canvas, bars and areas, and a job graph as SVG. They take data, and ask nothing.
import { count, el, hue, parts } from "./dom.js";

const colour = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();
function mix(a, b, part) { // of two #rrggbb
  const at = (s, k) => parseInt(s.slice(1 + 2 * k, 3 + 2 * k), 16);
  return `rgb(${[0, 1, 2].map((k) => Math.round(at(a, k) + (at(b, k) - at(a, k)) * part)).join(" ")})`;
}

/// A cell a node, drawn on one canvas, so that ten thousand are one element. `pick(name)` on click and on Enter; arrow keys move.
/// Returns {node, show(names, cells, measure), leave()}: cells are [state, booked %, used %]. `show` draws those that
/// have changed at the next frame; what is chosen is an element above the canvas, so that moving it draws nothing anew.
export function heatMap(pick) {
  const readout = el("p", { cls: "rest", "aria-live": "polite" }, "\u00a0"), mark = el("i", { cls: "heat-mark", hidden: true });
  const canvas = el("canvas", { cls: "heat", tabindex: 0, role: "application" });
  const levels = 64; // of one colour: more is not seen
  let names = [], cells = [], measure = "booked", side = 16, columns = 1, chosen = -1, due = 0;
  let drawn = [], drawnAs = ""; // what each cell shows, and with which sizes and colours
  const draw = () => {
    due = 0;
    const began = performance.now(), width = canvas.clientWidth || 600, ratio = devicePixelRatio || 1;
    side = Math.max(5, Math.min(30, Math.floor(Math.sqrt((width * Math.max(140, Math.min(420, names.length * 2))) / Math.max(1, names.length)))));
    columns = Math.max(1, Math.floor(width / side));
    const height = Math.ceil(names.length / columns) * side;
    const from = colour("--sunk"), to = colour("--run"), by = { bad: colour("--bad"), gone: colour("--line"), held: colour("--held") };
    const look = [from, to, by.bad, by.gone, by.held, width, ratio, side, names.length].join();
    if (look !== drawnAs) { drawn = []; drawnAs = look; }
    if (canvas.width !== Math.round(width * ratio) || canvas.height !== Math.round(height * ratio)) {
      canvas.width = Math.round(width * ratio); canvas.height = Math.round(height * ratio); canvas.style.height = `${height}px`;
    }
    const g = canvas.getContext("2d");
    g.setTransform(ratio, 0, 0, ratio, 0, 0);
    const anew = !drawn.length;
    if (anew) g.clearRect(0, 0, width, height);
    const gap = side > 8 ? 2 : 1, round = side > 12 ? Math.min(4, side / 4) : 0, tones = [], border = side > 8 ? 2 : 1;
    g.strokeStyle = by.held;
    g.lineWidth = border;
    let changed = 0;
    cells.forEach(([state, booked, used], k) => {
      const tone = state === 2 ? "bad" : state === 3 ? "gone" : Math.round(((measure === "used" ? used : booked) * (levels - 1)) / 100);
      const now = state === 1 ? -1 - tone : tone; // below 0: with a border
      if (drawn[k] === now) return;
      drawn[k] = now;
      changed += 1;
      const x = (k % columns) * side, y = Math.floor(k / columns) * side, wide = side - gap;
      g.fillStyle = by[tone] ?? (tones[tone] ??= mix(from, to, 0.06 + (0.94 * tone) / (levels - 1)));
      if (!anew) g.clearRect(x, y, wide, wide);
      if (round) { g.beginPath(); g.roundRect(x, y, wide, wide, round); g.fill(); } else g.fillRect(x, y, wide, wide);
      if (state === 1) g.strokeRect(x + border / 2, y + border / 2, wide - border, wide - border);
    });
    place();
    Object.assign(canvas.dataset, { drawnMs: (performance.now() - began).toFixed(1), drawnCells: changed });
  };
  const later = () => { due ||= requestAnimationFrame(draw); };
  const place = () => {
    mark.hidden = chosen < 0 || chosen >= names.length;
    if (!mark.hidden) Object.assign(mark.style, { left: `${(chosen % columns) * side}px`, top: `${Math.floor(chosen / columns) * side}px`, width: `${side}px`, height: `${side}px` });
  };
  const tell = () => {
    if (chosen < 0 || !cells[chosen]) return;
    const [state, booked, used] = cells[chosen], text = `${names[chosen]}: ${booked} % booked, ${used} % measured${["", ", drained or quarantined", ", not heard", ", gone"][state]}`;
    if (readout.textContent !== text) readout.textContent = text;
  };
  const choose = (k) => { if (k >= 0 && k < names.length && k !== chosen) { chosen = k; place(); tell(); } };
  const at = (e) => Math.floor(e.offsetY / side) * columns + Math.min(columns - 1, Math.floor(e.offsetX / side));
  canvas.addEventListener("mousemove", (e) => choose(at(e)));
  canvas.addEventListener("click", (e) => { choose(at(e)); if (chosen >= 0) pick(names[chosen]); });
  canvas.addEventListener("keydown", (e) => {
    const step = { ArrowRight: 1, ArrowLeft: -1, ArrowDown: columns, ArrowUp: -columns }[e.key];
    if (step) { e.preventDefault(); choose(chosen < 0 ? 0 : chosen + step); } else if (e.key === "Enter" && chosen >= 0) pick(names[chosen]);
  });
  const sized = new ResizeObserver(later), themed = new MutationObserver(later), dark = matchMedia("(prefers-color-scheme: dark)");
  sized.observe(canvas);
  themed.observe(document.documentElement, { attributeFilter: ["data-theme"] });
  dark.addEventListener("change", later);
  return {
    node: el("div", {}, el("div", { cls: "heat-box" }, canvas, mark), readout),
    show(newNames, newCells, newMeasure) {
      const kept = names[chosen];
      names = newNames; cells = newCells; measure = newMeasure;
      if (chosen >= 0) chosen = names[chosen] === kept ? chosen : names.indexOf(kept);
      canvas.setAttribute("aria-label", `Heat map of ${names.length} nodes: arrow keys move, Enter opens a node`);
      tell();
      later();
    },
    leave() { sized.disconnect(); themed.disconnect(); dark.removeEventListener("change", later); cancelAnimationFrame(due); },
  };
}

/// Bars of several parts side by side. rows: [{label, values: {hue: n}, title}]
export function bars(rows, label) {
  const width = 640, height = 180, foot = 22, most = Math.max(1, ...rows.map((r) => Object.values(r.values).reduce((a, b) => a + b, 0)));
  const step = (width - 44) / Math.max(1, rows.length), every = Math.ceil(rows.length / 8);
  const svg = el("svg", { viewBox: `0 0 ${width} ${height}`, role: "img", "aria-label": label, width: "100%" });
  svg.append(el("text", { x: 0, y: 12 }, count(most)), el("text", { x: 0, y: height - foot }, "0"), el("line", { cls: "axis", x1: 40, x2: width, y1: height - foot, y2: height - foot }));
  rows.forEach((row, k) => {
    let y = height - foot;
    const g = el("g", {}, el("title", {}, row.title));
    for (const [tone, n] of Object.entries(row.values)) {
      const h = (n / most) * (height - foot - 6);
      if (h > 0) g.append(el("rect", { cls: `c${tone}`, x: 42 + k * step, y: y -= h, width: Math.max(1.5, Math.min(46, step - 2)), height: h, rx: Math.min(2, h / 2) }));
    }
    svg.append(g);
    if (k % every === 0) svg.append(el("text", { x: 42 + k * step, y: height - 5 }, row.label));
  });
  return svg;
}

/// The last minutes of a figure, newest at the right.
export function sparkline(values, label) {
  const width = 320, height = 56, most = Math.max(1e-9, ...values);
  const at = values.map((v, k) => `${(width * k) / Math.max(1, values.length - 1)},${height - 3 - (v / most) * (height - 8)}`);
  return el("svg", { viewBox: `0 0 ${width} ${height}`, role: "img", "aria-label": label, width: "100%", height, preserveAspectRatio: "none" },
    el("path", { cls: "area", d: `M0,${height} L${at.join(" L")} L${width},${height} Z` }), el("polyline", { cls: "stroke", points: at.join(" "), "vector-effect": "non-scaling-stroke" }));
}

/// Jobs that wait for each other, in layers from left to right.
export function graph(vertices, here) {
  const byId = new Map(vertices.map((v) => [v.id, v]));
  const depth = new Map();
  const deep = (id, seen = new Set()) => {
    if (depth.has(id)) return depth.get(id);
    if (seen.has(id)) return 0;
    seen.add(id);
    const before = byId.get(id).after.map((d) => d.job).filter((j) => byId.has(j));
    const value = before.length ? 1 + Math.max(...before.map((j) => deep(j, seen))) : 0;
    depth.set(id, value);
    return value;
  };
  vertices.forEach((v) => deep(v.id));
  const layers = [];
  vertices.forEach((v) => (layers[depth.get(v.id)] ??= []).push(v));
  const w = 168, h = 58, dx = 226, dy = 76, tall = Math.max(...layers.map((l) => l.length));
  const place = new Map();
  layers.forEach((layer, x) => layer.forEach((v, k) => place.set(v.id, [x * dx + 4, (k + (tall - layer.length) / 2) * dy + 4])));
  const width = (layers.length - 1) * dx + w + 8, height = (tall - 1) * dy + h + 8;
  const svg = el("svg", { viewBox: `0 0 ${width} ${height}`, width, height, role: "img", "aria-label": `Graph of ${vertices.length} jobs` });
  for (const v of vertices) for (const d of v.after) {
    if (!place.has(d.job)) continue;
    const [x1, y1] = place.get(d.job), [x2, y2] = place.get(v.id), a = x1 + w, b = y1 + h / 2, c = y2 + h / 2;
    svg.append(el("path", { cls: "edge", d: `M${a},${b} C${a + 36},${b} ${x2 - 36},${c} ${x2},${c}` }));
    if (d.kind !== "ok") svg.append(el("text", { x: (a + x2) / 2 - 10, y: (b + c) / 2 - 4 }, d.kind));
  }
  for (const v of vertices) {
    const [x, y] = place.get(v.id), p = v.progress;
    const link = document.createElementNS("http://www.w3.org/2000/svg", "a");
    link.setAttribute("href", `#/job/${v.id}`);
    link.append(el("rect", { cls: v.id === here ? "box here" : "box", x, y, width: w, height: h, rx: 9 }), el("circle", { cls: `c${hue(p.state)}`, cx: x + 15, cy: y + 19, r: 5 }),
      el("text", { cls: "name", x: x + 27, y: y + 24 }, (v.name || `job ${v.id}`).slice(0, 18)), el("text", { x: x + 13, y: y + 43 }, `${v.id} · ${count(p.succeeded)} of ${count(p.total)}`));
    let left = x + 1;
    for (const k of parts) {
      const part = ((w - 2) * p[k]) / p.total;
      if (part > 0) link.append(el("rect", { cls: `c${hue(k)}`, x: left, y: y + h - 5, width: part, height: 4 }));
      left += part;
    }
    svg.append(link);
  }
  return el("div", { cls: "scroll" }, svg);
}
