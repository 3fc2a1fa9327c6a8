# A small cluster of real processes on loopback: starts reeved and reeve-agent, waits for the line that says that they are
# ready, runs the command line against them, and leaves nothing behind, whatever happens. Used by all tests of this folder.
# Ends only what it started, by pid. The programs are in the folder $REEVE_BIN.
import json
import os
import pathlib
import re
import select
import shutil
import signal
import subprocess
import tempfile
import time
import unittest

BIN = pathlib.Path(os.environ["REEVE_BIN"])
PATIENCE = 30.0  # for what must come; never waited for when all is well


class Process:
    """A program that says a line when it is ready."""

    def __init__(self, command, pattern, log, preexec=None):
        self.log = pathlib.Path(log)
        with open(log, "ab") as errors:
            self.process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=errors, preexec_fn=preexec)
        self.pid = self.process.pid
        self.said = b""
        try:
            self.ready = self.await_line(pattern)
        except BaseException:
            self.kill()
            raise

    def await_line(self, pattern):
        deadline = time.monotonic() + PATIENCE
        out = self.process.stdout.fileno()
        while True:
            if match := re.search(pattern, self.said.decode(), re.MULTILINE):
                return match
            left = deadline - time.monotonic()
            more = os.read(out, 65536) if left > 0 and select.select([out], [], [], left)[0] else None
            if not more:
                end = "nothing" if more is None else f"its end, code {self.process.wait()}"
                raise AssertionError(f"{self.process.args}: {end} instead of {pattern}; its log ends:\n{self.tail()}")
            self.said += more

    def heard(self):
        """All that it has said so far; does not wait."""
        out = self.process.stdout.fileno()
        while select.select([out], [], [], 0)[0]:
            more = os.read(out, 65536)
            if not more:
                break
            self.said += more
        return self.said.decode()

    def tail(self, lines=20):
        return "\n".join(self.log.read_text(errors="replace").splitlines()[-lines:])

    def alive(self):
        return self.process.poll() is None

    def kill(self, number=signal.SIGKILL):
        """Sends the signal (0: none) and waits for the end. Returns the exit code, negative for a signal."""
        if number and self.alive():
            self.process.send_signal(number)
        try:
            code = self.process.wait(PATIENCE)
        except subprocess.TimeoutExpired:
            self.process.kill()
            code = self.process.wait()
            raise AssertionError(f"{self.process.args[0]} did not end on signal {number}:\n{self.tail()}")
        finally:
            self.process.stdout.close()
        return code


def await_true(condition, what, patience=PATIENCE):
    """Until `condition()` is true; only for what cannot be waited for otherwise. Returns its value."""
    deadline = time.monotonic() + patience
    while True:
        if value := condition():
            return value
        if time.monotonic() > deadline:
            raise AssertionError(f"not within {patience:.0f} s: {what}")
        select.select([], [], [], 0.02)


class Answer:
    def __init__(self, done):
        self.code, self.out, self.err = done.returncode, done.stdout, done.stderr

    @property
    def json(self):
        return json.loads(self.out)

    def __repr__(self):
        return f"exit code {self.code}\n{self.out}{self.err}"


class Cluster(unittest.TestCase):
    """Each test has a cluster of its own: self.master, self.agents by name."""

    keep_tasks = False

    def setUp(self):
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix="reeve-e2e-"))
        self.master, self.agents, self.endpoint = None, {}, None
        self.addCleanup(self.end_all)

    def end_all(self):
        # Agents first, and with them their keepers: `stop` is answered when nothing runs any more.
        for name, agent in self.agents.items():
            if agent.alive():
                agent.process.send_signal(signal.SIGTERM)
                agent.process.send_signal(signal.SIGTERM)  # the second one waits for nothing
        for agent in self.agents.values():
            if agent.process.stdout and not agent.process.stdout.closed:
                agent.kill(0)
        for name in self.agents:
            self.end_keeper(name)
        if self.master and self.master.alive():
            self.master.kill(signal.SIGTERM)
        result = self._outcome.result
        failed = any(test is self for test, _ in result.failures + result.errors)
        if failed:
            for log in sorted(self.folder.glob("*.log")):
                print(f"---- the end of {log.name}\n" + "\n".join(log.read_text(errors="replace").splitlines()[-15:]))
        shutil.rmtree(self.folder, ignore_errors=True)

    def end_keeper(self, name):
        if pid := self.keeper_pid(name):
            os.kill(pid, signal.SIGTERM)
            await_true(lambda: not pid_alive(pid), f"the end of the keeper of {name}")

    def keeper_pid(self, name):
        """The process that holds the lock of an agent's state directory; none when there is no keeper."""
        lock = self.folder / name / "keeper.lock"
        if not lock.exists():
            return None
        inode = lock.stat().st_ino
        for line in pathlib.Path("/proc/locks").read_text().splitlines():
            words = line.split()
            if "FLOCK" in words and words[5].endswith(f":{inode}"):
                return int(words[4])
        return None

    # ---- programs

    def start_master(self, *flags, preexec=None):
        listen = self.endpoint or "tcp://127.0.0.1:*"
        self.master = Process([BIN / "reeved", "--state", self.folder / "master", "--listen", listen, "--events",
                               "tcp://127.0.0.1:*", *flags], r"^listening on (\S+)$", self.folder / "master.log", preexec)
        self.endpoint = self.master.ready[1]
        return self.master

    def start_agent(self, name, *flags, vcores=2, ready=r"^registered with .* as node (\d+)$"):
        self.agents[name] = Process(
            [BIN / "reeve-agent", "--master", self.endpoint, "--name", name, "--state", self.folder / name, "--vcores",
             str(vcores), "--memory", "4GiB", *flags], ready, self.folder / f"{name}.log")
        return self.agents[name]

    def cli(self, *words, code=0, stdin=None, timeout=PATIENCE):
        """Runs `reeve WORDS`; `code`: what it must exit with, None: anything."""
        done = subprocess.run([BIN / "reeve", "--master", self.endpoint, *map(str, words)], capture_output=True, text=True,
                              input=stdin, timeout=timeout, check=False)
        answer = Answer(done)
        if code is not None and answer.code != code:
            raise AssertionError(f"reeve {' '.join(map(str, words))}: {answer}")
        return answer

    def submit(self, *words):
        """Returns the job's number."""
        return self.cli("submit", "-o", "quiet", *words).out.strip()

    def job(self, number):
        return self.cli("job", "show", "-o", "json", number).json

    def path(self, name):
        return str(self.folder / name)


def pid_alive(pid):
    try:
        state = pathlib.Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0]
    except (FileNotFoundError, ProcessLookupError):
        return False
    return state not in "ZX"


def main():
    unittest.main(verbosity=2)
