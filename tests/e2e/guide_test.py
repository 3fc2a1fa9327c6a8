# What docs/operating.md says about several masters, done: its commands are read from the page, with this machine's addresses and folders
# in the place of e1:2379 and /backup, and run while a cluster works. And TLS to etcd.
import os
import pathlib
import re
import shutil
import subprocess

from cluster import BIN, PATIENCE, await_true, main
from masters import Masters

PAGE = pathlib.Path(__file__).parent.parent.parent / "docs/operating.md"


class Guide(Masters):
    def commands(self, heading):
        """The shell blocks below a heading, made true for this cluster."""
        part = re.search(rf"^### {re.escape(heading)}\n(.*?)(?=^##)", PAGE.read_text(encoding="utf-8"), re.M | re.S)
        self.assertIsNotNone(part, heading)
        blocks = re.findall(r"^```sh\n(.*?)^```", part[1], re.M | re.S)
        self.assertTrue(blocks, heading)
        (self.folder / "backup").mkdir(exist_ok=True)
        return [self.here(block) for block in blocks]

    def here(self, text):
        for name, port in self.etcd_client.items():
            text = text.replace(f"{name}:2379", f"127.0.0.1:{port}")
        for name, port in self.etcd_peer.items():
            text = text.replace(f"{name}:2380", f"127.0.0.1:{port}")
        for port in ("2379", "2380"):  # of members that this cluster does not have
            text = re.sub(rf",(e\d=http://)?e\d:{port}", "", text)
        return text.replace("/backup/", f"{self.folder}/backup/").replace("/var/lib/", f"{self.folder}/")

    def shell(self, text, code=0):
        endpoints = ",".join(f"127.0.0.1:{port}" for port in self.etcd_client.values())
        env = {**os.environ, "PATH": f"{BIN}:{os.environ['PATH']}", "REEVE_MASTER": self.endpoint or "", "ETCDCTL_ENDPOINTS": endpoints}
        done = subprocess.run(["sh", "-ec", text], capture_output=True, text=True, env=env, timeout=PATIENCE, check=False)
        if code is not None:
            self.assertEqual(done.returncode, code, f"{text}\n{done.stdout}{done.stderr}")
        return done

    def end_of(self, process):
        process.kill()
        process.wait()

    def stop_masters(self):
        for process in self.masters.values():
            process.kill()
        self.masters.clear()

    def test_a_reign_is_handed_over_and_an_etcd_member_replaced_while_the_work_goes_on(self):
        self.start_etcd(3)
        old = self.start_masters(2)
        self.start_agent("a")
        job = self.submit("--array", "0-99", "--", *self.script("0.05"))
        await_true(self.ran, "the job runs")
        (text,) = self.commands("Before a machine is touched")
        self.shell(text.replace("reeve master status", ""))
        self.assertNotEqual(self.leader(), old)
        await_true(lambda: "standby" in self.shell("reeve master status").stdout, "the former leader follows")

        self.end_of(self.etcd["e3"])
        (text,) = self.commands("Replace an etcd member")
        remove, add = text.strip().splitlines()
        await_true(lambda: self.shell(remove, code=None).returncode == 0, "etcd lets the dead member go")
        await_true(lambda: self.shell(add, code=None).returncode == 0, "etcd takes the new member")
        shutil.rmtree(self.data_of("e3"))
        self.start_member("e3", "--initial-cluster-state", "existing")
        await_true(lambda: self.etcdctl("endpoint", "health").returncode == 0, "all members are well")
        self.cli("job", "wait", job, timeout=60)
        self.check_ran_once({job: 100})

    def test_a_full_etcd_refuses_work_and_takes_it_again_when_the_guide_was_followed(self):
        quota = 32 << 20
        self.start_etcd(1, "--quota-backend-bytes", str(quota))
        self.start_masters(2, "--journal-max-bytes", str(quota))
        self.start_agent("a")
        job = self.submit("--", "true")
        self.cli("job", "wait", job)
        junk = str(self.folder / "junk")
        pathlib.Path(junk).write_bytes(b"x" * (1 << 20))
        put = f"etcdctl put other/$(date +%N) < {junk}"
        for _ in range(24):
            self.shell(put)
        await_true(lambda: self.cli("submit", "--timeout", "1s", "--", "true", code=None).code == 7, "submits are answered: busy")
        await_true(lambda: "space exceeded" in self.shell(put, code=None).stderr, "etcd itself is full")
        self.assertNotEqual(self.cli("submit", "--timeout", "1s", "--", "true", code=None).code, 0)
        (text,) = self.commands("etcd is full")
        clean, snapshot = text.rsplit("reeve master snapshot", 1)
        self.assertEqual(snapshot.strip(), "")
        self.shell("etcdctl del --prefix other/\n" + clean)
        self.leader()
        await_true(lambda: self.shell("reeve master snapshot", code=None).returncode == 0, "a snapshot is taken")
        later = None

        def taken():
            nonlocal later
            answer = self.cli("submit", "-o", "quiet", "--timeout", "2s", "--", "true", code=None)
            later = answer.out.strip()
            return answer.code == 0
        await_true(taken, "work is taken again")
        self.cli("job", "wait", later)
        self.assertEqual(self.job(job)["jobs"][0]["progress"]["succeeded"], 1)

    def test_what_was_backed_up_is_there_after_everything_was_lost_and_agents_obey(self):
        self.start_etcd(1)
        first = self.start_masters(2)
        self.start_agent("a")
        job = self.submit("--array", "0-4", "--", "true")
        self.cli("job", "wait", job)
        self.cli("master", "snapshot")
        self.cli("queue", "pause", "default")
        waits = self.submit("--", *self.script("0"))
        snapshot, file = self.commands("Backup")
        self.shell(snapshot)
        self.cli("master", "step-down")  # a reign that the backup does not know
        await_true(lambda: self.leader() != first, "the other leads")
        lost = self.submit("--", "true")

        self.stop_masters()
        self.shell(file)
        self.end_of(self.etcd["e1"])
        shutil.rmtree(self.data_of("e1"))
        restore, copy = self.commands("Restore")
        self.shell(restore)
        shutil.move(self.folder / "etcd/restored", self.data_of("e1"))
        self.start_member("e1")
        self.await_etcd()
        self.shell(copy)
        self.journal += "-2"
        for name in ("m1", "m2"):
            self.start_one(name)
        self.leader()
        self.assertEqual(self.job(job)["jobs"][0]["progress"]["succeeded"], 5)
        self.cli("job", "show", lost, code=4)
        self.cli("queue", "resume", "default")
        self.cli("job", "wait", waits)
        self.check_ran_once({waits: 1})

        self.stop_masters()  # and the file, which is newer, in the place of a single master's
        self.endpoint = None
        self.shell(f"mkdir {self.folder}/master && cp {self.folder}/backup/journal.db {self.folder}/master/")
        self.start_master()
        self.assertEqual(self.job(lost)["jobs"][0]["progress"]["state"], "pending")

    def test_a_journal_moves_from_a_file_to_etcd_and_back(self):
        self.start_master()
        self.start_agent("a")
        job = self.submit("--array", "0-4", "--", "true")
        self.cli("job", "wait", job)
        self.cli("master", "snapshot")
        self.agents["a"].kill(15)
        self.submit("--", "true")  # nobody runs it: an entry after the snapshot
        self.master.kill(15)
        self.master = None
        self.start_etcd(1)
        (text,) = self.commands("From one master to several, and back")
        text = text.replace(f"{self.folder}/reeve/", f"{self.folder}/master/")
        self.shell(text)
        self.shell(text, code=3)  # only into an empty one
        self.cli("journal", "verify", self.journal)
        self.endpoint = None
        self.start_masters(1)
        self.assertEqual(self.job(job)["jobs"][0]["progress"]["succeeded"], 5)
        later = self.submit("--", "true")
        self.stop_masters()
        shutil.rmtree(self.folder / "master")
        (self.folder / "master").mkdir()
        self.cli("journal", "import", self.journal, self.folder / "master")
        self.endpoint = None
        self.start_master()
        self.assertEqual(self.job(later)["jobs"][0]["progress"]["state"], "pending")

    def test_tls_to_etcd(self):
        self.shell_in_folder("""
            openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -keyout ca.key -out ca.pem -subj /CN=ca -days 2
            openssl req -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -keyout key.pem -out request -subj /CN=reeve
            echo subjectAltName=IP:127.0.0.1 > names
            openssl x509 -req -in request -CA ca.pem -CAkey ca.key -CAcreateserial -extfile names -out cert.pem -days 2""")
        files = {name: str(self.folder / f"{name}.pem") for name in ("ca", "cert", "key")}
        tls = {"ETCDCTL_CACERT": files["ca"], "ETCDCTL_CERT": files["cert"], "ETCDCTL_KEY": files["key"]}
        os.environ.update(tls)
        self.addCleanup(lambda: [os.environ.pop(name) for name in tls])
        self.start_etcd(1, "--cert-file", files["cert"], "--key-file", files["key"], "--trusted-ca-file", files["ca"],
                        "--client-cert-auth", scheme="https")
        flags = ("--etcd-ca", files["ca"], "--etcd-cert", files["cert"], "--etcd-key", files["key"])
        self.start_masters(2, *flags)
        self.start_agent("a")
        job = self.submit("--", *self.script("0"))
        self.cli("job", "wait", job)
        self.kill_leader()
        self.leader()
        self.check_ran_once({job: 1})
        self.stop_masters()
        self.cli("journal", "verify", self.journal)
        os.environ["ETCDCTL_CERT"] = os.environ["ETCDCTL_KEY"] = ""
        refused = self.cli("journal", "verify", self.journal, code=None)
        self.assertNotEqual(refused.code, 0, "without a certificate of its own nobody gets in")

    def shell_in_folder(self, text):
        done = subprocess.run(["sh", "-ec", text], capture_output=True, text=True, cwd=self.folder, check=False, timeout=PATIENCE)
        self.assertEqual(done.returncode, 0, done.stderr)


if __name__ == "__main__":
    main()
