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
        file.write_text('[day]\norder = "priority"\n[night]\nranking = "nearest"\n')
        refused = self.cli("queue", "set", "--file", file, code=3)
        self.assertRegex(refused.err, "queue.night.ranking.*one of round-robin.*got 'nearest'")
        self.assertNotIn("day", self.cli("queue", "list").out, "nothing of the file was taken")
        refused = self.cli("queue", "set", "night", "order=fifo", "backfill_depth=none", code=3)
        self.assertRegex(refused.err, "queue.night.backfill_depth.*got 'none'")
        self.assertEqual(self.cli("queue", "show", "night", "-o", "json").json["settings"]["order"], "fair")
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

    def test_a_dry_run_looks_at_all_jobs_and_at_what_they_would_wait_for(self):
        self.start_agent("a", vcores=2)
        running = self.submit("--", *self.gate("one"))
        self.await_states(running, ["assigned"])
        answer = self.cli("submit", "--dry-run", "--after", f"{running}:any", "--", "true").out
        self.assertIn(f"would wait for job {running} to end (running); as things stand it would then start on a", answer)
        file = pathlib.Path(self.path("graph.toml"))
        file.write_text('[[jobs]]\nname = "first"\ncommand = "true"\narray = "0-2"\n'
                        '[[jobs]]\nname = "second"\ncommand = "true"\nafter = ["first"]\n'
                        '[[jobs]]\nname = "huge"\ncommand = "true"\nvcores = 64\n')
        lines = self.cli("submit", "--dry-run", "--file", file).out.splitlines()
        self.assertEqual(lines[0], "first: would start now on a (ranking round-robin), 1 of its 3 tasks at once")
        self.assertIn("second: would wait for job first to succeed (submitted with it)", lines[1])
        self.assertIn("huge: would wait: no node can ever run it as it is; 1 node: too small: vcores; needs 64 vcores", lines[2])
        texts = self.cli("submit", "--dry-run", "--file", file, "-o", "json").json["texts"]
        self.assertEqual(len(texts), 3)
        self.assertIn("no job 99", self.cli("submit", "--dry-run", "--after", 99, "--", "true", code=4).err)
        self.cli("queue", "set", "default", "submit_limit=2")
        self.assertIn("takes at most 2", self.cli("submit", "--dry-run", "--file", file, code=3).err)
        self.assertEqual(len(self.cli("job", "list", "-o", "json").json["jobs"]), 1)
        waits = self.submit("--after", running, "--", "true")
        self.assertEqual(self.explained(f"{waits}/0")["summary"], f"waits for job {running} to succeed (running)")
        self.cli("job", "cancel", running)
        self.cli("job", "wait", running, waits, code=None)
        self.assertIn("is over: cancelled: job 1, which it waited for, failed", self.explained(f"{waits}/0")["summary"])

    def test_a_share_is_kept_and_leases_have_queues_and_limits(self):
        self.start_agent("a", vcores=4)
        self.cli("queue", "set", "urgent", "use_reserve=true", "user_limit=vcores=2")
        refused = self.cli("master", "config", "scheduler.reserve=vcores=101", code=3)
        self.assertRegex(refused.err, "scheduler.reserve.*percents from 0 to 100.*got 'vcores=101'")
        self.cli("master", "config", "scheduler.reserve=vcores=25")
        usual = self.submit("-a", "0-3", "--", *self.gate("one"))
        self.await_states(usual, ["assigned"] * 3 + ["pending"])
        self.assertEqual(self.explained(f"{usual}/3")["nodes"], {"reserved share: vcores": 1})
        urgent = self.submit("-q", "urgent", "--", *self.gate("two"))
        self.await_states(urgent, ["assigned"])
        self.open("two")
        self.cli("job", "wait", urgent)
        lease = self.cli("lease", "take", "--vcores", 1, "-q", "urgent", "--owner", "ada", "--limit", "db=1", "-o", "json").json
        self.assertEqual((lease["lease"]["queue"], lease["lease"]["limits"][0]["name"]), ("urgent", "db"))
        self.assertIn("the limit db is reached: 1 of 1",
                      self.cli("lease", "take", "--vcores", "0.1", "--limit", "db=1", code=3).err)
        self.assertIn("user ada may hold no more vcores",
                      self.cli("lease", "take", "--vcores", 2, "-q", "urgent", "--owner", "ada", code=3).err)
        self.master.kill()
        self.start_master()  # all of it is in the journal
        self.assertEqual([row["queue"] for row in self.cli("lease", "list", "-o", "json").json["leases"]], ["urgent"])
        limited = self.submit("--limit", "db=1", "-q", "urgent", "--vcores", "0", "--", "true")
        self.assertEqual(self.explained(f"{limited}/0")["summary"], "the limit db lets 1 task run at once")
        self.cli("lease", "release", lease["lease"]["lease"])
        self.cli("job", "wait", limited)

    def test_an_agent_that_pulls_works_and_run_times_outlive_the_master(self):
        self.start_agent("a", "--pull", vcores=1)
        self.assertTrue(self.cli("node", "show", "a", "-o", "json").json["nodes"][0]["pulls"])
        job = self.submit("-n", "nap7", "-a", "0-5", "--executor", "sleep", "--", "1000")
        self.cli("job", "wait", job)
        self.assertEqual(self.states(job), ["succeeded"] * 6)
        self.master.kill(15)
        self.start_master()
        await_true(lambda: self.cli("node", "list", "-o", "json").json["nodes"][0]["state"] == "up", "the agent is back")
        blocker = self.submit("--estimate", "1h", "--", *self.gate("one"))
        self.await_states(blocker, ["assigned"])
        nap = self.submit("-n", "nap8", "--executor", "sleep", "--", "1000")
        last = self.submit("--", "true")
        unknown = self.submit("--", "true")
        self.assertEqual(self.explained(f"{last}/0")["ahead"], 1)
        self.assertGreater(self.explained(f"{last}/0")["start_us"], 0, "it is known how long nap8 takes")
        self.assertEqual(self.explained(f"{unknown}/0").get("start_us", 0), 0, "nobody knows how long the one before runs")
        self.open("one")
        self.cli("job", "wait", nap, last, unknown)

    def test_graphs_wait_by_job_and_by_element_and_failures_end_what_they_should(self):
        self.start_agent("a", vcores=2)
        file = pathlib.Path(self.path("graph.toml"))
        file.write_text('[[jobs]]\nname = "a"\ncommand = "true"\nafter = ["b"]\n'
                        '[[jobs]]\nname = "b"\ncommand = "true"\nafter = ["a"]\n')
        self.assertRegex(self.cli("submit", "--file", file, code=3).err, "wait for each other: (a -> b -> a|b -> a -> b)")
        gate = self.gate("one")[-1]
        first = self.submit("-a", "0-1", "--", "sh", "-c", f"[ $REEVE_TASK = 0 ] || {gate}; exit $REEVE_TASK")
        second = self.submit("-a", "0-1", "--after", f"{first}:ok:each", "--", "true")
        alarm = self.submit("--after", f"{first}:fail", "--", "true")
        await_true(lambda: "succeeded" in self.states(second), "its element is done")
        self.assertEqual(self.states(first), ["assigned", "succeeded"])
        self.open("one")
        self.cli("job", "wait", first, second, alarm, code=1)
        self.assertEqual([self.states(job) for job in (first, second, alarm)],
                         [["failed", "succeeded"], ["cancelled", "succeeded"], ["succeeded"]])
        for policy, states in ((["--fail-fast"], ["cancelled"] * 3 + ["failed"]), ([], ["failed"] * 4)):
            failing = self.submit("-a", "0-3%1", *policy, "--", "false")
            self.cli("job", "wait", failing, code=1)
            self.assertEqual(self.states(failing), states)
        again = self.submit("--retries", 1, "--", "false")
        self.cli("job", "wait", again, code=1)
        self.assertEqual(self.tasks(again)[0]["attempt"], 2)

    def test_constraints_choose_nodes_and_indexed_resources_are_in_the_environment(self):
        self.start_agent("a", "-r", "gpu=2", "--label", "zone=east", "--label", "cores=8", vcores=4)
        self.start_agent("b", "--label", "zone=west", "--label", "cores=2", vcores=4)

        def nodes_of(*words):
            job = self.submit("-a", "0-1", *words, "--", "true")
            self.cli("job", "wait", job)
            return {task["node"] for task in self.tasks(job)}

        for constraint, node in (("zone=east,north", "a"), ("zone!=east", "b"), ("cores>4", "a"), ("cores<4", "b")):
            self.assertEqual(nodes_of("--constraint", constraint), {node}, constraint)
        self.assertEqual(nodes_of("--spread", "zone"), {"a", "b"})
        for task in (0, 1):
            self.gate(f"gate{task}")
        job = self.submit("-a", "0-1", "-r", "gpu=1", "--", "sh", "-c",
                          f"echo $REEVE_GPU $CUDA_VISIBLE_DEVICES; read line < {self.path('gate')}$REEVE_TASK")
        self.await_states(job, ["assigned"] * 2)
        self.assertIn("busy: gpu", self.explained(self.submit("-r", "gpu=0.5", "--", "true") + "/0")["nodes"])
        self.open("gate0")
        self.open("gate1")
        self.cli("job", "wait", job)
        said = sorted(self.cli("task", "logs", f"{job}/{task}").out.strip() for task in (0, 1))
        self.assertEqual(said, ["0 0", "1 1"])

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

    def test_who_is_pushed_out_is_asked_to_end_killed_after_its_grace_and_is_not_charged(self):
        self.start_agent("a", vcores=1)
        self.cli("queue", "set", "default", "order=priority", "preempt=true")
        asked = self.path("asked")  # the first try does not end when it is asked to, the second does at once
        low = self.submit("--priority", "-5", "--grace", "500ms", "--retries", 0, "--", "sh", "-c",
                          f"trap 'echo TERM >> {asked}' TERM; [ ! -e {asked} ] || exit 0; echo up > {self.path('up')};"
                          " while :; do sleep 600 & wait; done")
        await_true(lambda: pathlib.Path(self.path("up")).exists(), "it runs, and has its trap set")
        high = self.submit("--priority", "5", "--", "true")
        self.cli("job", "wait", high, low)
        self.assertEqual(pathlib.Path(asked).read_text(), "TERM\n", "asked once")
        self.assertEqual([task["attempt"] for task in self.tasks(low)], [2], "no retries allowed, none was needed")
        tries = self.cli("history", "attempts", "--job", low, "-o", "json").json["rows"]
        ended = {row["attempt"]: row for row in tries}
        self.assertEqual((ended[1]["cause"], ended[1]["signal"], ended[1]["text"]), ("preempted", 9, f"makes room for job {high} of priority 5"))
        self.assertGreaterEqual(ended[1]["ended_us"] - ended[1]["started_us"], 500_000)

    def test_gangs_and_exclusive_jobs_get_their_nodes(self):
        self.start_agent("a", "--label", "address=10.0.0.7", vcores=2)
        self.start_agent("b", vcores=2)
        alone = self.submit("--exclusive", "--", *self.gate("one"))
        self.await_states(alone, ["assigned"])
        gang = self.submit("-a", "0-3", "--gang", "--", "sh", "-c", "echo $REEVE_RANK of $REEVE_GANG_SIZE: $REEVE_PEERS")
        self.assertEqual(self.states(gang), ["pending"] * 4)
        self.open("one")
        self.cli("job", "wait", gang)
        tasks = sorted(self.tasks(gang), key=lambda task: task["index"])
        self.assertEqual({task["node"] for task in tasks}, {"a", "b"})
        peers = ",".join({"a": "10.0.0.7", "b": "b"}[task["node"]] for task in tasks)
        self.assertEqual([self.cli("task", "logs", f"{gang}/{task}").out.strip() for task in range(4)],
                         [f"{task} of 4: {peers}" for task in range(4)])

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
