# From the end of a leader to the first new dispatch by the next one (to its first event, when it steps down); three masters, three etcd
# members, two agents, short tasks. The leader is killed, stopped, asked to step down; then killed again with a million tasks that wait.
# Before that, what the journal makes of etcd's own rate. Usage: REEVE_BIN=build/release/bin python3 tests/bench/takeover.py [KILLS]
import json
import pathlib
import signal
import subprocess
import sys
import time

sys.path.insert(0, str(pathlib.Path(__file__).parent.parent / "e2e"))
from cluster import BIN, await_true  # noqa: E402  pylint: disable=wrong-import-position
from masters import Masters  # noqa: E402  pylint: disable=wrong-import-position

SETTLED = 20  # placements by a new leader: then all agents have found it


class Takeover(Masters):
    def runTest(self):
        kills = int(sys.argv[1]) if len(sys.argv) > 1 else 20
        self.start_etcd(3)
        self.appends()
        self.start_masters(3)
        for name in "ab":
            self.start_agent(name)
        self.begin("few", 50_000)
        few = self.measure("killed, few tasks wait", kills, self.kill, 0.25, 1)
        self.measure("stopped", max(kills // 5, 1), self.stop, None, 1.5)
        self.measure("asked to step down", max(kills // 5, 1), self.hand_over, 0.1, None)
        self.end()
        self.begin("many", 1_000_000)
        many = self.measure("killed, 1 M tasks wait", kills, self.kill, None, 1)
        print(f"takeover: median with 1 M tasks that wait / with few: {many / few:.2f} (wanted: at most 2)", flush=True)

    def appends(self):
        program = BIN.parent / "tests/bench/etcd/etcd_appends"
        if program.exists():
            subprocess.run([program, self.journal.replace("/reeve", "/bench")], check=True)

    def begin(self, name, tasks):
        self.job = self.submit("--array", f"0-{tasks - 1}", "--executor", "sleep", "--estimate", "50ms", "--", "0.05")
        self.log, self.read, self.epoch, self.placed = self.folder / f"events-{name}", 0, 0, []
        self.newest = self.ended = self.began = 0
        with open(self.log, "wb") as out:
            self.reader = subprocess.Popen([BIN / "reeve", "--master", self.endpoint, "events", "--filter", "task", "--filter", "master.started",
                                            "-o", "jsonl"], stdout=out)
        self.addCleanup(self.reader.wait)
        self.addCleanup(self.reader.kill)
        await_true(lambda: self.look() and len(self.placed) > SETTLED, "tasks are placed")

    def end(self):
        self.reader.kill()
        self.cli("job", "cancel", self.job)

    def look(self):
        """Reads what is new: `epoch`, the newest reign; `ended`, the last event of the one before; when the newest had its first event,
        `began`, and placed something, `placed`."""
        with open(self.log, "rb") as file:
            file.seek(self.read)
            text = file.read()
        text = text[:text.rfind(b"\n") + 1]
        self.read += len(text)
        for line in text.splitlines():
            event = json.loads(line)
            at = event["time_us"] / 1e6
            if event["kind"] == "master.started":
                self.epoch, self.placed, self.ended, self.began = event["numbers"]["epoch"], [], self.newest, None
                continue
            if event["kind"] == "task.placed":
                self.placed.append(at)
            self.began = self.began or at
            self.newest = at
        return True

    def kill(self):
        name, at = self.kill_leader()
        return at, lambda: self.start_one(name)

    def stop(self):
        self.reigned, name = self.reigns()
        process = self.masters[name].process
        at = time.time()
        process.send_signal(signal.SIGSTOP)

        def go_on():
            process.send_signal(signal.SIGCONT)
            await_true(lambda: len(self.status()) == 3 and self.status()[name]["role"] == "standby", "the former leader follows")
        return at, go_on

    def hand_over(self):
        self.reigned, name = self.reigns()
        with subprocess.Popen([BIN / "reeve", "--master", self.listen[name], "master", "step-down"], stdout=subprocess.DEVNULL) as asks:
            asks.wait()

        def follow():
            await_true(lambda: len(self.status()) == 3 and self.status()[name]["role"] == "standby", "the former leader follows")
        return None, follow

    def measure(self, what, times, end_it, median, most):
        """Returns the median, in seconds. Without a time of the end: from the last event of the old leader, who was busy until then, to the
        first of the next one: agents have work ahead, so that it places something only later."""
        gaps = []
        for _ in range(times):
            self.look()
            before = self.epoch
            at, go_on = end_it()
            await_true(lambda was=before: self.look() and self.epoch != was and self.placed, "the next leader dispatches")
            gaps.append(self.placed[0] - at if at else self.began - self.ended)
            go_on()
            await_true(lambda: self.look() and len(self.placed) > SETTLED, "all agents have found the new leader")
        gaps.sort()
        wanted = [f"{name} at most {limit * 1000:.0f}" for name, limit in (("p50", median), ("p99", most)) if limit]
        print(f"takeover, leader {what}: {len(gaps)} times, p50 {gaps[len(gaps) // 2] * 1000:.0f} ms, "
              f"p99 {gaps[min(len(gaps) * 99 // 100, len(gaps) - 1)] * 1000:.0f} ms, most {gaps[-1] * 1000:.0f} ms "
              f"(wanted: {', '.join(wanted)})", flush=True)
        return gaps[len(gaps) // 2]


if __name__ == "__main__":
    import unittest
    suite = unittest.TestSuite([Takeover()])
    sys.exit(0 if unittest.TextTestRunner(verbosity=0).run(suite).wasSuccessful() else 1)
