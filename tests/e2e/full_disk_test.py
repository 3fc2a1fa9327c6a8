# A master whose disk is full refuses work in clear words, keeps what it acknowledged, and goes on when there is room.
import os
import resource
import secrets
import signal
import subprocess

from cluster import Cluster, await_true, main

NO_LIMIT = (resource.RLIM_INFINITY, resource.RLIM_INFINITY)


class FullDisk(Cluster):
    def fill_up(self):
        """Submits jobs until one is refused. Returns the acknowledged ones."""
        jobs = []
        for _ in range(2_000):  # with nothing in common, which would be kept once
            answer = self.cli("submit", "-o", "quiet", "--timeout", "1s", "--env", f"PAYLOAD={secrets.token_hex(30_000)}", "--", "true", code=None)
            if answer.code != 0:
                break
            jobs.append(answer.out.strip())
        self.assertIn(answer.code, (3, 6, 7), answer)
        self.assertRegex(answer.err, "full|space|room|File too large", "the reason is told")
        self.assertGreater(len(jobs), 5)
        return jobs

    def listed(self):
        return sorted(str(job["progress"]["job"]) for job in self.cli("job", "list", "--limit", 0, "-o", "json").json["jobs"])

    def status(self):
        return self.cli("master", "status", "-o", "json").json

    def history(self, count):
        rows = self.cli("history", "--limit", 0, "-o", "json").json["rows"]
        return rows if len(rows) >= count else None

    def submit_small(self):
        return await_true(lambda: self.cli("submit", "-o", "quiet", "--timeout", "2s", "--", "true", code=None).out.strip(),
                          "a job is taken again")

    def go_through(self, make_room):
        jobs = self.fill_up()
        self.assertTrue(self.master.alive())
        make_room()
        jobs.append(self.submit_small())
        self.assertTrue(self.status()["accepting"])
        self.assertEqual(self.listed(), sorted(jobs), "what was acknowledged is there, and nothing else")
        self.start_agent("a", vcores=4)
        self.cli("job", "wait", "all")
        self.master.kill()
        self.start_master()
        self.assertEqual(self.listed(), sorted(jobs))
        rows = await_true(lambda: self.history(len(jobs)), "the history is complete")
        self.assertEqual(sorted(str(row["job"]) for row in rows), sorted(jobs), "the history has each once")
        for job in jobs:
            self.assertEqual(self.job(job)["jobs"][0]["progress"]["state"], "succeeded")

    def test_on_a_full_file_system(self):
        state = self.folder / "master"
        state.mkdir()
        if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=6m", "tmpfs", state], check=False, capture_output=True).returncode == 0:
            self.addCleanup(subprocess.run, ["umount", "-l", state], check=True)
            ballast = state / "ballast"
            ballast.write_bytes(b"x" * (3 << 20))
            self.start_master()
            self.go_through(ballast.unlink)
        else:  # not root: a limit on the size of files instead
            self.go_through_size_limit()

    def test_beyond_the_limit_of_a_file_s_size(self):
        self.go_through_size_limit()

    def go_through_size_limit(self):
        def limit():
            signal.signal(signal.SIGXFSZ, signal.SIG_DFL)  # as programs find it; Python ignores it
            resource.setrlimit(resource.RLIMIT_FSIZE, (2 << 20, resource.RLIM_INFINITY))

        self.start_master(preexec=limit)
        self.go_through(lambda: resource.prlimit(self.master.pid, resource.RLIMIT_FSIZE, NO_LIMIT))

    def test_beyond_the_journal_s_own_limit_until_old_jobs_are_forgotten(self):
        self.start_master("--journal-max-bytes", str(3 << 20), "--set", "retention.jobs=100ms")
        jobs = self.fill_up()
        await_true(lambda: self.cli("job", "cancel", "all", code=None).code == 0, "small entries fit in again")
        await_true(lambda: self.cli("job", "list", "-o", "json", code=None).out.count('"progress"') == 0, "all are forgotten")
        await_true(lambda: self.cli("master", "snapshot", code=None).code == 0, "a snapshot in their place")
        self.assertGreater(len(self.fill_up()), len(jobs) // 2)


if __name__ == "__main__":
    main()
