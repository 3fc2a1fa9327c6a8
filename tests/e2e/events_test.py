# Subscribers of the event stream are killed, stopped, disconnected and started at random while the master is killed again and again: each ends with
# exactly the journal's sequence, nothing missing, twice or changed. And: events, metrics, history, page and command line agree on the
# same work. Repeat a failure with REEVE_SEED=<seed>.
import collections
import ctypes
import http.server
import itertools
import json
import os
import pathlib
import random
import re
import signal
import socket
import subprocess
import threading
import urllib.request

from cluster import BIN, Cluster, Process, await_true, main

SEED = int(os.environ.get("REEVE_SEED", random.SystemRandom().randrange(1 << 32)))
MASTER_KILLS = 6


def fd_of(pid, fd):
    """A copy of another process's descriptor: pidfd_getfd(2)."""
    pidfd_getfd = 438
    process = os.pidfd_open(pid)
    try:
        copy = ctypes.CDLL(None, use_errno=True).syscall(pidfd_getfd, process, fd, 0)
        if copy < 0:
            raise OSError(ctypes.get_errno(), "pidfd_getfd")
        return copy
    finally:
        os.close(process)


def amount(size):
    """Bytes as the programs write them."""
    unit = 0
    while size >= 1024 and unit < 4:
        size, unit = size / 1024, unit + 1
    return f"{round(size, 2):g} {['B', 'KiB', 'MiB', 'GiB', 'TiB'][unit]}"


class Derived:
    """What operators must be told, derived from the journal's entries alone, after messages/PROTOCOL.md and not with the master's own code: for
    the kinds of entries that come up here; any other is a failure of the test."""

    def __init__(self, entries):
        self.events, self.nodes, self.jobs = [], {}, {}
        for entry in entries:
            self.entry, self.part = entry, 0
            getattr(self, entry["type"])(entry["body"])

    def tell(self, kind, job=0, node="", name="", text="", correlation="", **numbers):
        self.events.append({"v": 1, "seq": self.entry["seq"], "part": self.part, "time_us": self.entry["time_us"], "kind": kind, "job": job, "node": node,
                            "name": name, "text": text, "numbers": numbers, "correlation": correlation, "queue": self.jobs[job]["queue"] if job else ""})
        self.part += 1

    def ended(self, number, how, tasks):
        """So many tasks of a job ended so; the last of them end the job. Returns it then."""
        job = self.jobs[number]
        job[how] = job.get(how, 0) + tasks
        return number if sum(job.get(k, 0) for k in ("succeeded", "failed", "cancelled")) == job["count"] else None

    def tell_end(self, number):
        job = self.jobs[number]
        self.tell("job.ended", number, name=next(k for k in ("failed", "cancelled", "succeeded") if job.get(k)), correlation=job["correlation"],
                  tasks=job["count"])

    def EpochStarted(self, body):
        self.tell("master.started", name=body["master"], epoch=body["epoch"])

    def NodeRegistered(self, body):
        self.nodes[body["node"]] = body["name"]
        has = body["capacity"]
        self.tell("node.registered", node=body["name"],
                  text=f"{has['cpu_milli'] / 1000:g} vcores, {amount(has['memory_bytes'])} memory, {amount(has['disk_bytes'])} disk")

    def NodesDrained(self, body):
        for node in body["nodes"]:
            self.tell("node.drained" if body["drain"] else "node.undrained", node=self.nodes[node], text=body["reason"])

    def JobsSubmitted(self, body):
        for k, spec in enumerate(body["specs"]):
            self.jobs[body["first"] + k] = {"count": spec.get("count", 1), "queue": spec.get("queue", "default"), "correlation": spec.get("correlation", "")}
        numbers = range(body["first"], body["first"] + len(body["specs"]))
        for queue, run in itertools.groupby(numbers, lambda number: self.jobs[number]["queue"]):
            run = list(run)
            spec = body["specs"][run[0] - body["first"]]
            self.tell("job.submitted", run[0], name=spec.get("name", "") if len(run) == 1 else "", correlation=spec.get("correlation", ""), jobs=len(run))

    def TasksPlaced(self, body):
        for placed in body["placements"]:
            self.tell("task.placed", placed["job"], self.nodes[placed["node"]], tasks=sum(run["count"] for run in placed["runs"]), slots=placed["slots"])

    def TasksFinished(self, body):
        over = []
        for job in body["jobs"]:
            good = [task["index"] for task in job["tasks"] if task["cause"] == "none"]
            many = len(good) + sum(quiet["run"]["count"] for quiet in job["quiet"])
            if many:
                alone = {"task": good[0]} if many == len(job["tasks"]) == 1 else {}
                self.tell("task.succeeded", job["job"], self.nodes[body["node"]], tasks=many, **alone)
                over.append(self.ended(job["job"], "succeeded", many))
            for task in job["tasks"]:
                if task["cause"] != "none":
                    how = {"exit_code": task["exit_code"]} if task["cause"] == "exit_code" else {"signal": task["signal"]}
                    self.tell("task.failed", job["job"], self.nodes[body["node"]], task["cause"], task["text"], task=task["index"], attempt=task["attempt"], **how)
                    over.append(self.ended(job["job"], "failed", 1))
        for number in filter(None, over):
            self.tell_end(number)

    def TasksCancelled(self, body):
        job = self.jobs[body["job"]]
        self.tell("job.cancelled", body["job"], text=body["reason"])
        if self.ended(body["job"], "cancelled", job["count"]):  # here only jobs are cancelled of which nothing has begun
            self.tell_end(body["job"])

    def JobHeld(self, body):
        self.tell("job.held" if body["hold"] else "job.released", body["job"], text=body["reason"])


