# What lies in examples/ runs as it stands: both programs and every job file, against a real cluster.
import os
import pathlib
import subprocess
import sys
import unittest

from cluster import BIN, Cluster, main

ROOT = pathlib.Path(__file__).resolve().parents[2]
PROGRAMS = pathlib.Path(os.environ.get("REEVE_EXAMPLES", BIN.parent / "examples"))


class Examples(Cluster):
    def setUp(self):
        super().setUp()
        self.start_master()
        self.start_agent("a", vcores=2)

    def program(self, name, *arguments):
        environment = os.environ | {"REEVE_MASTER": self.endpoint}
        return subprocess.run([PROGRAMS / name, *arguments], env=environment, capture_output=True, text=True, timeout=60)

    def test_monte_carlo_adds_up_the_results_of_its_tasks(self):
        done = self.program("monte_carlo", "20")
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertAlmostEqual(float(done.stdout.split()[-1]), 3.1416, delta=0.05)

    def test_reserve_holds_and_gives_back_and_says_why_not(self):
        done = self.program("reserve", "1.5", "a")
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertIn("lease 1 on a: 1.5 vcores", done.stdout)
        self.assertIn("left there: 0.5 vcores", done.stdout)
        refused = self.program("reserve", "3", "a")
        self.assertEqual(refused.returncode, 1)
        self.assertIn("vcores: asked 3, available 2, capacity 2", refused.stderr)

    def test_watchers_go_on_where_they_stopped_and_agree(self):
        place = {name: self.path(f"{name}.place") for name in ("cpp", "py")}
        environment = os.environ | {"REEVE_MASTER": self.endpoint}
        programs = {"cpp": [PROGRAMS / "watch"], "py": [sys.executable, "-B", ROOT / "examples" / "watch.py"]}

        def watch(name, count):
            done = subprocess.run([*programs[name], place[name], str(count)], env=environment, capture_output=True, text=True,
                                  timeout=60, check=True)
            return done.stdout.splitlines()

        self.cli("submit", "--wait", "--", "true")
        first = {name: watch(name, 3) for name in programs}
        self.assertEqual(first["cpp"], first["py"])
        self.assertEqual([line.split()[1] for line in first["cpp"]][:2], ["job.submitted", "task.placed"])
        self.master.kill()  # what comes next, they are not there for
        self.start_master()
        self.cli("submit", "--wait", "--", "true")
        second = {name: watch(name, 5) for name in programs}
        self.assertEqual(second["cpp"], second["py"])
        self.assertIn("job.ended job 1 queue default succeeded", second["cpp"][0] if "ended" in second["cpp"][0] else " ".join(second["cpp"]))

    def test_every_job_file_runs_as_it_stands(self):
        files = sorted([*(ROOT / "examples").glob("*.toml"), *(ROOT / "examples").glob("*.json")])
        self.assertGreater(len(files), 1)
        for file in files:
            with self.subTest(file.name):
                self.cli("submit", "--file", file, "--dry-run")
                self.cli("submit", "--file", file, "--wait")


if __name__ == "__main__":
    main()
