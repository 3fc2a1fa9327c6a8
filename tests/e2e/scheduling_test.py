# Queues with real processes: settings that change while a master runs and outlive it, quotas, limits, priorities, preemption,
# explanations and dry runs, gangs and exclusive nodes, marks of utilisation, and the simulator on the journal that all this leaves.
import json
import pathlib
import subprocess

from cluster import BIN, Cluster, await_true, main


class Scheduling(Cluster):
    def setUp(self):
        super().setUp()
        self.start_master()

    def tasks(self, number):
        return self.cli("task", "list", number, "--limit", 0, "-o", "json").json["tasks"]

    def states(self, number):
        return sorted(task["state"] for task in self.tasks(number))

    def await_states(self, number, states):
        await_true(lambda: self.states(number) == sorted(states), f"job {number}: {states}")

    def explained(self, task):
        return self.cli("task", "explain", task, "-o", "json").json

    def gate(self, name):
        """A shell command that ends when `open(name)` was called."""
        path = self.path(name)
        subprocess.run(["mkfifo", path], check=True)
        return ["sh", "-c", f"read line < {path}"]

    def open(self, name, times=1):
        for _ in range(times):
            pathlib.Path(self.path(name)).write_text("go\n")

    def test_queues_are_set_listed_paused_and_outlive_the_master(self):
        refused = self.cli("queue", "set", "night", "order=fastest", code=3)
        self.assertRegex(refused.err, "queue.night.order.*one of fifo, priority.*got 'fastest'")
        self.assertEqual([q["name"] for q in self.cli("queue", "list", "-o", "json").json["queues"]], ["default"])
        self.cli("queue", "set", "night", "order=fair", "limit=vcores=1", "paused=true")
        file = pathlib.Path(self.path("queues.toml"))
        file.write_text('[day]\norder = "priority"\nuser_limit = { vcores = 4, tasks = 9 }\n["day.late"]\nweight = 3\n')
        self.cli("queue", "set", "--file", file)
        self.start_agent("a", vcores=2)
        job = self.submit("-q", "night", "-a", "0-1", "--", "true")
        self.assertEqual(self.explained(f"{job}/0")["summary"], "the queue night is paused")
        self.master.kill()
        self.start_master()
        await_true(lambda: self.cli("queue", "list").out.count("paused") == 1, "the queue is paused still")
        queues = {q["name"]: q for q in self.cli("queue", "list", "-o", "json").json["queues"]}
        self.assertEqual(sorted(queues), ["day", "day.late", "default", "night"])
        self.assertEqual(queues["day"]["settings"]["user_limit"], "tasks=9,vcores=4")
        self.cli("queue", "resume", "night")
        self.cli("job", "wait", job)
        self.cli("queue", "remove", "day")
        self.assertEqual(self.cli("queue", "show", "night", "-o", "json").json["settings"]["order"], "fair")

    def test_quotas_limits_and_leases_hold_and_say_so(self):
        self.start_agent("a", vcores=8)
        self.cli("queue", "set", "default", "user_limit=vcores=3", "submit_limit=10")
        job = self.submit("-a", "0-3", "-u", "ada", "--", *self.gate("one"))
        self.await_states(job, ["assigned"] * 3 + ["pending"])
        why = self.explained(f"{job}/3")
        self.assertEqual(why["summary"], "user ada may hold no more vcores")
        refused = self.cli("lease", "take", "--vcores", 1, "--owner", "ada", code=3)
        self.assertIn("user ada may hold no more vcores", refused.err)
        lease = self.cli("lease", "take", "--vcores", 2, "--owner", "bob", "-o", "quiet").out.strip()
        other = self.submit("-a", "0-1", "-u", "bob", "--", *self.gate("two"))
        self.await_states(other, ["assigned", "pending"])
        self.cli("lease", "release", lease)
        self.await_states(other, ["assigned"] * 2)
        refused = self.cli("submit", "-a", "0-9", "-u", "ada", "--", "true", code=3)
        self.assertIn("1 tasks of user ada wait in queue default, which takes at most 10", refused.err)
        limited = self.submit("-a", "0-2", "-u", "eve", "--limit", "db=1", "--", *self.gate("three"))
        self.await_states(limited, ["assigned", "pending", "pending"])
        self.assertEqual(self.explained(f"{limited}/1")["summary"], "the limit db lets 1 task run at once")

    def test_a_dry_run_and_explain_tell_where_and_why(self):
        self.assertIn("there are no nodes", self.cli("submit", "--dry-run", "--", "true").out)
        self.start_agent("a", "--label", "zone=east", vcores=2)
        self.start_agent("b", vcores=1)
        self.cli("queue", "set", "*", "ranking=best-fit")
        self.assertIn("would start now on b", self.cli("submit", "--dry-run", "--vcores", 1, "--", "true").out)
        self.assertIn("too small", self.cli("submit", "--dry-run", "--vcores", 9, "--", "true").out)
        self.assertEqual(self.cli("job", "list", "-o", "json").json["jobs"], [])
        job = self.submit("--vcores", 2, "--estimate", "1h", "--", *self.gate("one"))
        self.await_states(job, ["assigned"])
        self.assertEqual(self.explained(f"{job}/0")["summary"], "is on node a")
        waits = self.submit("--vcores", 2, "--node-label", "zone=east", "--", "true")
        why = self.explained(f"{waits}/0")
        self.assertEqual(why["nodes"], {"busy: vcores": 1, "has no label zone=east": 1})
        self.assertGreater(why["start_us"], 0)

    def test_higher_priority_pushes_out_lower_which_waits_again(self):
        self.start_agent("a", vcores=2)
        self.cli("queue", "set", "default", "order=priority", "preempt=true")
        low = self.submit("-a", "0-1", "--priority", "-5", "--grace", "1s", "--", "sleep", "600")
        self.await_states(low, ["assigned"] * 2)
        high = self.submit("--priority", "5", "--", "true")
        self.cli("job", "wait", high)
        self.await_states(low, ["assigned"] * 2)
        attempts = sorted(task["attempt"] for task in self.tasks(low))
        self.assertEqual(attempts, [1, 2], "one was stopped, no more than needed, and runs again")
        self.cli("job", "cancel", low)

    def test_gangs_and_exclusive_jobs_get_their_nodes(self):
        self.start_agent("a", vcores=2)
        self.start_agent("b", vcores=2)
        alone = self.submit("--exclusive", "--", *self.gate("one"))
        self.await_states(alone, ["assigned"])
        gang = self.submit("-a", "0-3", "--gang", "--", "sh", "-c", "echo $REEVE_RANK of $REEVE_GANG_SIZE")
        self.assertEqual(self.states(gang), ["pending"] * 4)
        self.open("one")
        self.cli("job", "wait", gang)
        self.assertEqual({task["node"] for task in self.tasks(gang)}, {"a", "b"})

    def test_a_node_above_its_mark_gets_no_work_and_the_journal_says_why(self):
        self.cli("master", "config", "scheduler.high_memory=1", "scheduler.adjust_every=0", "heartbeat.interval=50ms")
        self.start_agent("a")

        def closed():
            job = self.submit("--", "true")
            answer = self.cli("task", "explain", f"{job}/0", "-o", "json", code=None)  # it may be over already
            return answer.code == 0 and "above its high mark" in answer.json["nodes"]

        await_true(closed, "more than 1 % of 4 GiB is in use on any machine")
        self.cli("master", "config", "scheduler.high_memory=0")
        self.cli("job", "wait", "all")
        self.master.kill(15)
        lines = self.cli("journal", "export", "--state", self.path("master")).out.splitlines()
        tuned = [entry["body"] for entry in map(json.loads, lines) if entry["type"] == "NodeTuned"]
        self.assertEqual([entry["closed"] for entry in tuned][:1], [True])
        self.assertRegex(tuned[0]["reason"], "memory [0-9]+ % in use, at its high mark: no new work")

    def test_the_simulator_compares_policies_on_a_trace_and_on_a_journal(self):
        self.start_agent("a")
        for _ in range(5):
            self.submit("--wait", "--executor", "sleep", "--", "1000")
        plot, trace = self.path("plot.svg"), pathlib.Path(__file__).parents[2] / "examples" / "small.swf"
        found = self.cli("sim", trace, "-p", "backfill=strict", "-p", "backfill=easy", "--svg", plot, "-o", "json").json["policies"]
        self.assertEqual([p["unfinished_tasks"] for p in found], [0, 0])
        self.assertLess(found[1]["mean_wait_s"], found[0]["mean_wait_s"])
        self.assertTrue(pathlib.Path(plot).read_text().startswith("<svg "))
        again = self.path("again.swf")
        made = [BIN / "reeve", "sim", "--generate", "1000", "--save"]
        subprocess.run([*made, again], check=True, capture_output=True)
        self.assertEqual(pathlib.Path(again).read_text(), trace.read_text(), "the example is what the generator makes")
        recorded = self.cli("sim", self.path("master"), "-p", "order=spt", "-o", "json").json["policies"][0]
        self.assertEqual((recorded["jobs"], recorded["unfinished_tasks"]), (5, 0))


if __name__ == "__main__":
    main()