class Reader:
    """`reeve events`, started again from its last line whenever it was killed."""

    def __init__(self, test, name):
        self.test, self.file, self.said, self.process = test, pathlib.Path(test.path(name)), pathlib.Path(test.path(f"{name}.err")), None
        self.file.touch()

    def start(self):
        seen = self.events()
        self.trim()
        since = str(seen[-1]["seq"]) if seen else "start"
        with open(self.file, "ab") as out, open(self.said, "wb") as errors:
            self.process = subprocess.Popen([BIN / "reeve", "-m", self.test.endpoint, "events", "--from", since, "-o", "jsonl"], stdout=out,
                                            stderr=errors)

    def trim(self):
        """Cuts off a line that the kill tore."""
        text = self.file.read_bytes()
        self.file.write_bytes(text[:text.rfind(b"\n") + 1])

    def events(self):
        lines = self.file.read_text().splitlines(keepends=True)
        return [json.loads(line) for line in lines if line.endswith("\n")]

    def disconnect(self):
        """Ends the reader's connections behind its back, as a firewall or a router that starts anew does. Returns how many."""
        ended = 0
        for fd in pathlib.Path(f"/proc/{self.process.pid}/fd").iterdir():
            try:
                if not os.readlink(fd).startswith("socket:"):
                    continue
            except FileNotFoundError:
                continue
            with socket.socket(fileno=fd_of(self.process.pid, int(fd.name))) as copy:
                if copy.family == socket.AF_INET:
                    try:
                        copy.shutdown(socket.SHUT_RDWR)
                        ended += 1
                    except OSError:
                        pass  # it was not connected
        return ended

    def kill(self):
        self.process.send_signal(signal.SIGCONT)
        self.process.kill()
        self.process.wait()


