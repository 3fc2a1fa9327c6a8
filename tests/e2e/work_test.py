# One cluster at ordinary work: jobs of every kind from submit to logs, cancelling, waiting, leases, drain.
import json
import pathlib
import subprocess

from cluster import BIN, Cluster, await_true, main


class Work(Cluster):
    def setUp(self):
        super().setUp()
        self.start_master()

    def progress(self, number):
        return self.job(number)["jobs"][0]["progress"]

    def tasks(self, number):
        return self.cli("task", "list", number, "--limit", 0, "-o", "json").json["tasks"]

    def await_task(self, number, state, index=0):
        await_true(lambda: self.tasks(number)[index]["state"] == state, f"task {number}/{index} {state}")

    # ---- jobs

    def test_a_job_runs_and_its_output_end_and_use_are_told(self):
        self.start_agent("a")
        number = self.submit("--name", "greet", "--env", "WHOM=world", "--", "sh", "-c", "echo hello $WHOM; echo oops >&2")
        self.cli("job", "wait", number)
        self.assertEqual(self.progress(number)["state"], "succeeded")
        task = self.tasks(number)[0]
        self.assertEqual((task["state"], task["node"], task["attempt"]), ("succeeded", "a", 1))
        self.assertEqual((task["last"]["stdout_bytes"], task["last"]["stderr_bytes"]), (12, 5))
        self.assertGreater(task["last"]["usage"]["max_rss_bytes"], 0)
        self.assertGreater(task["last"]["usage"]["wall_us"], 0)
        self.assertEqual(self.cli("task", "logs", f"{number}/0", "--stdout").out, "hello world\n")
        self.assertEqual(self.cli("task", "logs", f"{number}/0", "--stderr").err, "oops\n")
        row = self.cli("history", "--name", "greet", "-o", "json").json["rows"][0]
        self.assertEqual((row["state"], row["tasks"], row["succeeded"]), ("succeeded", 1, 1))

    def test_an_array_runs_each_index_once_and_no_more_at_once_than_told(self):
        self.start_agent("a", vcores=4)
        ran = self.path("ran")
        number = self.submit("--array", "1-39:2%2", "--", "sh", "-c", f"echo $REEVE_ARRAY_INDEX >> {ran}")
        self.cli("job", "wait", number)
        self.assertEqual(sorted(map(int, pathlib.Path(ran).read_text().split())), list(range(1, 40, 2)))
        spans = [(t["last"]["started_us"], t["last"]["ended_us"]) for t in self.tasks(number)]
        for start, _ in spans:
            self.assertLessEqual(sum(a <= start < b for a, b in spans), 2, "--array %2")

    def test_each_line_is_a_task_with_its_item(self):
        self.start_agent("a")
        number = self.cli("submit", "-o", "quiet", "--each-line", "-", "--", "echo", "<{}>", stdin="red\ndark blue\n").out.strip()
        self.cli("job", "wait", number)
        self.assertEqual([self.cli("task", "logs", f"{number}/{k}").out for k in range(2)], ["<red>\n", "<dark blue>\n"])

    def test_a_failing_task_says_how_it_ended_and_fails_the_wait(self):
        self.start_agent("a")
        answer = self.cli("submit", "--array", "0-2", "--retries", 1, "--wait", "--", "sh", "-c", "exit $((REEVE_TASK * 7))", code=1)
        self.assertRegex(answer.out + answer.err, "exit code (7|14)\\b", "of whichever of the two failed first")
        tasks = self.tasks(1)
        self.assertEqual([task["state"] for task in tasks], ["succeeded", "failed", "failed"])
        self.assertEqual([task["attempt"] for task in tasks], [1, 2, 2], "tried once more")
        self.assertEqual(tasks[2]["last"]["cause"], "exit_code")
        self.assertEqual(tasks[2]["last"]["exit_code"], 14)
        self.cli("job", "wait", 1, code=1)

    def test_a_wait_tells_exit_codes_of_jobs_that_the_master_has_forgotten(self):
        self.cli("master", "config", "retention.jobs=0s")  # each is forgotten as soon as it has ended
        self.start_agent("a")
        late = self.folder / "late"
        bad, good = self.submit("--", "sh", "-c", "exit 3"), self.submit("--array", "1-4", "--", "true")
        last = self.submit("--", "sh", "-c", f"until test -e {late}; do sleep 0.05; done")
        words = [BIN / "reeve", "--master", self.endpoint, "job", "wait", bad, good, last, "-o", "json"]
        wait = subprocess.Popen(words, stdout=subprocess.PIPE, text=True)
        self.addCleanup(wait.kill)
        await_true(lambda: [j["progress"]["job"] for j in self.cli("job", "list", "-o", "json").json["jobs"]] == [int(last)], "that two are forgotten")
        late.touch()
        told = wait.communicate(timeout=60)[0]
        self.assertEqual(wait.returncode, 1)
        ends = [(j["state"], j["total"], j["succeeded"], j["exit_code"]) for j in json.loads(told)["jobs"]]
        self.assertEqual(ends, [("failed", 1, 0, 3), ("succeeded", 4, 4, 0), ("succeeded", 1, 1, 0)])
        self.assertIn("exit code 3", self.cli("job", "wait", bad, good, last, code=1).out)
        self.assertIn("no job 99", self.cli("job", "wait", good, "99", code=4).err)

    def test_what_cannot_start_or_takes_too_long_says_so(self):
        self.start_agent("a")
        lost = self.submit("--", "no-such-program")
        slow = self.submit("--time-limit", "100ms", "--", "sleep", "600")
        self.cli("job", "wait", lost, slow, code=1)
        self.assertEqual(self.tasks(lost)[0]["last"]["cause"], "start_failed")
        self.assertIn("command not found: no-such-program", self.tasks(lost)[0]["last"]["text"])
        self.assertEqual(self.tasks(slow)[0]["last"]["cause"], "time_limit")

    def test_cancelling_ends_what_runs_and_what_waits(self):
        self.start_agent("a", vcores=1)
        number = self.submit("--array", "0-9", "--", "sleep", "600")
        self.await_task(number, "assigned")
        self.cli("job", "cancel", number, "--reason", "enough")
        self.cli("job", "wait", number, code=1)
        self.assertEqual(self.progress(number)["state"], "cancelled")
        self.assertEqual(self.progress(number)["cancelled"], 10)
        answer = self.cli("submit", "--wait", "--", "true")  # and the node is free again
        self.assertEqual(answer.code, 0)

    def test_a_task_says_why_it_waits_and_starts_when_a_node_comes(self):
        number = self.submit("--vcores", 2, "--", "true")
        self.assertEqual(self.progress(number)["state"], "pending")
        self.start_agent("small", vcores=1)
        reason = await_true(lambda: self.cli("task", "explain", f"{number}/0").out, "a reason")
        self.assertRegex(reason, "vcores|cpu|node")
        self.cli("job", "wait", number, "--timeout", "200ms", code=6)
        self.start_agent("large", vcores=2)
        self.cli("job", "wait", number)
        self.assertEqual(self.tasks(number)[0]["node"], "large")

    def test_logs_are_followed_while_a_task_runs(self):
        self.start_agent("a")
        gate = self.path("gate")
        subprocess.run(["mkfifo", gate], check=True)
        number = self.submit("--", "sh", "-c", f"echo first; read x < {gate}; echo $x")
        with subprocess.Popen([BIN / "reeve", "-m", self.endpoint, "job", "logs", number, "--follow"], stdout=subprocess.PIPE,
                              text=True) as reader:
            self.assertIn("first", reader.stdout.readline())
            pathlib.Path(gate).write_text("second\n", encoding="utf-8")
            self.assertIn("second", reader.stdout.readline())
            self.assertEqual(reader.wait(30), 0)

    def test_the_same_key_makes_no_second_job(self):
        self.start_agent("a")
        first = self.submit("--key", "k1", "--", "true")
        self.assertEqual(self.submit("--key", "k1", "--", "true"), first)
        self.assertEqual(len(self.cli("job", "list", "-o", "json").json["jobs"]), 1)

    def test_quiet_executors_run_a_large_array_without_processes(self):
        self.start_agent("a", vcores=2)
        number = self.submit("--executor", "noop", "--array", "0-199999")
        self.cli("job", "wait", number)
        self.assertEqual(self.progress(number)["succeeded"], 200_000)

    def test_bad_input_is_refused_with_the_field_and_changes_nothing(self):
        self.start_agent("a")
        for words, field in [(["--time-limit", "-5s"], "time"), (["--array", "5-"], "array"), (["--executor", "x" * 65], "executor")]:
            answer = self.cli("submit", *words, "--", "true", code=None)
            self.assertIn(answer.code, (2, 3), answer)
            self.assertIn(field, answer.err, answer)
        self.assertEqual(self.cli("job", "list", "-o", "json").json["jobs"], [])
        self.cli("job", "show", 77, code=4)

    # ---- nodes and leases

    def test_a_drained_node_ends_its_work_and_gets_no_more(self):
        self.start_agent("a", vcores=1)
        gate = self.path("gate")
        subprocess.run(["mkfifo", gate], check=True)
        runs = self.submit("--", "sh", "-c", f"read x < {gate}")
        self.await_task(runs, "assigned")
        self.cli("node", "drain", "a", "--reason", "new disk")
        waits = self.submit("--", "true")
        pathlib.Path(gate).write_text("go\n", encoding="utf-8")
        self.cli("job", "wait", runs)
        self.cli("node", "drain", "a", "--wait")
        node = self.cli("node", "list", "-o", "json").json["nodes"][0]
        self.assertEqual((node["draining"], node["reason"]), (True, "new disk"))
        self.assertEqual(self.progress(waits)["state"], "pending")
        self.cli("node", "undrain", "a")
        self.cli("job", "wait", waits)

    def test_a_lease_holds_resources_until_it_is_given_back_or_over(self):
        self.start_agent("a", vcores=2)
        lease = self.cli("lease", "take", "--vcores", 2, "--for", "10m", "-o", "quiet").out.strip()
        self.assertIn("vcore", self.cli("lease", "take", "--vcores", 1, "--for", "10m", code=3).err)
        answer = self.cli("lease", "take", "--node", "a", "--vcores", 1, "--for", "10m", code=3)
        self.assertIn("vcores: asked 1, available 0, capacity 2", answer.err)
        number = self.submit("--", "true")
        self.assertEqual(self.progress(number)["state"], "pending")
        self.cli("lease", "release", lease)
        self.cli("job", "wait", number)
        self.cli("lease", "take", "--vcores", 2, "--for", "300ms")
        self.cli("submit", "--wait", "--", "true")  # runs when the lease is over
        self.cli("lease", "take", "--node", "nowhere", "--vcores", 1, "--for", "1m", code=4)

    def test_agents_hear_the_beacon(self):
        self.start_agent("a")
        ask = [BIN / "reeve-agent", "status", "--state", self.folder / "a", "-o", "json"]

        def beacon():
            told = json.loads(subprocess.run(ask, capture_output=True, text=True, check=True).stdout)
            return told["masters"][0]["beacon"]

        beacon = await_true(beacon, "a beacon")
        self.assertEqual((beacon["cluster"], beacon["nodes_up"]), ("reeve", 1))
        table = subprocess.run(ask[:-2], capture_output=True, text=True, check=True).stdout
        self.assertIn("1 nodes up", table)


if __name__ == "__main__":
    main()
