# Is the page smooth with 10,000 nodes and a million tasks? In a real headless Chromium, on each large page, while the cluster changes: the
# time between frames, tasks of the browser's main thread of more than 50 ms, where its time goes, and how long after an event the change is
# shown; at rest, scrolling, and typing into the search. The baseline is an empty long page with an input in the same browser and the same
# run, with the same cluster busy beside it. Usage: REEVE_BIN=build/release/bin python3 tests/bench/frames.py [PAGE...]
import json
import os
import pathlib
import sys
import threading
import time
import unittest
import urllib.parse

sys.path.insert(0, str(pathlib.Path(__file__).parent.parent / "e2e"))
from cluster import PATIENCE, await_true  # noqa: E402  pylint: disable=wrong-import-position
from dashboard_test import Page  # noqa: E402  pylint: disable=wrong-import-position

SECONDS = float(os.environ.get("REEVE_FRAME_SECONDS", 4))  # of each of live and scrolling
EMPTY = "data:text/html," + urllib.parse.quote("<title>empty</title><input type=search><main data-ready><div style='height:9000px'>")
# Path, what it says when it is there, its search, and what is done for an event: (command, an event of its, what is shown then).
PAGES = {
    "empty": (None, None, "input", None),
    "overview": ("", "10000 suspect", None, "submit"),
    "nodes": ("nodes", r"10,00\d nodes", "input[type=search]", "label"),
    "queues": ("queues", "batch", None, "queue"),
    "jobs": ("jobs", "single-1999|live", "input[name=name]", "submit"),
    "job of 1 M": ("job/2", r"\b1M\b", None, "cancel"),
    "events": ("events", "job", "input[type=search]", "submit"),
    "history": ("history?range=1%20h", "live", "input[type=search]", "end"),
    "node": ("node/rack003-node07", "rack003", None, "drain one"),
    "task": ("task/2/999999", "999999", None, "cancel last"),
}
# Nodes that nobody plays are suspect, all of one colour; the map is given the colours and the changes of ten thousand that beat.
COLOURS = """
  const real = window.fetch;
  window.fetch = async (...what) => {
    const answer = await real(...what);
    if (!String(what[0]).startsWith('/api/heat')) return answer;
    const body = await answer.json();
    for (const cell of body.cells) { if (cell[0] === 2) cell[0] = 0; cell[2] = Math.floor(Math.random() * 101); }
    return Object.assign(answer, { json: async () => body });
  };"""
SAMPLE = """
  const s = (window.sample = { gaps: [], long: [], keys: [], on: true, scroll: arguments[0] });
  let last = 0, down = 37;
  const frame = (now) => {
    if (!s.on) return;
    if (last) s.gaps.push(now - last);
    last = now;
    if (s.scroll) {
      const before = scrollY;
      scrollBy(0, down);
      if (scrollY === before) down = -down;
    }
    requestAnimationFrame(frame);
  };
  requestAnimationFrame(frame);
  s.tasks = new PerformanceObserver((list) => s.long.push(...list.getEntries().map((e) => e.duration)));
  s.tasks.observe({ type: 'longtask' });
  s.typed = new PerformanceObserver((list) => s.keys.push(...list.getEntries().filter((e) => e.name === 'keydown').map((e) => e.duration)));
  s.typed.observe({ type: 'event', durationThreshold: 16 });"""
TAKE = "const s = window.sample; s.on = false; s.tasks.disconnect(); s.typed.disconnect(); return [s.gaps, s.long, s.keys];"
WATCH = """
  const wanted = new RegExp(arguments[0]);
  window.shown = 0;
  const look = () => {
    if (!wanted.test(document.querySelector('main').innerText)) return false;
    requestAnimationFrame(() => setTimeout(() => { window.shown ||= Date.now(); }, 0)); // the frame with it has been drawn
    return true;
  };
  const watching = new MutationObserver(() => { if (look()) watching.disconnect(); });
  watching.observe(document.querySelector('main'), { subtree: true, childList: true, characterData: true });"""


def at(values, part):
    values = sorted(values)
    return values[min(len(values) - 1, int(len(values) * part))] if values else 0