class Events(Cluster):
    def sequence(self, job):
        """Every event up to the end of this job, as a reader sees it that has never been disturbed."""
        told = []
        with subprocess.Popen([BIN / "reeve", "-m", self.endpoint, "events", "--from", "start", "-o", "jsonl"],
                              stdout=subprocess.PIPE) as reader:
            for line in reader.stdout:
                told.append(json.loads(line))
                if (told[-1]["kind"], str(told[-1]["job"])) == ("job.ended", job):
                    break
            reader.kill()
        return told

    def entries(self):
        """Those of the journal, from its own export."""
        out = subprocess.run([BIN / "reeve", "journal", "export", "--state", self.folder / "master"], capture_output=True, text=True,
                             check=True).stdout
        return [json.loads(line) for line in out.splitlines()]

    def test_readers_that_are_killed_and_stopped_end_with_the_journal_s_sequence(self):
        print(f"REEVE_SEED={SEED}", flush=True)
        chance = random.Random(SEED)
        self.start_master()
        self.start_agent("a", vcores=4)
        readers = [Reader(self, f"reader-{k}") for k in range(3)]
        self.addCleanup(lambda: [r.kill() for r in readers if r.process.poll() is None])
        for reader in readers:
            reader.start()
        await_true(lambda: all(r.events() for r in readers), "the first event")
        disconnected = sum(r.disconnect() for r in readers)
        self.assertGreaterEqual(disconnected, len(readers))
        for kill in range(MASTER_KILLS):
            for k in range(5):
                queue = chance.choice([[], ["--queue", "batch"]])
                if k == 0:  # fails
                    self.cli("submit", "-o", "quiet", *queue, "--", "sh", "-c", f"exit {chance.randrange(1, 9)}")
                elif k == 1:  # never begins
                    waits = self.submit("--vcores", 99, *queue, "--", "true")
                    self.cli("job", "hold", waits, "--reason", "not yet")
                    self.cli("job", "cancel", waits, "--reason", "not needed")
                else:
                    self.cli("submit", "-o", "quiet", "--executor", "noop", "--array", f"0-{chance.randrange(1, 50)}", *queue, "--")
                victim = chance.choice(readers)
                deed = chance.choice(["kill", "stop", "continue", "disconnect", "nothing"])
                if deed == "kill":
                    victim.kill()
                    victim.start()
                elif deed == "stop":
                    victim.process.send_signal(signal.SIGSTOP)
                elif deed == "disconnect":
                    disconnected += victim.disconnect()
                elif deed == "continue":
                    victim.process.send_signal(signal.SIGCONT)
            if kill % 2 == 0:
                self.master.kill()
            else:
                self.master.kill(signal.SIGTERM)
            self.start_master()
        await_true(lambda: (now := self.cli("stats", "-o", "json").json)["jobs_pending"] + now["jobs_running"] == 0, "the end of all jobs")
        number = self.submit("--name", "the-last", "--", "true")
        told = self.sequence(number)
        last = told[-1]
        for reader in readers:
            reader.process.send_signal(signal.SIGCONT)

            def there(r=reader):
                if r.process.poll() is not None:  # the master was killed before it was connected: it said so, and ended
                    self.assertIn("reeve: ", r.said.read_text(), "it ended without a word")
                    r.start()
                return any((e["seq"], e["part"]) >= (last["seq"], last["part"]) for e in r.events()[-20:])
            await_true(there, "the last event", 60)
            reader.kill()
        entries = self.entries()
        self.assertEqual([entry["seq"] for entry in entries], list(range(1, len(entries) + 1)), "the journal has no gap")
        derived = [e for e in Derived(entries).events if (e["seq"], e["part"]) <= (last["seq"], last["part"])]
        for event, wanted in itertools.zip_longest(told, derived):
            self.assertEqual(event, wanted)
        whole = {(e["seq"], e["part"]): e for e in derived}
        for reader in readers:
            seen = {}
            for event in reader.events():
                # A reader that was killed asks for its last seq again: that one may come twice, the same.
                key = (event["seq"], event["part"])
                self.assertEqual(seen.setdefault(key, event), event)
            self.assertEqual({k: e for k, e in seen.items() if k <= (last["seq"], last["part"])}, whole)
            self.assertEqual(list(seen), sorted(seen))
        self.assertEqual(collections.Counter(e["kind"] for e in told)["job.submitted"], 5 * MASTER_KILLS + 1)
        self.assertEqual(collections.Counter(e["kind"] for e in told)["job.ended"], 5 * MASTER_KILLS + 1)
        self.assertEqual(collections.Counter(e["kind"] for e in told)["master.started"], MASTER_KILLS + 1)

    def test_a_hook_is_run_for_each_event_again_when_it_fails_and_goes_on_where_it_stopped(self):
        self.start_master()
        self.start_agent("a")
        place, told, once = self.path("place"), self.path("told"), self.path("once")
        command = f'test -e {once} || {{ touch {once}; exit 1; }}; echo "$REEVE_EVENT_KIND $REEVE_EVENT_JOB" >> {told}'
        hook = ["events", "--from", "start", "--filter", "job.ended", "--place", place, "--exec", command]
        self.cli("submit", "--wait", "--", "true")
        said = self.cli(*hook, "--count", 1)
        self.assertIn("exit code 1, again in 1s", said.err)
        self.master.kill()
        self.start_master()
        self.cli("submit", "--wait", "--", "true")
        self.cli(*hook, "--count", 1)
        self.assertEqual(pathlib.Path(told).read_text().splitlines(), ["job.ended 1", "job.ended 2"])
        self.assertIn("failed 2 times", self.cli("events", "--from", "start", "--exec", "exit 3", "--tries", 2, code=3).err)
        pathlib.Path(place).write_text("here", encoding="utf-8")
        self.assertIn("--place", self.cli(*hook, code=2).err)

    def test_a_webhook_gets_each_event_and_is_tried_again_when_it_fails(self):
        self.start_master()
        got, answers = [], [500, 200, 200]

        class Webhook(http.server.BaseHTTPRequestHandler):
            def do_POST(self):
                got.append((self.headers["Content-Type"], json.loads(self.rfile.read(int(self.headers["Content-Length"])))))
                self.send_response(answers.pop(0))
                self.end_headers()

            def log_message(self, *_):
                pass

        with http.server.HTTPServer(("127.0.0.1", 0), Webhook) as server:
            thread = threading.Thread(target=server.serve_forever)
            thread.start()
            try:
                self.submit("--name", "it's \"quoted\" $HOME", "--", "true")
                self.submit("--", "true")
                hook = ["events", "--from", "start", "--filter", "job.submitted", "--post", f"http://127.0.0.1:{server.server_port}/reeve"]
                said = self.cli(*hook, "--count", 2)
                self.assertIn("again in 1s", said.err)
                self.assertEqual([(kind, e["kind"], e["job"], e["name"]) for kind, e in got],
                                 [("application/json", "job.submitted", job, name) for job, name in [(1, "it's \"quoted\" $HOME")] * 2 + [(2, "true")]])
            finally:
                server.shutdown()
                thread.join()

    def test_events_metrics_history_page_and_command_line_agree(self):
        self.start_master()
        self.start_agent("a", vcores=4)
        dashboard = Process([BIN / "reeve-dashboard", "--master", self.endpoint, "--listen", "127.0.0.1:*"], r"^serving (\S+)$",
                            self.folder / "dashboard.log")
        self.addCleanup(dashboard.kill, signal.SIGTERM)
        url = dashboard.ready[1]

        def get(path):
            with urllib.request.urlopen(url + path, timeout=30) as answer:
                return answer.read().decode()

        self.cli("submit", "--executor", "noop", "--array", "0-299", "--wait")
        self.cli("submit", "--array", "0-4", "--retries", 1, "--wait", "--", "sh", "-c", "exit $((REEVE_TASK % 2))", code=1)
        stopped = self.submit("--", "sleep", "600")
        await_true(lambda: self.job(stopped)["jobs"][0]["progress"]["assigned"] == 1, "it runs")
        self.cli("job", "cancel", stopped)
        self.cli("job", "wait", stopped, code=1)
        wanted = {"succeeded": 303, "failed": 2, "cancelled": 1}
        stats = self.cli("stats", "-o", "json").json
        self.assertEqual({k: stats[k] for k in wanted}, wanted, "command line")
        metrics = get("/metrics")
        self.assertEqual({k: int(float(re.search(rf'reeve_tasks_finished_total{{outcome="{k}"}} (\S+)', metrics)[1])) for k in wanted}, wanted, "metrics")
        overview = json.loads(get("/api/overview"))["stats"]
        self.assertEqual({k: overview[k] for k in wanted}, wanted, "page")
        by_user = self.cli("history", "--by", "user", "-o", "json").json["rows"]
        self.assertEqual(sum(row["tasks"] for row in by_user), 306, "history")
        self.assertEqual([sum(row[k] for row in by_user) for k in ("jobs", "succeeded", "failed", "cancelled")], [3, 1, 1, 1])
        by_node = self.cli("history", "attempts", "--by", "node", "-o", "json").json["rows"]
        self.assertEqual([(row["node"], row["attempts"], row["succeeded"], row["failed"]) for row in by_node], [("a", 308, 303, 4)])
        rows = self.cli("history", "attempts", "--limit", 0, "-o", "json").json["rows"]
        self.assertEqual(collections.Counter(row["cause"] for row in rows), {"none": 303, "exit_code": 4, "cancelled": 1})
        events = self.sequence(stopped)
        self.assertEqual(sum(e["numbers"]["tasks"] for e in events if e["kind"] == "task.succeeded"), 303, "events")
        self.assertEqual(collections.Counter(e["name"] for e in events if e["kind"] == "task.failed"), {"exit_code": 4, "cancelled": 1})
        self.assertEqual(collections.Counter(e["name"] for e in events if e["kind"] == "job.ended"), {"succeeded": 1, "failed": 1, "cancelled": 1})
        csv = self.cli("history", "--csv", "--limit", 0).out.splitlines()
        self.assertEqual((csv[0].split(",")[0], len(csv)), ("job", 4))


if __name__ == "__main__":
    main()
