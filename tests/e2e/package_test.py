# The Debian package of this build, made by cpack and installed by dpkg into a root with nothing else in it; then what was installed runs
# a job. Libraries are this machine's: the package's dependencies are checked by name.
import os
import pathlib
import shutil
import subprocess

from cluster import BIN, Cluster, Process, main

PACKAGED = ("reeved", "reeve-agent", "reeve", "reeve-dashboard")


class Package(Cluster):
    def run_here(self, *words, **more):
        done = subprocess.run([str(word) for word in words], capture_output=True, text=True, check=False, timeout=120, **more)
        self.assertEqual(done.returncode, 0, f"{words}\n{done.stdout}{done.stderr}")
        return done.stdout

    def test_installs_into_an_empty_root_and_runs(self):
        config = BIN.parent / "CPackConfig.cmake"
        self.run_here("cpack", "-G", "DEB", "--config", config, "-B", self.folder, cwd=self.folder)
        (package,) = self.folder.glob("reeve_*.deb")
        needs = self.run_here("dpkg-deb", "--field", package, "Depends")
        for library in ("libzmq5", "libgrpc++", "libsqlite3-0", "passwd"):
            self.assertIn(library, needs)

        root = self.folder / "root"
        for name in ("var/lib/dpkg/info", "var/lib/dpkg/updates", "etc"):
            (root / name).mkdir(parents=True)
        for name in ("var/lib/dpkg/status", "etc/passwd", "etc/group", "etc/shadow", "etc/gshadow"):
            (root / name).touch()
        install = ("dpkg", f"--root={root}", "--force-depends", "--force-script-chrootless", "--force-not-root", "--force-bad-path")
        self.run_here(*install, "--install", package)
        self.assertIn("reeve:", (root / "etc/passwd").read_text(), "the master has a user of its own")
        for name in ("lib/systemd/system/reeved.service", "lib/systemd/system/reeve-agent.service", "etc/reeve/reeved.toml",
                     "etc/default/reeve-agent", "usr/share/man/man8/reeved.8", "usr/share/doc/reeve/examples/etcd.default"):
            self.assertTrue((root / name).exists() or (root / "usr" / name).exists(), name)

        changed = root / "etc/reeve/reeved.toml"
        changed.write_text(changed.read_text() + "# mine\n")
        self.run_here(*install, "--install", package)
        self.assertIn("# mine", changed.read_text(), "an upgrade keeps the operator's settings")

        bin_ = root / "usr/bin"
        self.assertEqual(sorted(path.name for path in bin_.iterdir()), sorted(PACKAGED))
        self.master = Process([bin_ / "reeved", "--config", changed, "--listen", "tcp://127.0.0.1:*", "--events", "tcp://127.0.0.1:*",
                               "--state", self.folder / "master"], r"^listening on (\S+)$", self.folder / "master.log")
        self.endpoint = self.master.ready[1]
        self.agents["a"] = Process([bin_ / "reeve-agent", "--master", self.endpoint, "--name", "a", "--state", self.folder / "a"],
                                   r"^registered with .* as node (\d+)$", self.folder / "a.log")
        told = self.run_here(bin_ / "reeve", "--master", self.endpoint, "submit", "--wait", "--", "true")
        self.assertIn("succeeded", told)
        self.end_all()
        self.agents.clear()
        self.run_here(*install, "--purge", "reeve")
        self.assertFalse(bin_.exists() and any(bin_.iterdir()), "nothing is left")

    def test_units_are_well_formed(self):
        if not shutil.which("systemd-analyze"):
            self.check_units_by_hand()
            return
        folder = self.folder / "units"
        folder.mkdir()
        for unit in (pathlib.Path(__file__).parent.parent.parent / "packaging").glob("*.service"):
            text = unit.read_text().replace("/usr/bin/", f"{BIN}/")
            (folder / unit.name).write_text(text)
            self.run_here("systemd-analyze", "verify", folder / unit.name, env={**os.environ, "SYSTEMD_LOG_LEVEL": "warning"})

    def check_units_by_hand(self):
        """Without systemd: what they start takes the options that they give."""
        for unit in (pathlib.Path(__file__).parent.parent.parent / "packaging").glob("*.service"):
            text = unit.read_text()
            self.assertIn("[Install]\nWantedBy=multi-user.target", text)
            for line in text.splitlines():
                if line.startswith("Exec"):
                    program, *words = line.split("=", 1)[1].split()
                    known = self.run_here(BIN / pathlib.Path(program).name, *[w for w in words[:1] if not w.startswith("-")], "--help")
                    for word in words:
                        if word.startswith("--"):
                            self.assertIn(word, known, line)


if __name__ == "__main__":
    main()
