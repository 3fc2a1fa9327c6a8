# `reeve top` in a pseudo-terminal, its screen read by a terminal emulator (pyte).
import os
import pty
import re
import select
import struct
import subprocess
import fcntl
import termios
import time

import pyte

from cluster import BIN, PATIENCE, Cluster, await_true, main


class Top(Cluster):
    def setUp(self):
        super().setUp()
        self.program = None
        self.addCleanup(self.end_program)
        self.start_master()

    def end_program(self):
        if self.program and self.program.poll() is None:
            self.program.kill()
            self.program.wait()
        if self.program:
            os.close(self.terminal)

    def start_top(self, columns=110, lines=30):
        self.terminal, side = pty.openpty()
        fcntl.ioctl(side, termios.TIOCSWINSZ, struct.pack("HHHH", lines, columns, 0, 0))
        self.screen = pyte.Screen(columns, lines)
        self.stream = pyte.ByteStream(self.screen)
        environment = os.environ | {"TERM": "linux", "LC_ALL": "C.UTF-8"}
        self.program = subprocess.Popen([BIN / "reeve", "-m", self.endpoint, "top"], stdin=side, stdout=side, stderr=side,
                                        env=environment, start_new_session=True)
        os.close(side)

    def shows(self, pattern):
        """Reads what is written until the screen shows the pattern."""
        deadline = time.monotonic() + PATIENCE
        while not (found := re.search(pattern, "\n".join(self.screen.display))):
            left = deadline - time.monotonic()
            if left <= 0 or not select.select([self.terminal], [], [], left)[0]:
                raise AssertionError(f"no {pattern} on\n" + "\n".join(self.screen.display))
            try:
                self.stream.feed(os.read(self.terminal, 65536))
            except OSError:
                raise AssertionError(f"it ended without {pattern}, code {self.program.wait()}") from None
        return found

    def press(self, keys):
        os.write(self.terminal, keys.encode())

    def test_pages_show_the_cluster_and_follow_what_happens(self):
        self.start_top()
        self.shows("nodes 0 up")
        self.start_agent("alpha")
        self.shows(r"alpha +up")
        number = self.submit("--name", "slow", "--queue", "default", "--", "sleep", "600")
        self.press("2")
        self.shows(rf"{number}/0 +slow +alpha")
        self.press("3")
        self.shows(rf"{number} +slow .*running")
        self.press("4")
        self.shows(r"default +1 +1 +0")
        self.press("5")
        self.shows(rf"task\.placed +job {number}, alpha")
        self.press("q")
        self.assertEqual(self.program.wait(PATIENCE), 0)

    def test_keys_sort_filter_cancel_and_drain(self):
        for name in ("alpha", "beta"):
            self.start_agent(name)
        number = self.submit("--name", "slow", "--", "sleep", "600")
        self.start_top()
        self.shows(r"alpha +up")
        self.shows("by NODE")
        self.press("r")
        self.shows(r"(?s)beta +up.*alpha +up")
        self.press("s")
        self.shows("by STATE")
        self.press("/bet\n")
        self.shows("only with 'bet'")
        self.shows(r"beta +up")
        self.assertNotIn("alpha", "\n".join(self.screen.display))
        self.press("d")
        self.shows(r"drain beta\? \(y/n\)")
        self.press("n")
        self.press("d")
        self.shows(r"drain beta\?")
        self.press("y")
        self.shows(r"beta +draining")
        self.assertTrue(self.cli("node", "show", "beta", "-o", "json").json["nodes"][0]["draining"])
        self.press("/\x1b")
        self.press("3")
        self.shows(rf"{number} +slow")
        self.press("c")
        self.shows(rf"cancel job {number}\?")
        self.press("y")
        self.shows("1 cancelled|nothing to show")
        self.cli("job", "wait", number, code=1)

    def test_it_outlives_the_master_and_needs_a_terminal(self):
        self.start_agent("alpha")
        self.start_top()
        self.shows(r"alpha +up")
        self.master.kill()
        await_true(lambda: self.master.process.poll() is not None, "the master's end")
        self.shows("master|no answer|in time")
        self.start_master()
        self.shows(r"alpha +up")
        self.press("q")
        self.assertEqual(self.program.wait(PATIENCE), 0)
        self.assertIn("needs a terminal", self.cli("top", code=2).err)


if __name__ == "__main__":
    main()
