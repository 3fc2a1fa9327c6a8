# What lies in examples/ runs as it stands: both programs and every job file, against a real cluster.
import os
import pathlib
import subprocess
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

    def test_every_job_file_runs_as_it_stands(self):
        files = sorted([*(ROOT / "examples").glob("*.toml"), *(ROOT / "examples").glob("*.json")])
        self.assertGreater(len(files), 1)
        for file in files:
            with self.subTest(file.name):
                self.cli("submit", "--file", file, "--dry-run")
                self.cli("submit", "--file", file, "--wait")


if __name__ == "__main__":
    main()
