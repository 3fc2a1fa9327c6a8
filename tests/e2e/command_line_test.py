# The command line as people use it: what the documents show, Ctrl-C at a terminal, events through a killed master, the
# journal's file without a master.
import json
import os
import pathlib
import pty
import re
import select
import signal
import subprocess
import time

from cluster import BIN, PATIENCE, Cluster, main

ROOT = pathlib.Path(__file__).resolve().parents[2]


def shell_lines(path):
    """The lines of a document's shell blocks that begin with `reeve `."""
    blocks = re.findall(r"^```sh\n(.*?)^```", (ROOT / path).read_text(encoding="utf-8"), flags=re.S | re.M)
    return [line for block in blocks for line in block.splitlines() if line.startswith("reeve ")]


class Documents(Cluster):
    def test_what_readme_and_quickstart_show_works_as_written(self):
        self.start_master()
        self.start_agent("n1")
        here = self.folder / "here"
        here.mkdir()
        (here / "urls.txt").write_text("file:///dev/null\n")
        (here / "render.sh").write_text("#!/bin/sh\necho $1\n")
        environment = os.environ | {"REEVE_MASTER": self.endpoint, "PATH": f"{BIN}:{os.environ['PATH']}"}
        count = 0
        for document in ("README.md", "docs/quickstart.md"):
            for line in shell_lines(document):
                count += 1
                done = subprocess.run(["sh", "-c", f"exec {line}"], cwd=here, env=environment, capture_output=True, text=True,
                                      timeout=PATIENCE, check=False)
                self.assertEqual(done.returncode, 0, f"{document}: {line}\n{done.stdout}{done.stderr}")
            self.cli("node", "undrain", "all")
        self.assertGreater(count, 20)


class Terminal(Cluster):
    """`reeve` at a terminal of its own."""

    def setUp(self):
        super().setUp()
        self.start_master()
        self.start_agent("a")

    def at_terminal(self, *words, until, then):
        """What it shows; once `until` has been seen, `then` is typed. And its exit code."""
        pid, terminal = pty.fork()
        if pid == 0:
            os.environ.pop("NO_COLOR", None)
            os.execv(BIN / "reeve", ["reeve", "--master", self.endpoint, *words])
        shown, typed, deadline = "", False, time.monotonic() + PATIENCE
        while select.select([terminal], [], [], max(0, deadline - time.monotonic()))[0]:
            try:
                shown += os.read(terminal, 65536).decode()
            except OSError:  # it has ended
                break
            if not typed and re.search(until, shown):
                os.write(terminal, then)
                typed = True
        else:
            os.kill(pid, signal.SIGKILL)
        os.close(terminal)
        return shown, os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])

    def test_ctrl_c_leaves_the_job_running_and_says_how_to_find_it(self):
        shown, code = self.at_terminal("submit", "--wait", "--array", "1-100", "--executor", "sleep", "--", "0.2s",
                                       until=r"\[#", then=b"\x03")
        self.assertEqual(code, 130, shown)
        self.assertIn("job 1 keeps running (reeve job wait 1 waits again, reeve job cancel 1 ends it)", shown)
        self.assertEqual(self.job(1)["jobs"][0]["progress"]["state"], "running")
        self.cli("job", "cancel", "1")

    def test_followed_output_ends_with_ctrl_c_as_well(self):
        shown, code = self.at_terminal("submit", "--follow", "--", "sh", "-c", "while :; do echo more; sleep 0.1; done",
                                       until="more", then=b"\x03")
        self.assertEqual(code, 130, shown)
        self.assertIn("job 1 keeps running", shown)
        self.cli("job", "cancel", "1")


class Events(Cluster):
    def test_a_reader_misses_nothing_unnoticed_when_the_master_is_killed(self):
        self.start_master()
        self.start_agent("a")
        reader = subprocess.Popen([BIN / "reeve", "--master", self.endpoint, "events", "--from", "start", "-o", "jsonl"],
                                  stdout=subprocess.PIPE, text=True)
        self.addCleanup(reader.wait)
        self.addCleanup(reader.kill)
        self.addCleanup(reader.stdout.close)
        jobs = []
        for _ in range(3):
            jobs += [self.submit("--", "true") for _ in range(5)]
            self.master.kill()
            self.start_master()
        last = self.submit("--", "true")
        seen, gaps, positions = set(), [], []
        for line in reader.stdout:
            event = json.loads(line)
            if event["kind"] == "stream.gap":
                gaps.append((event["numbers"]["first"], event["numbers"]["last"]))
                continue
            positions.append((event["seq"], event["part"]))
            if event["kind"] == "job.submitted":
                seen.add(str(event["job"]))
                if str(event["job"]) == last:
                    break
        self.assertEqual(positions, sorted(set(positions)))  # in order, none twice
        self.master.kill(signal.SIGTERM)
        entries = self.cli("journal", "export", "--state", self.path("master")).out.splitlines()
        for entry in map(json.loads, entries):
            if entry["type"] == "JobsSubmitted" and str(entry["body"]["first"]) not in seen:
                self.assertTrue(any(first <= entry["seq"] <= end for first, end in gaps), entry)


class JournalFile(Cluster):
    def test_a_compacted_journal_gives_the_same_cluster(self):
        self.start_master()
        self.start_agent("a")
        self.cli("submit", "--name", "one", "--array", "1-20", "--wait", "--", "true")
        self.cli("submit", "--name", "two", "--vcores", "64", "--", "true")
        self.cli("master", "config", "retention.jobs=2h")
        before = self.cli("job", "list", "-o", "json").json["jobs"]
        state = ("--state", self.path("master"))
        self.cli("journal", "verify", *state)  # beside the running master
        self.cli("journal", "compact", *state, code=3)
        self.master.kill(signal.SIGTERM)
        self.cli("journal", "compact", *state)
        verified = self.cli("journal", "verify", *state, "-o", "json").json
        self.assertEqual((verified["replayed"], verified["torn_tail"]), (0, ""))
        self.start_master()
        self.assertEqual(self.cli("job", "list", "-o", "json").json["jobs"], before)
        self.assertEqual(self.cli("master", "config", "retention.jobs", "-o", "quiet").out, "2h\n")


if __name__ == "__main__":
    main()
