# What becomes of work that does not go well, with real processes: retry rules, held tasks, work that is moved and goes on elsewhere.
import json
import os
import pathlib
import shutil
import stat
import subprocess
import time

from cluster import BIN, Cluster, await_true, main


class Recovery(Cluster):
    def setUp(self):
        super().setUp()
        self.start_master("--set", "retry.first=10ms")

    def task(self, number, index=0):
        return self.cli("task", "list", number, "--limit", 0, "-o", "json").json["tasks"][index]

    def await_state(self, number, state):
        return await_true(lambda: self.task(number)["state"] == state and self.task(number), f"task {number}/0 {state}")

    # ---- tries

    def test_a_retry_rule_tries_again_by_exit_code_and_counts_apart_from_retries(self):
        self.start_agent("a")
        number = self.submit("--retry-on", "exit:75=2", "--", "sh", "-c", "[ $REEVE_ATTEMPT = 3 ] || exit 75")
        self.cli("job", "wait", number)
        self.assertEqual(self.task(number)["attempt"], 3)
        never = self.submit("--retries", 5, "--retry-on", "exit:1-9=0", "--", "sh", "-c", "exit 3")
        self.cli("job", "wait", never, code=1)
        self.assertEqual(self.task(never)["attempt"], 1)

    def test_a_task_that_used_up_its_tries_is_held_says_why_and_goes_on_when_retried(self):
        self.start_agent("a")
        good = self.path("good")
        number = self.submit("--retry-on", "signal:KILL=1:hold", "--", "sh", "-c", f"[ -e {good} ] || kill -KILL $$")
        why = "signal 9, as has happened 2 times; its retry rule allows 1 further try"
        self.assertEqual(self.await_state(number, "held")["reason"], why)
        self.assertIn(f"1 task is held; task 0: {why}", self.cli("job", "show", number).out)
        self.assertIn(f"is held: {why}", self.cli("task", "explain", f"{number}/0").out)
        pathlib.Path(good).touch()
        self.cli("job", "retry", number)
        self.cli("job", "wait", number)

    def test_a_nodes_own_trouble_is_not_charged_and_the_task_runs_when_it_is_over(self):
        self.start_agent("a")
        work = self.folder / "a" / "work"
        mode = work.stat().st_mode
        shutil.rmtree(work)
        number = self.submit("--", "true")
        await_true(lambda: self.task(number)["attempt"] >= 2, "a second attempt")
        self.assertEqual(self.task(number)["last"]["cause"], "node_trouble")
        work.mkdir(stat.S_IMODE(mode))
        self.cli("job", "wait", number)

    # ---- moving

    COUNTER = """n=$(cat {state} 2>/dev/null || echo 0)
trap 'echo $n > {state}; exit 0' USR1
trap '' TERM
echo up >> {ups}
while [ $n -lt 1000 ] && [ ! -e {end} ]; do n=$((n+1)); sleep 0.01; done
echo from $(cat {state} 2>/dev/null || echo 0) > $REEVE_RESULT"""

    def counter(self, *options):
        names = {name: self.path(name) for name in ("state", "ups", "end")}
        number = self.submit("--checkpoint-signal", "USR1", *options, "--", "sh", "-c", self.COUNTER.format(**names))
        self.await_ups(1)
        return number

    def await_ups(self, count):
        ups = pathlib.Path(self.path("ups"))
        await_true(lambda: ups.exists() and len(ups.read_text().split()) >= count, f"start {count}")

    def test_a_drain_with_a_deadline_moves_a_task_that_saves_its_state_and_goes_on_elsewhere(self):
        self.start_agent("a")
        number = self.counter()
        self.start_agent("b")
        self.cli("node", "drain", "a", "--reason", "new disk", "--deadline", "0s", "--wait")
        self.await_ups(2)
        task = self.await_state(number, "assigned")
        self.assertEqual((task["node"], task["attempt"]), ("b", 2))
        saved = int(pathlib.Path(self.path("state")).read_text())
        self.assertGreater(saved, 0)
        pathlib.Path(self.path("end")).touch()
        self.cli("job", "wait", number)
        self.assertEqual(self.job(number)["jobs"][0]["progress"]["succeeded"], 1)
        self.assertIn("what still runs there at", self.cli("node", "show", "a").out)

    def test_a_drain_waits_for_its_deadline_and_work_without_a_signal_is_ended_then(self):
        self.start_agent("a")
        number = self.submit("--", "sleep", "600")
        self.await_state(number, "assigned")
        self.start_agent("b")
        self.cli("node", "drain", "a", "--deadline", "1h")
        self.assertEqual(self.task(number)["node"], "a")
        self.cli("node", "drain", "a", "--deadline", "0s")
        await_true(lambda: self.task(number)["node"] == "b", "the move")
        self.cli("job", "cancel", number)

    def test_from_a_node_in_quarantine_goes_only_what_can_save_its_state(self):
        self.cli("master", "config", "migration.quarantined_after=100ms")
        self.start_agent("a", vcores=4)
        stays = self.submit("--", "sleep", "600")
        number = self.counter()
        self.await_state(stays, "assigned")
        self.start_agent("b")
        self.cli("node", "quarantine", "a", "--for", "1h")
        self.await_ups(2)
        self.assertEqual(self.await_state(number, "assigned")["node"], "b")
        self.assertEqual(self.task(stays)["node"], "a")
        self.cli("job", "cancel", stays, number)

    # ---- stragglers

    def test_a_straggler_gets_a_copy_on_another_node_and_the_first_to_end_well_counts(self):
        self.start_agent("a", vcores=4)
        script = f"[ $REEVE_ARRAY_INDEX != 3 ] || [ $REEVE_ATTEMPT != 1 ] || while [ ! -e {self.path('never')} ]; do sleep 0.05; done; hostname"
        number = self.submit("--speculate", "--name", "render", "--array", "0-3", "--", "sh", "-c", script)
        await_true(lambda: self.job(number)["jobs"][0]["progress"]["succeeded"] == 3, "the three others")
        self.start_agent("b")
        self.cli("job", "wait", number)
        attempts = self.cli("history", "attempts", "--job", number, "--task", 3, "-o", "json").json["rows"]
        self.assertEqual({(row["attempt"], row["node"], row["cause"]) for row in attempts}, {(1, "a", "superseded"), (2, "b", "none")})
        self.assertEqual(self.task(number, 3)["attempt"], 2)
        self.assertEqual(self.task(number, 3)["state"], "succeeded")
        kinds = [json.loads(line)["kind"] for line in self.cli("events", "--from", "start", "--past", "-o", "jsonl").out.splitlines()]
        self.assertEqual((kinds.count("task.copied"), kinds.count("task.superseded")), (1, 1))

    # ---- what is left on nodes

    def test_output_that_was_kept_for_long_enough_goes_and_a_dry_run_only_tells(self):
        self.start_agent("a")
        old, young = (self.submit("--", "echo", word) for word in ("old", "young"))
        self.cli("job", "wait", old, young)
        files = {number: self.folder / "a" / "output" / f"{number}.0.1.out" for number in (old, young)}
        long_ago = time.time() - 40 * 24 * 3600
        os.utime(files[old], (long_ago, long_ago))
        ask = [BIN / "reeve-agent", "--state", self.folder / "a", "sweep"]
        told = subprocess.run([*ask, "--dry-run"], capture_output=True, text=True, check=True).stdout
        self.assertRegex(told, r"^would remove the output of 1 attempt \(\S+(KiB| bytes)\) last written more than 30d00h ago; 1 younger one stays$")
        self.assertTrue(files[old].exists())
        subprocess.run(ask, capture_output=True, check=True)
        await_true(lambda: not files[old].exists(), "the old output's end")
        self.assertTrue(files[young].exists())

    # ---- checks

    def test_a_check_that_fails_drains_its_node_and_gives_it_back(self):
        sick, sicker = self.path("sick"), self.path("sicker")
        check = f"[ ! -e {sick} ] || {{ echo looking; cat {sick}; exit 3; }}"
        self.start_agent("a", "--check", check, "--check-interval", "50ms")

        def node():
            return self.cli("node", "list", "-o", "json").json["nodes"][0]

        self.cli("submit", "--wait", "--", "true")
        pathlib.Path(sicker).write_text("/data is not mounted\n\n", encoding="utf-8")
        pathlib.Path(sicker).rename(sick)
        await_true(lambda: node()["draining"], "the drain")
        self.assertEqual(node()["reason"], "/data is not mounted")
        waits = self.submit("--", "true")
        pathlib.Path(sick).unlink()
        self.cli("job", "wait", waits)
        self.assertFalse(node()["draining"])
        self.cli("node", "drain", "a", "--reason", "by hand")  # stays, whatever the check says
        waits = self.submit("--", "true")
        pathlib.Path(sick).touch()
        self.cli("job", "wait", waits, "--timeout", "300ms", code=6)
        pathlib.Path(sick).unlink()
        self.cli("job", "wait", waits, "--timeout", "300ms", code=6)
        self.assertEqual((node()["draining"], node()["reason"]), (True, "by hand"))

    # ---- sweeping

    def test_a_sweep_says_what_it_gives_back_and_a_dry_run_only_says_it(self):
        self.start_agent("a")
        self.cli("submit", "--wait", "--array", "0-2", "--executor", "noop")
        self.assertRegex(self.cli("master", "sweep", "--dry-run").out,
                         r"^would give back: nothing; the journal's next snapshot replaces [0-9]+ entries$")
        self.cli("master", "snapshot")
        self.assertEqual(self.cli("master", "sweep", "--dry-run").out.strip(), "would give back: nothing")
        self.cli("master", "config", "sweep.every=1d", "retention.jobs=1m")
        answer = self.cli("master", "sweep", "--dry-run", "-o", "json").json
        self.assertEqual((answer["changed"], answer["dry_run"]), (0, True))
        self.assertRegex(answer["text"], "^nothing; the journal's next snapshot replaces [0-9]+ entr")
        held = self.submit("--node-label", "no=where", "--", "true")
        self.cli("job", "hold", held)
        self.cli("master", "config", "retention.held=10ms")
        await_true(lambda: "1 abandoned job" in self.cli("master", "sweep", "--dry-run").out, "what is due")
        self.assertEqual(self.job(held)["jobs"][0]["progress"]["state"], "held")
        self.cli("master", "sweep")
        await_true(lambda: self.job(held)["jobs"][0]["progress"]["state"] == "cancelled", "the sweep")


if __name__ == "__main__":
    main()
