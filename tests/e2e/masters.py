# Several masters over etcd, as real processes on loopback: starts etcd members and masters, knows who leads, kills and stops them.
# Used by the tests of failover, the demonstration's test and the takeover benchmark. Ends only what it started, by pid.
import collections
import json
import os
import pathlib
import re
import shutil
import signal
import socket
import subprocess
import threading
import time

from cluster import BIN, PATIENCE, Cluster, Process, await_true


def free_ports(count):
    """Ports that nobody has now; held until all are found, so that they differ."""
    held = [socket.socket() for _ in range(count)]
    for one in held:
        one.bind(("127.0.0.1", 0))
    ports = [one.getsockname()[1] for one in held]
    for one in held:
        one.close()
    return ports


class Masters(Cluster):
    """self.etcd: processes by name (e1 …), self.masters: processes by name (m1 …)."""

    def setUp(self):
        super().setUp()
        self.etcd, self.masters, self.listen = {}, {}, {}
        self.ran_read, self.ran_lines, self.ran_lock = 0, collections.Counter(), threading.Lock()
        self.addCleanup(self.end_masters)

    def end_masters(self):
        for group in (self.masters, self.etcd):
            for process in group.values():
                for number in (signal.SIGCONT, signal.SIGKILL):
                    if process.poll() is None if isinstance(process, subprocess.Popen) else process.alive():
                        os.kill(process.pid, number)
                if isinstance(process, subprocess.Popen):
                    process.wait(PATIENCE)
                else:
                    process.kill(0)

    # ---- etcd

    def start_etcd(self, count, *flags, scheme="http"):
        ports = free_ports(2 * count)
        names = [f"e{k + 1}" for k in range(count)]
        self.etcd_client = dict(zip(names, ports[:count]))
        self.etcd_peer = dict(zip(names, ports[count:]))
        self.etcd_flags, self.etcd_scheme = flags, scheme
        for name in names:
            self.start_member(name)
        self.await_etcd()
        members = ",".join(f"127.0.0.1:{port}" for port in self.etcd_client.values())
        self.journal = f"etcd://{members}/reeve"

    def data_of(self, name):
        return self.memory() / f"{self.folder.name}-{name}"

    def start_member(self, name, *flags):
        client, peer = f"{self.etcd_scheme}://127.0.0.1:{self.etcd_client[name]}", f"http://127.0.0.1:{self.etcd_peer[name]}"
        together = ",".join(f"{n}=http://127.0.0.1:{port}" for n, port in self.etcd_peer.items())
        data = self.data_of(name)
        self.addCleanup(shutil.rmtree, data, True)
        with open(self.folder / f"etcd-{name}.log", "ab") as log:
            self.etcd[name] = subprocess.Popen(
                ["etcd", "--name", name, "--data-dir", data, "--listen-client-urls", client, "--advertise-client-urls", client,
                 "--listen-peer-urls", peer, "--initial-advertise-peer-urls", peer, "--initial-cluster", together,
                 "--heartbeat-interval", "50", "--election-timeout", "300", "--snapshot-count", "5000", "--logger", "zap",
                 "--log-level", "error", *self.etcd_flags, *flags], stdout=log, stderr=log)

    def memory(self):
        """Where etcd writes: in memory when there is such a file system; it syncs for each entry."""
        shm = pathlib.Path("/dev/shm")
        return shm if os.access(shm, os.W_OK) else self.folder

    def etcdctl(self, *words):
        members = ",".join(f"127.0.0.1:{port}" for port in self.etcd_client.values())
        return subprocess.run(["etcdctl", "--endpoints", members, *words], capture_output=True, text=True, check=False,
                              timeout=PATIENCE, env={**os.environ, "ETCDCTL_API": "3"})

    def await_etcd(self):
        await_true(lambda: self.etcdctl("get", "nothing").returncode == 0, "etcd answers")

    def etcd_leader(self):
        """The name of the member that leads the others."""
        def look():
            told = self.etcdctl("endpoint", "status", "-w", "json")
            for one in json.loads(told.stdout) if told.returncode == 0 else []:
                if one["Status"]["header"]["member_id"] == one["Status"]["leader"]:
                    port = int(one["Endpoint"].rsplit(":", 1)[1])
                    return next(name for name, client in self.etcd_client.items() if client == port)
            return None
        return await_true(look, "one of etcd's members leads")

    def await_members(self):
        await_true(lambda: self.etcdctl("endpoint", "health").returncode == 0, "all of etcd's members are healthy")

    # ---- masters

    def start_masters(self, count, *flags):
        for k in range(count):
            self.start_one(f"m{k + 1}", *flags)
        self.endpoint = ",".join(self.listen.values())
        return self.leader()

    def start_one(self, name, *flags, journal=None, programs=BIN):
        self.masters[name] = Process(
            [programs / "reeved", "--name", name, "--state", self.folder / name, "--listen", self.listen.get(name, "tcp://127.0.0.1:*"),
             "--events", "tcp://127.0.0.1:*", "--journal", journal or self.journal, *flags], r"^listening on (\S+)$",
            self.folder / f"{name}.log")
        self.listen[name] = self.masters[name].ready[1]
        return self.masters[name]

    def status(self):
        """What each master says of itself, by name; only those that answer."""
        answer = self.cli("master", "status", "-o", "json", "--timeout", "1s", code=None)
        masters = answer.json.get("masters", [answer.json]) if answer.out else []
        return {one["master"]: one for one in masters if "master" in one}

    def leader(self):
        """The name of the one that leads, as soon as there is one."""
        def look():
            leaders = [name for name, one in self.status().items() if one["role"] == "leader" and one["accepting"]]
            return leaders[0] if len(leaders) == 1 else None
        return await_true(look, "one master leads")

    def reigns(self):
        """(epoch, name) of the newest reign that one of the living masters has said to have begun and not to have ended; none: (0, "").
        Asks nobody: they say it on their standard output."""
        newest = (0, "")
        for name, one in self.masters.items():
            if one.alive() and (said := re.findall(r"^(?:listening on|leading, epoch) (\S+)$", one.heard(), re.M))[-1].isdigit():
                newest = max(newest, (int(said[-1]), name))
        return newest

    def kill_leader(self):
        """kill -9. Returns its name and when."""
        epoch, name = self.reigns()
        at = time.time()
        self.masters[name].kill()
        self.reigned = epoch
        return name, at

    def next_leader(self):
        """After kill_leader: the name of the next one, as soon as it leads."""
        return await_true(lambda: self.reigns()[0] > self.reigned and self.reigns()[1], "the next one leads")

    # ---- work that tells whether it ran once

    def script(self, seconds):
        ran = self.path("ran")
        return ["sh", "-c", f'echo "start $REEVE_JOB_ID $REEVE_TASK" >> {ran}; sleep {seconds}; '
                            f'echo "end $REEVE_JOB_ID $REEVE_TASK" >> {ran}']

    def ran(self):
        path = pathlib.Path(self.path("ran"))
        with self.ran_lock:
            if path.exists():
                with open(path, encoding="utf-8") as file:  # only what is new: it is asked often
                    file.seek(self.ran_read)
                    lines = file.read()
                lines = lines[:lines.rfind("\n") + 1]
                self.ran_read += len(lines)
                self.ran_lines.update(lines.splitlines())
            return collections.Counter(self.ran_lines)

    def ended(self):
        """How many tasks have come to their end."""
        return sum(count for line, count in self.ran().items() if line.startswith("end "))

    def check_ran_once(self, jobs):
        """`jobs`: tasks of each job number."""
        wanted = collections.Counter(f"{word} {job} {task}" for word in ("start", "end") for job, tasks in jobs.items()
                                     for task in range(tasks))
        self.assertEqual(self.ran(), wanted)
        told = self.cli("job", "show", "-o", "json", *jobs).json["jobs"]
        self.assertEqual({one["progress"]["job"]: (one["progress"]["state"], one["progress"]["succeeded"]) for one in told},
                         {int(job): ("succeeded", tasks) for job, tasks in jobs.items()})
