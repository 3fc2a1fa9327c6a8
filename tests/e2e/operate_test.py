# What operators have when something is wrong: promises whose breach is an event, logs that can be turned up and followed by one id from
# submit to result, output of several tasks at once, and a bundle with everything for whoever helps.
import json
import os
import pathlib
import subprocess
import tarfile

from cluster import BIN, Cluster, await_true, main


class Operate(Cluster):
    def events(self, *kinds):
        words = [w for kind in kinds for w in ("--filter", kind)]
        out = self.cli("events", "--from", "start", "--past", *words, "-o", "jsonl").out
        return [json.loads(line) for line in out.splitlines()]

    def test_promises_that_break_are_events_once_and_stats_judges_by_them(self):
        self.start_master("--set", "sla.check_every=1s", "--set", "sla.reliability=90")
        self.start_agent("a")
        self.cli("submit", "--wait", "--", "true")
        self.cli("stats", "--since", "1h")
        self.cli("submit", "--wait", "--", "false", code=1)
        broken = await_true(lambda: self.events("sla"), "the breach")
        self.assertEqual([(e["kind"], e["name"], e["text"]) for e in broken], [("sla.breached", "reliability", "50 %, promised at least 90 %")])
        report = self.cli("stats", "--since", "1h", "-o", "json", code=1).json
        self.assertEqual([(t["target"], t["kept"]) for t in report["targets"]], [("reliability", False)])
        self.assertLessEqual(report["p50_wait_us"], report["p99_wait_us"])
        self.assertEqual(self.cli("stats", "-o", "json").json["counters"]["sla.broken.reliability"], 1)
        self.cli("stats", "--since", "1h", "--target", "reliability=40")
        self.master.kill()
        self.start_master()
        self.cli("master", "config", "sla.p99=1h")
        self.cli("master", "config", "sla.reliability=40")
        told = await_true(lambda: (e := self.events("sla")) and len(e) > 1 and e, "that it is kept again")
        self.assertEqual([e["kind"] for e in told], ["sla.breached", "sla.recovered"], "nothing twice, over a restart")
        self.assertEqual(told[0], broken[0])
        self.assertIn("per cent", self.cli("master", "config", "sla.reliability=101", code=3).err)

    def test_log_levels_change_at_run_time_and_lines_of_one_submission_are_found_by_its_id(self):
        log = self.folder / "reeved.json"
        self.start_master("--log-file", str(log), "--log-format", "json")
        self.start_agent("a", "--log-format", "json")
        self.cli("submit", "--wait", "--", "true")
        self.assertNotIn("job.submitted", log.read_text())
        self.cli("master", "log-level", "debug")
        said = subprocess.run([BIN / "reeve-agent", "log-level", "debug", "--state", self.folder / "a"], capture_output=True, text=True, check=True)
        self.assertEqual(said.stdout, "log level is debug\n")
        number = self.submit("--correlation", "order-66", "--", "sh", "-c", "echo $REEVE_CORRELATION")
        self.cli("job", "wait", number)
        self.assertEqual(self.cli("job", "logs", number).out, "order-66\n")

        def lines(path):
            every = [json.loads(line) for line in path.read_text().splitlines() if line.startswith("{")]
            return [line for line in every if line.get("correlation") == "order-66"]

        await_true(lambda: len(lines(log)) > 1, "its lines")
        self.assertEqual([line["text"] for line in lines(log)], ["job.submitted", "job.ended"])
        self.assertEqual([line["text"] for line in lines(self.folder / "a.log")], ["task starts", "task ended"])
        self.assertEqual([e["kind"] for e in self.events("job") if e["correlation"] == "order-66"], ["job.submitted", "job.ended"])
        self.assertEqual(self.job(number)["jobs"][0]["correlation"], "order-66")
        row = self.cli("history", "--job", number, "-o", "json").json["rows"][0]
        self.assertEqual(row["correlation"], "order-66")
        made = [self.job(n)["jobs"][0]["correlation"] for n in (1, self.submit("--", "true"))]
        self.assertEqual([len(id) for id in made], [16, 16], "made by the command line when none is given")
        self.assertNotEqual(*made)
        self.cli("master", "log-level", "error")
        size = log.stat().st_size
        self.cli("submit", "--wait", "--", "true")
        self.assertEqual(log.stat().st_size, size, "nothing is wrong, so nothing is said")
        self.assertIn("must be one of", self.cli("master", "log-level", "loud", code=3).err)
        bad = subprocess.run([BIN / "reeve-agent", "log-level", "loud", "--state", self.folder / "a"], capture_output=True, text=True, check=False)
        self.assertEqual(bad.returncode, 2)
        self.assertIn("must be one of", bad.stderr)

    def test_sqlite3_reads_the_history_beside_a_running_master(self):
        self.start_master()
        self.start_agent("a")
        database = str(self.folder / "master" / "history.db")

        def sql(text):
            done = subprocess.run(["sqlite3", "-readonly", "-json", database, text], capture_output=True, text=True, check=True)
            return json.loads(done.stdout or "[]")

        def history(*words):
            return self.cli("history", *words, "--limit", 0, "-o", "json").json["rows"]

        self.cli("submit", "--name", "good", "--queue", "batch", "--executor", "noop", "--array", "0-499", "--wait")
        self.cli("submit", "--name", "bad", "--wait", "--", "sh", "-c", "echo why; exit 3", code=1)
        self.cli("master", "config", "queue.batch.order=sjf")
        history()  # after which all of this has been written
        shell = subprocess.Popen(["sqlite3", "-readonly", database], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        self.addCleanup(shell.communicate)

        def count():
            shell.stdin.write("SELECT count(*) FROM jobs;\n")
            shell.stdin.flush()
            return int(shell.stdout.readline())

        shell.stdin.write("BEGIN;\n")
        self.assertEqual(count(), 2)
        self.cli("submit", "--name", "later", "--executor", "noop", "--array", "0-999", "--wait")
        self.assertEqual(len(history()), 3, "a reader in the middle of a transaction holds nothing up")
        self.assertEqual(count(), 2, "and sees what was when it began")
        shell.stdin.write("COMMIT;\n")
        self.assertEqual(count(), 3)
        for view, words in (("jobs", ["jobs"]), ("attempts", ["attempts"]), ("nodes", ["nodes"]), ("config", ["config"])):
            rows, told = sql(f"SELECT * FROM {view}"), history(*words)
            self.assertEqual(len(rows), len(told), view)
            shared = sorted(set(rows[0]) & set(told[0]))
            self.assertGreater(len(shared), 2, view)
            text = [sorted(tuple("" if row.get(name) is None else str(row[name]) for name in shared) for row in part) for part in (rows, told)]
            self.assertEqual(*text, view)
        self.assertEqual(sql("SELECT stdout FROM outputs WHERE job = 2"), [{"stdout": "why\n"}])
        self.assertEqual(sql("SELECT * FROM gaps"), [])
        # As docs/history.md has it.
        self.assertEqual(sql("SELECT name, count(*) AS jobs, sum(failed) AS failed FROM jobs GROUP BY name ORDER BY name"),
                         [{"name": "bad", "jobs": 1, "failed": 1}, {"name": "good", "jobs": 1, "failed": 0}, {"name": "later", "jobs": 1, "failed": 0}])
        written = subprocess.run(["sqlite3", "-readonly", database, "DELETE FROM job_rows"], capture_output=True, text=True, check=False)
        self.assertIn("readonly", written.stderr)

    def test_log_files_are_put_aside_and_only_so_many_kept(self):
        log = self.folder / "reeved.txt"
        self.start_master("--log-file", str(log), "--log-level", "debug", "--log-size", "1KiB", "--log-files", "3")
        self.start_agent("a")
        for _ in range(8):
            self.cli("submit", "--executor", "noop", "--array", "0-9", "--wait")
        kept = sorted(path.name for path in self.folder.glob("reeved*.txt"))
        self.assertEqual(kept, ["reeved.1.txt", "reeved.2.txt", "reeved.txt"])
        for name in kept:
            self.assertLessEqual((self.folder / name).stat().st_size, 1024)

    def test_several_tasks_are_followed_at_once_through_the_master_and_straight_from_the_agent(self):
        self.start_master()
        self.start_agent("a", vcores=4)
        gates = [self.path(f"gate{k}") for k in range(3)]
        for gate in gates:
            os.mkfifo(gate)
        number = self.submit("--array", "0-2", "--vcores", 1, "--", "sh", "-c",
                             f"echo begins $REEVE_TASK; read x < {self.folder}/gate$REEVE_TASK; echo $x >&2")
        other = self.submit("--", "echo", "other")
        await_true(lambda: self.job(number)["jobs"][0]["progress"]["assigned"] == 3, "they run")
        self.cli("job", "wait", other)
        follow = [[BIN / "reeve", "-m", self.endpoint, "logs", "-f", f"{number}/0,2", other],
                  [BIN / "reeve-agent", "logs", "-f", f"{number}/0", f"{number}/2", f"{other}/0", "--state", self.folder / "a"]]
        readers = []
        for words in follow:
            readers.append(subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True))
            self.addCleanup(readers[-1].kill)
        out = [[], []]
        for reader, lines in zip(readers, out):
            while len(lines) < 3:
                lines.append(reader.stdout.readline())
        for k, gate in enumerate(gates):
            pathlib.Path(gate).write_text(f"ends {k}\n")
        for reader, lines in zip(readers, out):
            rest, errors = reader.communicate(timeout=30)
            self.assertEqual(rest, "")
            self.assertEqual(sorted(lines), sorted([f"{number}/0: begins 0\n", f"{number}/2: begins 2\n", f"{other}/0: other\n"]))
            self.assertEqual(sorted(errors.splitlines()), [f"{number}/0: ends 0", f"{number}/2: ends 2"])
            self.assertEqual(reader.returncode, 0)
        self.master.kill()
        ended = subprocess.run([BIN / "reeve-agent", "logs", f"{number}/1", "--state", self.folder / "a"], capture_output=True, text=True, check=True)
        self.assertEqual((ended.stdout, ended.stderr), ("begins 1\n", "ends 1\n"), "with no master at all")
        none = subprocess.run([BIN / "reeve-agent", "logs", "99/0", "--state", self.folder / "a"], capture_output=True, text=True, check=False)
        self.assertIn("99/0 is on this machine", none.stderr)

    def test_a_bundle_holds_what_a_helper_needs_and_no_secret(self):
        log = self.folder / "reeved.log"
        self.start_master("--log-file", str(log))
        self.start_agent("a", "--label", "password=hunter2")
        self.cli("submit", "--name", "greet", "--wait", "--", "true")
        with open(log, "a") as extra:
            extra.write("someone wrote token=abcdef and https://ann:pa55@example.org/ here\n")
        bundle = self.folder / "bundle.tar.gz"
        said = self.cli("debug", "bundle", "--state", self.folder / "master", "--log", log, "--log", self.folder / "nothing.log", bundle)
        self.assertIn("left out: logs/nothing.log", said.err)
        self.assertEqual(bundle.stat().st_mode & 0o777, 0o600)
        with tarfile.open(bundle) as archive:
            files = {member.name.removeprefix("reeve-bundle/"): archive.extractfile(member).read().decode() for member in archive}
        self.assertLessEqual({"about.json", "master.json", "config.json", "stats.json", "nodes.json", "jobs.json", "leases.json",
                              "history/attempts.json", "events.jsonl", "state.json", "journal.json", "logs/reeved.log", "missing.json"}, set(files))
        for secret in ("hunter2", "abcdef", "pa55"):
            self.assertEqual([name for name, text in files.items() if secret in text], [], secret)
        self.assertIn("https://ann:(removed)@example.org/", files["logs/reeved.log"])
        kinds = [json.loads(line)["kind"] for line in files["events.jsonl"].splitlines()]
        self.assertEqual((kinds[0], kinds[-1]), ("master.started", "job.ended"))
        journal = json.loads(files["journal.json"])
        self.assertEqual([e["type"] for e in journal["entries"]][:2], ["EpochStarted", "NodeRegistered"])
        self.assertEqual(json.loads(files["jobs.json"])["jobs"][0]["name"], "greet")
        self.assertEqual(len(json.loads(files["missing.json"])), 1)
        self.master.kill()
        self.cli("debug", "bundle", "--state", self.folder / "master", "--timeout", "500ms", bundle)
        with tarfile.open(bundle) as archive:
            self.assertIn("reeve-bundle/journal.json", archive.getnames(), "of a master that does not run")


if __name__ == "__main__":
    main()
