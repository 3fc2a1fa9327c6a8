# Master and agents are killed at random moments while a thousand real tasks run: what was acknowledged ends, each task runs
# and is recorded once, and nothing that a surviving keeper holds is run again. Repeat a failure with REEVE_SEED=<seed>.
import collections
import os
import pathlib
import random
import threading
import time

from cluster import Cluster, await_true, main

SEED = int(os.environ.get("REEVE_SEED", random.SystemRandom().randrange(1 << 32)))
MASTER_KILLS = int(os.environ.get("REEVE_KILLS", "20"))  # `make soak`: 1,000
AGENT_KILLS = MASTER_KILLS // 4
JOBS, TASKS_A_JOB = max(20, MASTER_KILLS), 50  # so many tasks that each kill finds some running


class Crash(Cluster):
    def test_nothing_is_lost_and_nothing_runs_twice_while_master_and_agents_are_killed(self):
        print(f"REEVE_SEED={SEED}", flush=True)
        chance = random.Random(SEED)
        ran = self.path("ran")
        script = f'echo "start $REEVE_JOB_ID $REEVE_TASK $REEVE_ATTEMPT" >> {ran}; sleep 0.0$((REEVE_TASK % 10)); ' \
                 f'echo "end $REEVE_JOB_ID $REEVE_TASK $REEVE_ATTEMPT" >> {ran}'
        self.start_master()
        for name in "ab":
            self.start_agent(name)
        acknowledged, trouble = {}, []

        def submit_all():
            try:
                for k in range(JOBS):
                    acknowledged[k] = self.submit("--name", f"job-{k}", "--array", f"0-{TASKS_A_JOB - 1}", "--", "sh", "-c", script)
            except BaseException as error:  # pylint: disable=broad-except
                trouble.append(error)

        client = threading.Thread(target=submit_all)
        client.start()
        # Moments by what has run, so that they spread over the whole of the work on any machine.
        moments = sorted(chance.uniform(0, 0.9) for _ in range(MASTER_KILLS))
        agent_kills = chance.sample(range(MASTER_KILLS), AGENT_KILLS)
        for k, moment in enumerate(moments):
            await_true(lambda m=moment: self.share_done(ran) >= m, "the work goes on", 60)
            time.sleep(chance.uniform(0, 0.1))
            if k in agent_kills:
                name = chance.choice("ab")
                self.agents[name].kill()
                time.sleep(chance.uniform(0, 0.3))
                self.start_agent(name, ready="^")
            self.master.kill()
            time.sleep(chance.uniform(0, 0.3))
            self.start_master()
        share = self.share_done(ran)
        client.join(60)
        self.assertFalse(client.is_alive(), "submitting hangs")
        self.assertEqual(trouble, [])
        self.assertEqual(len(set(acknowledged.values())), JOBS)
        print(f"at the last kill {share:.0%} of the work was done", flush=True)
        self.cli("job", "wait", "all", timeout=60 + JOBS * TASKS_A_JOB // 20)  # a tenth of the work is left at least

        for number in acknowledged.values():
            job = self.job(number)["jobs"][0]["progress"]
            self.assertEqual((job["state"], job["succeeded"]), ("succeeded", TASKS_A_JOB), job)
        lines = collections.Counter(pathlib.Path(ran).read_text(encoding="utf-8").splitlines())
        wanted = {(number, str(task)) for number in acknowledged.values() for task in range(TASKS_A_JOB)}
        for word in ("start", "end"):
            self.assertEqual(lines_of(lines, word), collections.Counter(wanted), f"{word}: each task once")
        recorded = collections.Counter()
        for number in acknowledged.values():
            for row in self.cli("history", "attempts", "--job", number, "--limit", 0, "-o", "json").json["rows"]:
                recorded[number, str(row["task"])] += 1
            for task in self.cli("task", "list", number, "--limit", 0, "-o", "json").json["tasks"]:
                self.assertEqual((task["state"], task["attempt"]), ("succeeded", 1), task)
        self.assertEqual(recorded, collections.Counter(wanted), "history has each once")

    @staticmethod
    def share_done(ran):
        """About: by the bytes of the two lines that a task writes."""
        return os.path.getsize(ran) / (JOBS * TASKS_A_JOB * 24) if os.path.exists(ran) else 0


def lines_of(lines, word):
    found = collections.Counter()
    for line, times in lines.items():
        kind, job, task, attempt = line.split()
        if kind == word:
            found[job, task] += times
    return found


if __name__ == "__main__":
    main()
