# Two masters over etcd in a network that splits: between the leader and etcd, the standby, the agents, both ways or one way. No task is
# lost or run twice, the leader changes only when it must, and everything goes on by itself when the network is whole again.
import time

from cluster import await_true, main
from masters import Masters
from proxy import Proxy


class Partition(Masters):
    """Each master reaches etcd, and is reached by the other master and by agents, through proxies of its own."""

    def setUp(self):
        super().setUp()
        self.start_etcd(1)
        self.to_etcd, self.to_master, self.for_agents = {}, {}, {}
        port = self.etcd_client["e1"]
        for name in ("m1", "m2"):
            self.to_etcd[name], self.to_master[name], self.for_agents[name] = (Proxy(port), Proxy(), Proxy())
            for proxy in (self.to_etcd[name], self.to_master[name], self.for_agents[name]):
                self.addCleanup(proxy.close)
            self.start_one(name, "--advertise", f"tcp://127.0.0.1:{self.to_master[name].port}",
                           journal=self.journal.replace(f":{port}", f":{self.to_etcd[name].port}"))
            listens = int(self.listen[name].rsplit(":", 1)[1])
            self.to_master[name].target = self.for_agents[name].target = listens
        masters = ",".join(self.listen.values())
        self.endpoint = ",".join(f"tcp://127.0.0.1:{proxy.port}" for proxy in self.for_agents.values())
        self.start_agent("a")
        self.endpoint = masters
        self.other = {"m1": "m2", "m2": "m1"}

    def both(self):
        """One leads, the other follows it."""
        def look():
            status = self.status()
            return sorted(one["role"] for one in status.values()) == ["leader", "standby"] and \
                all(one["leader"] == self.leader() for one in status.values())
        await_true(look, "one leads and the other follows")

    def submit_some(self, jobs):
        """A job that will not have ended when the network is cut; it has begun."""
        job = self.submit("--array", "0-39", "--", *self.script("0.1"))
        jobs[job] = 40
        await_true(lambda: any(line.startswith(f"end {job} ") for line in self.ran()), "the work goes on")
        return job

    def stays_for(self, seconds, leader, epoch):
        until = time.monotonic() + seconds
        while time.monotonic() < until:
            one = self.status()[leader]
            self.assertEqual((one["role"], one["epoch"]), ("leader", epoch))

    def test_a_leader_that_does_not_reach_etcd_is_replaced_and_follows_when_it_does_again(self):
        jobs = {}
        for ways in ((), ("there",), ("back",)):  # requests that are lost, or only their answers
            with self.subTest(cut=ways or "both"):
                self.both()
                old = self.leader()
                job = self.submit_some(jobs)
                began = time.monotonic()
                self.to_etcd[old].cut(*ways)
                await_true(lambda: "no answer" in self.status()[old]["journal"], "the leader says that it hears nothing")
                print(f"said so after {time.monotonic() - began:.1f} s", flush=True)
                alone, self.endpoint = self.endpoint, self.listen[old]
                try:
                    refused = self.cli("submit", "--timeout", "300ms", "--", "true", code=None)
                    self.assertNotEqual(refused.code, 0, "nor is work taken")
                finally:
                    self.endpoint = alone
                await_true(lambda: self.status()[self.other[old]]["role"] == "leader", "the other takes over")
                self.cli("job", "wait", job)
                self.to_etcd[old].heal()
        self.both()
        self.check_ran_once(jobs)

    def test_a_leader_that_agents_or_the_standby_do_not_reach_stays_and_the_work_goes_on_afterwards(self):
        self.both()
        leader = self.leader()
        epoch = self.status()[leader]["epoch"]
        jobs = {}
        for proxies, ways in ((self.to_master, ()), (self.to_master, ("back",)), (self.for_agents, ()),
                              (self.for_agents, ("there",)), (self.for_agents, ("back",))):
            with self.subTest(cut=ways or "both", between="masters" if proxies is self.to_master else "agents"):
                job = self.submit_some(jobs)
                proxies[leader].cut(*ways)
                self.stays_for(1.5, leader, epoch)
                proxies[leader].heal()
                self.cli("job", "wait", job)
        self.check_ran_once(jobs)
        self.assertEqual(self.status()[leader]["epoch"], epoch)


if __name__ == "__main__":
    main()
