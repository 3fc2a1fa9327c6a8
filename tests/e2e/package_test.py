# What the Debian package holds, put into a root with nothing else in it, and run there. The test takes what was built for it; `make deb`
# has the package itself installed by dpkg (REEVE_DEB names it). Libraries are this machine's: those it needs are checked by name.
import os
import pathlib
import subprocess

from cluster import BIN, Cluster, Process, main

PROGRAMS = ("reeve", "reeve-agent", "reeve-dashboard", "reeved")
FILES = ("lib/systemd/system/reeved.service", "lib/systemd/system/reeve-agent.service", "share/man/man8/reeved.8",
         "share/doc/reeve/examples/etcd.default", "share/doc/reeve/operating.md")
SETTINGS = ("etc/reeve/reeved.toml", "etc/default/reeve-agent")
UNITS = pathlib.Path(__file__).parent.parent.parent / "packaging"


class Package(Cluster):
    def run_here(self, *words, **more):
        done = subprocess.run([str(word) for word in words], capture_output=True, text=True, check=False, timeout=120, **more)
        self.assertEqual(done.returncode, 0, f"{words}\n{done.stdout}{done.stderr}")
        return done.stdout

    def check_files(self, usr, root):
        self.assertEqual(sorted(path.name for path in (usr / "bin").iterdir()), list(PROGRAMS))
        for path in [usr / name for name in FILES] + [root / name for name in SETTINGS]:
            self.assertTrue(path.exists() or path.with_name(path.name + ".gz").exists(), path)

    def check_runs(self, bin_, settings):
        """Master and agent as their units start them, but for folders and ports; a job goes through them."""
        self.master = Process([bin_ / "reeved", "--config", settings, "--listen", "tcp://127.0.0.1:*", "--events", "tcp://127.0.0.1:*",
                               "--state", self.folder / "master"], r"^listening on (\S+)$", self.folder / "master.log")
        self.endpoint = self.master.ready[1]
        self.agents["a"] = Process([bin_ / "reeve-agent", "--master", self.endpoint, "--name", "a", "--state", self.folder / "a"],
                                   r"^registered with .* as node (\d+)$", self.folder / "a.log")
        self.assertIn("succeeded", self.run_here(bin_ / "reeve", "--master", self.endpoint, "submit", "--wait", "--", "true"))

    def test_what_is_packaged_runs_from_an_empty_root(self):
        root = self.folder / "root"
        for component in ("programs", "documentation", "system"):
            self.run_here("cmake", "--install", BIN.parent, "--prefix", "/usr", "--component", component,
                          env={**os.environ, "DESTDIR": str(root)})
        self.check_files(root / "usr", root)
        self.assertEqual(sorted(f"/{name}" for name in SETTINGS), sorted((UNITS / "debian/conffiles").read_text().split()),
                         "what operators change is kept by an upgrade")
        self.check_runs(root / "usr/bin", root / "etc/reeve/reeved.toml")

    def test_units_start_programs_with_options_that_they_know(self):
        for unit in UNITS.glob("*.service"):
            text = unit.read_text()
            self.assertIn("[Install]\nWantedBy=multi-user.target", text)
            for line in text.splitlines():
                if line.startswith("Exec"):
                    program, *words = line.split("=", 1)[1].split()
                    program = BIN / pathlib.Path(program).name
                    verb = [word for word in words[:1] if not word.startswith("-")]
                    known = self.run_here(program, "--help") + self.run_here(program, *verb, "--help")
                    for word in words:
                        if word.startswith("--"):
                            self.assertIn(word, known, line)

    def deb(self):
        """By `make deb`."""
        package = pathlib.Path(os.environ["REEVE_DEB"]).absolute()
        needs = self.run_here("dpkg-deb", "--field", package, "Depends")
        for library in ("libzmq5", "libgrpc++", "libsqlite3-0", "passwd"):
            self.assertIn(library, needs)
        root = self.folder / "root"
        for name in ("var/lib/dpkg/info", "var/lib/dpkg/updates", "etc"):
            (root / name).mkdir(parents=True)
        for name in ("var/lib/dpkg/status", "etc/passwd", "etc/group", "etc/shadow", "etc/gshadow"):
            (root / name).touch()
        dpkg = ("dpkg", f"--root={root}", "--force-depends", "--force-script-chrootless", "--force-not-root", "--force-bad-path")
        self.run_here(*dpkg, "--install", package)
        self.assertIn("reeve:", (root / "etc/passwd").read_text(), "the master has a user of its own")
        self.check_files(root / "usr", root)
        settings = root / "etc/reeve/reeved.toml"
        settings.write_text(settings.read_text() + "# mine\n")
        self.run_here(*dpkg, "--install", package)
        self.assertIn("# mine", settings.read_text(), "an upgrade keeps the operator's settings")
        self.check_runs(root / "usr/bin", settings)
        self.end_all_programs()
        self.run_here(*dpkg, "--purge", "reeve")
        self.assertFalse((root / "usr/bin").exists() or settings.exists(), "nothing is left")

    def end_all_programs(self):
        for name, agent in self.agents.items():
            agent.kill(15)
            self.end_keeper(name)
        self.agents.clear()
        self.master.kill(15)


if __name__ == "__main__":
    main()
