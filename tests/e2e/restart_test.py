# Programs that end in good order, and machines that do not: tasks survive an agent's restart, are ended with it when it leaves,
# and run elsewhere when their node is lost.
import os
import pathlib
import signal
import subprocess

from cluster import BIN, Cluster, await_true, main, pid_alive


class Restart(Cluster):
    def setUp(self):
        super().setUp()
        self.ran = self.path("ran")

    def submit_gated(self, *flags, gate="gate"):
        """A task that writes its pid, waits at the gate, and then ends well."""
        os.mkfifo(self.path(gate))
        return self.submit(*flags, "--", "sh", "-c", f"echo $$ >> {self.ran}; read x < {self.path(gate)}; exit 0")

    def pids(self, count):
        def look():
            lines = pathlib.Path(self.ran).read_text().split() if pathlib.Path(self.ran).exists() else []
            return lines if len(lines) >= count else None

        return list(map(int, await_true(look, f"{count} tasks run")))

    def open_gate(self, gate="gate"):
        pathlib.Path(self.path(gate)).write_text("go\n", encoding="utf-8")

    def task(self, number):
        return self.cli("task", "list", number, "-o", "json").json["tasks"][0]

    def node(self, name):
        return next(n for n in self.cli("node", "list", "-o", "json").json["nodes"] if n["name"] == name)

    def test_a_master_ends_in_good_order_and_goes_on_where_it_was(self):
        self.start_master()
        self.start_agent("a")
        runs = self.submit_gated()
        pid = self.pids(1)[0]
        waits = self.submit("--node-label", "zone=b", "--", "true")
        self.assertEqual(self.master.kill(signal.SIGTERM), 0)
        self.assertTrue(pid_alive(pid))
        self.start_master()
        self.assertEqual(self.job(waits)["jobs"][0]["progress"]["state"], "pending")
        self.open_gate()
        self.cli("job", "wait", runs)
        self.assertEqual(self.task(runs)["attempt"], 1)
        self.assertEqual(self.pids(1), [pid], "it ran once")
        epoch = self.cli("master", "status", "-o", "json").json["epoch"]
        self.assertEqual(epoch, 2)

    def test_tasks_survive_their_agent(self):
        self.start_master()
        self.start_agent("a")
        ends = self.submit_gated(gate="first")
        self.pids(1)
        runs = self.submit_gated(gate="second")
        first, second = self.pids(2)
        self.agents["a"].kill()
        self.assertTrue(pid_alive(first) and pid_alive(second))
        self.open_gate("first")  # it ends while there is no agent
        await_true(lambda: not pid_alive(first), "the first has ended")
        self.start_agent("a")
        self.cli("job", "wait", ends)
        self.agents["a"].kill(signal.SIGUSR2)
        self.start_agent("a")
        self.assertTrue(pid_alive(second))
        self.open_gate("second")
        self.cli("job", "wait", runs)
        for job in (runs, ends):
            self.assertEqual((self.task(job)["state"], self.task(job)["attempt"]), ("succeeded", 1))
        self.assertEqual(self.pids(2), [first, second], "each ran once")

    def test_an_agent_that_is_stopped_takes_its_tasks_and_keeper_along_and_they_run_elsewhere(self):
        self.start_master()
        self.start_agent("a")
        number = self.submit_gated("--grace", "1s")
        pid = self.pids(1)[0]
        keeper = self.keeper_pid("a")
        self.assertEqual(self.agents["a"].kill(signal.SIGTERM), 0)
        self.assertFalse(pid_alive(pid))
        await_true(lambda: not pid_alive(keeper), "the keeper's end")
        await_true(lambda: self.node("a")["state"] == "gone", "the node has left")
        self.start_agent("b")
        self.pids(2)
        self.open_gate()
        self.cli("job", "wait", number)
        self.assertEqual(self.task(number)["node"], "b")
        self.assertGreaterEqual(self.task(number)["attempt"], 2)  # a third when it was given to "a" again as that left

    def test_reeve_agent_stop_ends_it_too(self):
        self.start_master()
        self.start_agent("a")
        keeper = self.keeper_pid("a")
        subprocess.run([BIN / "reeve-agent", "stop", "--state", self.folder / "a"], check=True, stdout=subprocess.DEVNULL)
        self.assertEqual(self.agents["a"].process.wait(10), 0)
        self.agents["a"].kill(0)
        self.start_agent("a")  # at once: the old keeper may still be tidying up
        await_true(lambda: not pid_alive(keeper), "the old keeper's end")

    def test_a_lost_node_s_tasks_run_elsewhere_and_are_recorded_once(self):
        self.start_master("--set", "liveness.lost_min=500ms", "--set", "liveness.lost_max=1s", "--set", "heartbeat.interval=100ms")
        self.start_agent("a")
        number = self.submit_gated()
        pid = self.pids(1)[0]
        keeper = self.keeper_pid("a")
        os.kill(keeper, signal.SIGSTOP)  # the machine hangs, as far as anybody can tell
        self.agents["a"].process.send_signal(signal.SIGSTOP)
        await_true(lambda: self.node("a")["state"] == "lost", "the silence is noticed")
        self.start_agent("b")
        second = self.pids(2)[1]
        # It was not dead, and comes back: its task is ended, not the newer one.
        os.kill(keeper, signal.SIGCONT)
        self.agents["a"].process.send_signal(signal.SIGCONT)
        await_true(lambda: self.node("a")["state"] == "up", "it is back")
        await_true(lambda: not pid_alive(pid), "its old task is ended")
        self.assertTrue(pid_alive(second))
        self.open_gate()
        self.cli("job", "wait", number)
        self.assertEqual((self.task(number)["node"], self.task(number)["attempt"]), ("b", 2))
        rows = self.cli("history", "attempts", "--job", number, "-o", "json").json["rows"]
        self.assertEqual([row["cause"] for row in rows if row["cause"] == "none"], ["none"], rows)

    def test_a_keeper_that_dies_takes_no_task_s_result_twice(self):
        self.start_master()
        self.start_agent("a")
        number = self.submit_gated()
        pid = self.pids(1)[0]
        os.kill(self.keeper_pid("a"), signal.SIGKILL)
        second = self.pids(2)[1]  # the agent starts a new keeper, the master gives the task out again
        self.assertFalse(pid_alive(pid), "what the old keeper ran is ended first")
        self.open_gate()
        self.cli("job", "wait", number)
        self.assertEqual((self.task(number)["state"], self.task(number)["attempt"]), ("succeeded", 2))
        self.assertNotEqual(pid, second)


if __name__ == "__main__":
    main()