class Frames(Page):
    def measure(self):
        self.start_large_master()
        self.start_agent("live")
        await_true(lambda: len(self.get("/api/heat")["names"]) == 10_001, "the nodes")
        self.cdp("Performance.enable", timeDomain="threadTicks")
        self.cdp("Page.addScriptToEvaluateOnNewDocument", source=COLOURS)
        self.over = threading.Event()
        busy = threading.Thread(target=self.keep_busy)
        busy.start()
        try:
            await_true(lambda: self.get("/api/history")["rows"], "something has ended")
            print(f"frames: {'page':12} {'while':10} {'median':>7} {'p95':>6} {'p99':>6} {'worst':>6}  (of empty)   long  longest   script layout  other   key p95", flush=True)
            wanted = sys.argv[1:] or list(PAGES)
            self.base = {}
            for name in ["empty"] + [w for w in wanted if w != "empty"]:
                self.one_page(name)
        finally:
            self.over.set()
            busy.join()

    def keep_busy(self):
        """Some hundred events a second: jobs come, run and end, nodes are drained and taken back."""
        turn = 0
        while not self.over.wait(0.2):
            turn += 1
            self.cli("submit", "--executor", "noop", "--name", f"live-{turn}", "--array", "0-19")
            if turn % 5 == 0:
                self.cli("node", "drain" if turn % 10 else "undrain", *[f"rack1{turn // 10 % 50:02}-node{k:02}" for k in range(20)],
                         *(["--reason", "turn"] if turn % 10 else []), code=None)

    def cdp(self, name, **parameters):
        return self.browser.execute_cdp_cmd(name, parameters)

    def spent(self):
        """Processor seconds of the main thread so far: script, style and layout, all else (painting, compositing, the test's own questions)."""
        m = {metric["name"]: metric["value"] for metric in self.cdp("Performance.getMetrics")["metrics"]}
        layout = m["LayoutDuration"] + m["RecalcStyleDuration"]
        return m["ScriptDuration"], layout, m["TaskDuration"] - m["ScriptDuration"] - layout

    def one_page(self, name):
        path, ready, search, event = PAGES[name]
        if path is None:
            self.browser.get(EMPTY)
        else:
            self.open(path)
            self.await_text(ready)
        self.phase(name, "live", False, lambda: time.sleep(SECONDS))
        self.phase(name, "scrolling", True, lambda: time.sleep(SECONDS))
        if search:
            self.phase(name, "typing", False, lambda: self.type_into(search))
        if event:
            self.event_to_shown(name, event)

    def type_into(self, search):
        box = self.find(search)[0]
        for text in ("rack01", "\ue003" * 6, "single-19*", "\ue003" * 10):  # and back again
            for key in text:
                box.send_keys(key)
                time.sleep(0.08)

    def phase(self, name, what, scroll, work):
        before, began = self.spent(), time.monotonic()
        self.browser.execute_script(SAMPLE, scroll)
        work()
        gaps, tasks, keys = self.browser.execute_script(TAKE)
        passed = time.monotonic() - began
        spent = [1000 * (b - a) / passed for a, b in zip(before, self.spent())]
        figures = [at(gaps, 0.5), at(gaps, 0.95), at(gaps, 0.99), max(gaps, default=0)]
        base = self.base.setdefault(what, figures)
        ratio = [f"{f / b:.1f}" for f, b in zip(figures, base)]
        print(f"frames: {name:12} {what:10} {figures[0]:7.1f} {figures[1]:6.1f} {figures[2]:6.1f} {figures[3]:6.1f}  "
              f"({'/'.join(ratio):>15}) {len(tasks):4} {max(tasks, default=0):6.0f} ms {spent[0]:6.0f} {spent[1]:6.0f} {spent[2]:6.0f} ms/s "
              f"{at(keys, 0.95):6.0f} ms", flush=True)

    def event_to_shown(self, name, how):
        took = []
        for k in range(3):
            mark = f"mark{k}{name.replace(' ', '')}"
            command, fits, text = {
                "submit": (["submit", "--executor", "noop", "--name", mark], lambda e: e["name"] == mark, mark),
                "end": (["submit", "--executor", "noop", "--name", mark], lambda e: e["kind"] == "job.ended" and e["job"] == job, mark),
                "queue": (["submit", "--executor", "noop", "--queue", mark, "--vcores", 64], lambda e: e["queue"] == mark, mark),
                "label": (["node", "label", f"rack000-node0{k}", f"mark={mark}"], lambda e: e["node"] == f"rack000-node0{k}", mark),
                "drain one": (["node", "drain" if k % 2 == 0 else "undrain", "rack003-node07"] + (["--reason", mark] if k % 2 == 0 else []),
                              lambda e: e["node"] == "rack003-node07", r"Undrain" if k % 2 == 0 else r"Drain\b"),
                "cancel": (["task", "cancel", f"2/{k}"], lambda e: e["job"] == 2, rf"{k + 1} cancelled"),
                "cancel last": (["task", "cancel", "2/999999"], lambda e: e["job"] == 2, "cancelled"),
            }[how]
            if how == "cancel last" and k:
                break
            self.browser.execute_script(WATCH, text)
            began = time.time()
            answer = self.cli(*command, *(["-o", "quiet"] if command[0] == "submit" else []))
            job = int(answer.out) if command[0] == "submit" else 0
            shown = await_true(lambda: self.browser.execute_script("return window.shown"), f"{name}: {text}")
            happened = [e["time_us"] / 1e6 for e in self.get("/api/events")["events"] if e["time_us"] / 1e6 > began - 0.1 and fits(e)]
            took.append(shown / 1e3 - (happened[0] if happened else began))
        print(f"frames: {name:12} from an event to the change shown: {', '.join(f'{t * 1000:.0f}' for t in took)} ms", flush=True)


if __name__ == "__main__":
    suite = unittest.TestSuite([Frames("measure")])
    sys.exit(0 if unittest.TextTestRunner(verbosity=0).run(suite).wasSuccessful() else 1)
