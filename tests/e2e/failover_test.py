# Three masters over etcd: the leader is killed, stopped, asked to step down, and cut off from etcd while tasks run. What was
# acknowledged ends, each task runs and is recorded once. Repeat a failure with REEVE_SEED=<seed>; REEVE_KILLS=1000 for a soak.
import collections
import json
import os
import pathlib
import random
import signal
import subprocess
import threading
import time

from cluster import BIN, Process, await_true, main
from masters import Masters

SEED = int(os.environ.get("REEVE_SEED", random.SystemRandom().randrange(1 << 32)))
KILLS = int(os.environ.get("REEVE_KILLS", 50))


class Failover(Masters):
    def test_nothing_is_lost_or_run_twice_while_leaders_are_killed_again_and_again(self):
        print(f"REEVE_SEED={SEED}", flush=True)
        chance = random.Random(SEED)
        self.start_etcd(3)
        self.start_masters(3)
        for name in "ab":
            self.start_agent(name)
        watched = self.watch_events()
        jobs, trouble, end = {}, [], threading.Event()

        def submit_all():
            """More than the nodes can do, but not so much more that the end has to be waited for: what is submitted takes 3 s."""
            try:
                while not end.is_set():
                    jobs[self.submit("--array", "0-9", "--timeout", "30s", "--", *self.script("0.1"))] = 10
                    ahead = 10 * len(jobs) - 120
                    await_true(lambda most=ahead: end.is_set() or self.ended() >= most, "the work goes on")
            except BaseException as error:  # pylint: disable=broad-except
                trouble.append(error)

        client = threading.Thread(target=submit_all)
        client.start()
        await_true(self.ended, "the work begins")
        for _ in range(KILLS):
            name, _ = self.kill_leader()
            self.next_leader()
            self.start_one(name)
            done = self.ended() + chance.randrange(8)
            await_true(lambda least=done: trouble or self.ended() > least, "the work goes on")
            self.assertEqual(trouble, [])
        end.set()
        client.join(60)
        self.assertFalse(client.is_alive(), "submitting hangs")
        self.assertEqual(trouble, [])
        self.cli("job", "wait", "all")
        self.check_ran_once(jobs)
        self.check_same_state()
        self.check_events(watched, {int(job) for job in jobs})

    def check_same_state(self):
        def same():
            status = self.status()
            return len(status) == 3 and len({(one["seq"], one["state_hash"]) for one in status.values()}) == 1
        await_true(same, "all masters hold the same state")

    def watch_events(self):
        """Somebody who reads the events from the first one on, whoever leads."""
        log = self.folder / "events.jsonl"
        with open(log, "wb") as out, open(self.folder / "events.log", "wb") as errors:
            reader = subprocess.Popen([BIN / "reeve", "--master", self.endpoint, "events", "--from", "1", "-o", "jsonl"],
                                      stdout=out, stderr=errors)
        self.addCleanup(reader.wait)
        self.addCleanup(reader.kill)
        return log

    def check_events(self, log, jobs):
        """What was told while leaders came and went is what the last one tells of all that was: the same events under the same
        numbers, none missing, none twice."""
        def told(text):
            return [json.loads(line) for line in text.splitlines(keepends=True) if line.endswith("\n")]

        def ended():
            return {event["job"] for event in told(log.read_text()) if event["kind"] == "job.ended"} >= jobs
        await_true(ended, "the end of every job has been told")
        watched = told(log.read_text())
        again = told(self.cli("events", "--from", 1, "--timeout", "2s", "-o", "jsonl").out)
        self.assertGreaterEqual(len(again), len(watched))
        for was, now in zip(watched, again):
            self.assertEqual(was, now)
        places = [(event["seq"], event.get("part", 0)) for event in again]
        self.assertEqual(places, sorted(set(places)))
        self.assertEqual(collections.Counter(event["job"] for event in again if event["kind"] == "job.ended"),
                         collections.Counter(jobs))

    def test_a_leader_that_was_stopped_and_goes_on_releases_nothing_and_follows(self):
        self.start_etcd(1)
        old = self.start_masters(2)
        self.start_agent("a")
        job = self.submit("--array", "0-19", "--", *self.script("0.2"))
        await_true(self.ran, "the job runs")
        self.masters[old].process.send_signal(signal.SIGSTOP)
        try:
            new = await_true(lambda: next((n for n, one in self.status().items() if n != old and one["role"] == "leader"), None),
                             "the other takes over")
            later = self.submit("--array", "0-4", "--", *self.script("0"))
        finally:
            self.masters[old].process.send_signal(signal.SIGCONT)
        await_true(lambda: self.status().get(old, {}).get("role") == "standby", "the old leader follows")
        self.assertEqual(self.status()[new]["role"], "leader")
        self.cli("job", "wait", "all", timeout=60)
        self.check_ran_once({job: 20, later: 5})

    def test_a_leader_that_is_deposed_while_its_journal_fails_follows(self):
        self.start_etcd(1, "--quota-backend-bytes", str(8 << 20))
        old = self.start_masters(2)
        junk = "x" * 100_000

        def full():
            return "space exceeded" in self.etcdctl("put", f"other/{time.monotonic_ns()}", junk).stderr
        await_true(full, "etcd is full")
        self.assertNotEqual(self.cli("submit", "--timeout", "1s", "--", "true", code=None).code, 0)
        await_true(lambda: "healthy" not in self.status().get(old, {"journal": "healthy"})["journal"], "the leader's journal fails")
        self.masters[old].process.send_signal(signal.SIGSTOP)
        try:
            self.etcdctl("del", "--prefix", "other/")
            revision = json.loads(self.etcdctl("get", "other", "-w", "json").stdout)["header"]["revision"]
            for words in (("compact", str(revision)), ("defrag",), ("alarm", "disarm")):
                self.assertEqual(self.etcdctl(*words).returncode, 0, words)
            await_true(lambda: any(n != old and one["role"] == "leader" for n, one in self.status().items()), "the other takes over")
        finally:
            self.masters[old].process.send_signal(signal.SIGCONT)
        await_true(lambda: self.status().get(old, {}).get("role") == "standby", "the old leader follows")
        self.cli("submit", "--timeout", "10s", "--", "true")

    def test_steps_down_in_a_moment_and_the_work_goes_on(self):
        self.start_etcd(1)
        old = self.start_masters(2)
        self.start_agent("a")
        job = self.submit("--array", "0-29", "--", *self.script("0.1"))
        await_true(self.ran, "the job runs")
        self.cli("master", "step-down")
        new = self.leader()
        self.assertNotEqual(new, old)
        await_true(lambda: self.status().get(old, {}).get("role") == "standby", "the old leader follows")
        self.cli("job", "wait", "all", timeout=60)
        self.check_ran_once({job: 30})

    def test_a_standby_answers_questions_and_sends_the_rest_to_the_leader(self):
        self.start_etcd(1)
        leader = self.start_masters(2)
        standby = next(name for name in self.masters if name != leader)
        job = self.submit("--", "true")
        alone = self.endpoint
        self.endpoint = self.listen[standby]
        try:
            status = self.cli("master", "status", "-o", "json").json
            self.assertEqual((status["role"], status["leader"], status["leader_endpoint"]),
                             ("standby", leader, self.listen[leader]))
            refused = self.cli("submit", "--timeout", "1s", "--", "true", code=None)
            self.assertNotEqual(refused.code, 0)
            self.assertIn(f"{leader} leads, at {self.listen[leader]}", refused.err)
        finally:
            self.endpoint = alone
        self.assertEqual(self.job(job)["jobs"][0]["progress"]["total"], 1)

    def test_without_etcds_majority_nothing_is_acknowledged_and_all_goes_on_when_it_is_back(self):
        self.start_etcd(3)
        self.start_masters(2)
        self.start_agent("a")
        job = self.submit("--array", "0-9", "--", *self.script("0.3"))
        await_true(self.ran, "the job runs")
        for name in ("e1", "e2"):
            self.etcd[name].kill()
            self.etcd[name].wait()
        began = time.monotonic()
        await_true(lambda: any("no answer" in one["journal"] for one in self.status().values()), "the leader says so")
        print(f"said so after {time.monotonic() - began:.1f} s", flush=True)
        self.assertNotEqual(self.cli("submit", "--timeout", "1s", "--", "true", code=None).code, 0)
        self.assertNotEqual(self.cli("job", "list", "--timeout", "1s", code=None).code, 0, "and answers no question")
        before = sum(self.ran().values())
        for name in ("e1", "e2"):
            self.start_member(name)
        self.leader()
        self.cli("job", "wait", job, timeout=60)
        self.assertGreater(sum(self.ran().values()), before)
        self.check_ran_once({job: 10})

    def test_etcds_own_leader_is_killed_again_and_again_and_nothing_is_lost_or_run_twice(self):
        self.start_etcd(3)
        self.start_masters(2)
        self.start_agent("a")
        jobs = {}
        for _ in range(3):
            job = self.submit("--array", "0-39", "--", *self.script("0.1"))
            jobs[job] = 40
            await_true(lambda which=job: any(line.startswith(f"end {which} ") for line in self.ran()), "the work goes on")
            name = self.etcd_leader()
            self.etcd[name].kill()
            self.etcd[name].wait()
            jobs[self.submit("--timeout", "30s", "--array", "0-4", "--", *self.script("0"))] = 5
            self.start_member(name)
            self.cli("job", "wait", "all", timeout=60)
            self.await_members()
        self.check_ran_once(jobs)
        self.leader()
        self.assertEqual(len(self.status()), 2, "no master has ended")

    def versions(self):
        """By hand: a rolling upgrade from the programs in the folder $REEVE_OLD_BIN, with work that runs. docs/testing.md."""
        old = pathlib.Path(os.environ["REEVE_OLD_BIN"])
        self.start_etcd(3)
        for name in ("m1", "m2"):
            self.start_one(name, programs=old)
        self.endpoint = ",".join(self.listen.values())
        self.leader()
        self.agents["a"] = Process([old / "reeve-agent", "--master", self.endpoint, "--name", "a", "--state", self.folder / "a", "--vcores",
                                    "2", "--memory", "4GiB"], r"^registered with .* as node (\d+)$", self.folder / "a.log")
        self.start_agent("b")
        jobs = {}

        def work():
            jobs[self.submit("--array", "0-39", "--", *self.script("0.1"))] = 40

        def same():
            status = self.status()
            return len(status) == 2 and len({(one["seq"], one["state_hash"]) for one in status.values()}) == 1
        work()
        for _ in ("a standby first", "then the one that led"):
            name = next(n for n in self.masters if n != self.leader())
            self.masters[name].kill(signal.SIGTERM)
            self.start_one(name)
            work()
            await_true(lambda: self.cli("job", "wait", "all", timeout=60) and same(), "two versions hold the same state")
            work()
            self.cli("master", "step-down")
            await_true(lambda which=name: self.status().get(which, {}).get("role") == "leader", "the new version leads")
            await_true(lambda: len(self.status()) == 2, "the old one follows")
        self.cli("job", "wait", "all", timeout=60)
        await_true(same, "all masters hold the same state")
        self.check_ran_once(jobs)

    def test_leases_outlive_the_leader_with_their_owner_their_end_and_their_key(self):
        self.start_etcd(1)
        self.start_masters(2)
        self.start_agent("a")
        take = ("lease", "take", "--node", "a", "--vcores", "0.5", "--owner", "ada", "-o", "quiet")
        kept = self.cli(*take, "--for", "10m", "--key", "once").out.strip()
        short = self.cli(*take, "--for", "3s").out.strip()

        def leases():
            return {str(one["lease"]): (one["owner"], one["expires_us"]) for one in
                    self.cli("lease", "list", "-o", "json").json["leases"]}
        before = leases()
        self.assertLessEqual({kept, short}, set(before))
        self.kill_leader()
        self.next_leader()
        self.assertEqual(leases().get(kept), before[kept])
        self.assertEqual(self.cli(*take, "--for", "10m", "--key", "once").out.strip(), kept, "asked again, it is the same one")
        await_true(lambda: set(leases()) == {kept}, "the short one ends by itself")
        self.cli("lease", "renew", kept, "--for", "20m")
        self.assertGreater(leases()[kept][1], before[kept][1])
        self.cli("lease", "release", kept)
        self.assertEqual(leases(), {})

    def test_a_leader_whose_etcd_is_gone_ends_when_it_is_told_to(self):
        self.start_etcd(1)
        leader = self.start_masters(1)
        self.start_agent("a")
        self.submit("--array", "0-9", "--", *self.script("0.3"))
        await_true(self.ran, "the job runs")
        self.etcd["e1"].kill()
        self.etcd["e1"].wait()
        self.assertNotEqual(self.cli("submit", "--timeout", "1s", "--", "true", code=None).code, 0)
        self.assertEqual(self.masters[leader].kill(signal.SIGTERM), 0)


if __name__ == "__main__":
    main()
