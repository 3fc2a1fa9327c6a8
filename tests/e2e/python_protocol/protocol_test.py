# A client and a worker written from messages/PROTOCOL.md alone, against a real reeved. Called by ctest (label e2e).
# Usage: protocol_test.py REEVED PROTOCOL_PAGE
import ast
import pathlib
import re
import secrets
import signal
import subprocess
import sys
import tempfile
import time
import unittest

import msgpack
import zmq

import wire
from client import Client, Refused
from worker import Worker

REEVED, PAGE = sys.argv[1], sys.argv[2]
HERE = pathlib.Path(__file__).parent
SUCCEEDED, FAILED, CANCELLED = 2, 3, 4  # JobState


class Process:
    """A program that says a line when it is ready, and is always ended."""

    def __init__(self, command, pattern, log):
        self.log = open(log, "ab")
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=self.log)
        self.lines = []
        self.found = self.await_line(pattern)

    def await_line(self, pattern, timeout=30.0):
        deadline = time.monotonic() + timeout
        poller = zmq.Poller()
        poller.register(self.process.stdout.fileno(), zmq.POLLIN)
        while time.monotonic() < deadline:
            if not poller.poll(200):
                continue
            line = self.process.stdout.readline().decode()
            if not line:
                raise RuntimeError(f"{self.process.args[0]} ended with {self.process.wait()}; see {self.log.name}")
            self.lines.append(line)
            if match := re.search(pattern, line):
                return match
        raise TimeoutError(f"{self.process.args} did not say {pattern}")

    def kill(self):
        self.process.kill()
        self.process.wait()

    def end(self):
        if self.process.poll() is None:
            self.process.terminate()
            try:
                self.process.wait(10)
            except subprocess.TimeoutExpired:
                self.kill()
        self.process.stdout.close()
        self.log.close()


class Examples(unittest.TestCase):
    def test_the_page_s_examples_mean_what_it_says(self):
        text = pathlib.Path(PAGE).read_text(encoding="utf-8")
        blocks = re.findall(r"```\n(.+)\n((?:[0-9a-f]{2} ?)+(?: \| (?:[0-9a-f]{2} ?)+)+)\n```", text)
        self.assertGreater(len(blocks), 12)
        for said, hexed in blocks:
            frames = [bytes.fromhex(frame) for frame in hexed.split(" | ")]
            meant = []
            rest = said
            while rest:  # literals one behind the other
                for end in range(len(rest), 0, -1):
                    try:
                        meant.append(ast.literal_eval(rest[:end].strip()))
                    except (SyntaxError, ValueError):
                        continue
                    rest = rest[end:].strip()
                    break
            self.assertEqual(len(meant), len(frames), said)
            for what, frame in zip(meant, frames):
                if isinstance(what, str):
                    self.assertEqual(frame.decode(), what)
                else:
                    self.assertEqual(msgpack.unpackb(frame), what)


class WithMaster(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.folder = tempfile.TemporaryDirectory(prefix="reeve-python-")
        cls.endpoint = "tcp://127.0.0.1:*"
        cls.processes = []
        cls.master = None
        cls.start_master()

    @classmethod
    def tearDownClass(cls):
        for process in [*cls.processes, cls.master]:
            process.end()
        cls.folder.cleanup()

    @classmethod
    def start_master(cls):
        cls.master = Process(
            [REEVED, "--state", f"{cls.folder.name}/master", "--listen", cls.endpoint, "--events", "tcp://127.0.0.1:*"],
            r"^listening on (\S+)", f"{cls.folder.name}/master.log")
        cls.endpoint = cls.master.found.group(1)  # the same again after a restart

    def start_worker(self, name, slots=4):
        process = Process([sys.executable, str(HERE / "worker.py"), self.endpoint, name, str(slots)],
                          "registered as node", f"{self.folder.name}/{name}.log")
        self.processes.append(process)
        return process

    def setUp(self):
        self.client = Client(self.endpoint)
        self.addCleanup(self.client.close)

    def run_jobs(self, jobs):
        return self.client.wait(self.client.submit(jobs))

    def await_state(self, job, count):
        deadline = time.monotonic() + 20
        while not self.client.ask(wire.LIST_JOBS, {"jobs": [job]})[1]["jobs"][0]["progress"].get(count, 0):
            self.assertLess(time.monotonic(), deadline, f"job {job} has no {count} task")


class Protocol(WithMaster):
    # ---- a client alone

    def test_a_client_is_welcomed(self):
        welcome = self.client.hello()
        self.assertEqual(welcome["cluster"], "reeve")
        self.assertGreaterEqual(welcome["epoch"], 1)
        self.assertTrue(welcome["events"].startswith("tcp://127.0.0.1:"))

    def test_an_unknown_version_is_told_which_are_spoken(self):
        with self.assertRaises(Refused) as refused:
            self.client.ask(wire.HELLO, {}, version=9)
        self.assertEqual(refused.exception.code, wire.UNKNOWN_VERSION)
        self.assertEqual(refused.exception.versions, [1])
        with self.assertRaises(Refused) as refused:
            self.client.ask(wire.HELLO, {"versions": [7, 8]})
        self.assertEqual(refused.exception.versions, [1])

    def test_a_bad_field_is_named(self):
        for jobs, field in [([{"executor": "noop"}, {"executor": "sleep"}], "jobs[1].command"),
                            ([{"executor": "noop", "count": 0}], "jobs[0].count"),
                            ([{"executor": "noop", "conut": 3}], "jobs[0].conut"),
                            ([], "jobs")]:
            with self.assertRaises(Refused) as refused:
                self.client.submit(jobs)
            self.assertEqual(refused.exception.field, field)

    def test_a_question_about_what_is_not_there_is_refused(self):
        with self.assertRaises(Refused) as refused:
            self.client.wait([999_999_999])
        self.assertEqual(refused.exception.code, 6)

    # ---- with a worker

    def test_an_array_runs(self):
        self.start_worker("array")
        told = []
        ids = self.client.submit([{"name": "many", "executor": "noop", "count": 5000, "node_labels": {}}])
        progress = self.client.wait(ids, every=0.05, on_progress=told.append)[0]
        self.assertEqual((progress["state"], progress["total"], progress["succeeded"]), (SUCCEEDED, 5000, 5000))

    def test_many_jobs_in_one_message_get_consecutive_ids(self):
        self.start_worker("many")
        ids = self.client.submit([{"executor": "noop"} for _ in range(300)])
        self.assertEqual(len(set(ids)), 300)
        self.assertTrue(all(job["state"] == SUCCEEDED for job in self.client.wait(ids)))

    def test_results_and_output_come_back(self):
        self.start_worker("square")
        job = self.client.submit([{"executor": "square", "count": 3, "items": ["7", "8", "not a number"]}])[0]
        progress = self.client.wait([job])[0]
        self.assertEqual((progress["state"], progress["succeeded"], progress["failed"]), (FAILED, 2, 1))
        tasks = self.client.tasks(job)
        self.assertEqual([task["last"][9] for task in tasks[:2]], [b"49", b"64"])
        self.assertIn("not a number", tasks[2]["last"][8])
        self.assertEqual(self.client.log(job, 1)["data"], b"the square is 64\n")

    def test_the_same_key_makes_no_second_job(self):
        key = secrets.token_bytes(16)
        first = self.client.submit([{"executor": "noop"}, {"executor": "noop"}], key)
        self.assertEqual(self.client.submit([{"executor": "noop"}, {"executor": "noop"}], key), first)
        with self.assertRaises(Refused) as refused:
            self.client.submit([{"executor": "noop"}], key)
        self.assertEqual(refused.exception.field, "key")

    def test_what_runs_can_be_stopped(self):
        self.start_worker("stop", 1)
        job = self.client.submit([{"executor": "sleep", "command": ["600000000"], "count": 2,
                                   "resources": {"cpu_milli": 1000}}])[0]
        self.await_state(job, "assigned")
        self.client.cancel(job)
        progress = self.client.wait([job])[0]
        self.assertEqual((progress["state"], progress["cancelled"]), (CANCELLED, 2))

    def test_a_lease_is_granted_and_given_back(self):
        self.start_worker("lease", 2)
        granted = self.client.ask(wire.ALLOCATE, {"node": "lease", "owner": "me", "resources": {"cpu_milli": 1500}})[1]
        self.assertEqual(granted["available"]["cpu_milli"], 500)
        with self.assertRaises(Refused) as refused:
            self.client.ask(wire.ALLOCATE, {"node": "lease", "resources": {"cpu_milli": 1500}})
        self.assertIn("asked 1.5, available 0.5, capacity 2", refused.exception.text)
        done = self.client.ask(wire.RELEASE, {"lease": granted["lease"]["lease"]})[1]
        self.assertEqual(done["changed"], 1)

    def test_a_worker_that_pulls_gets_work_once_for_each_time_it_asks(self):
        puller = Worker(self.endpoint, "puller", 2, lambda text: None, pulls=True)
        self.addCleanup(puller.leave)

        def live(until, what):
            deadline = time.monotonic() + 20
            while not until():
                self.assertLess(time.monotonic(), deadline, what)
                puller.step()

        live(lambda: puller.registered, "it registers")
        job = self.client.submit([{"executor": "sleep", "command": ["1000"], "count": 5, "node_labels": {"who": "puller"},
                                   "resources": {"cpu_milli": 1000}}])[0]

        def progress(count):
            return self.client.ask(wire.LIST_JOBS, {"jobs": [job]})[1]["jobs"][0]["progress"].get(count, 0)

        def refused():
            return self.client.ask(wire.EXPLAIN, {"job": job})[1].get("nodes", {})

        live(lambda: refused().get("takes work only when it asks") == 1, "it is asked for nothing")
        self.assertEqual((puller.jobs, progress("pending")), ({}, 5))
        for done in (2, 4, 5):
            puller.pull()
            live(lambda: progress("succeeded") == done, f"{done} tasks done")
            for _ in range(3):  # the master had the ends, and gave nothing for them
                puller.step()
                self.assertEqual((puller.jobs, progress("pending")), ({}, 5 - done))

    def test_tasks_of_a_worker_survive_the_master(self):
        self.start_worker("survivor", 2)
        job = self.client.submit([{"executor": "sleep", "command": ["1500000"], "count": 2}])[0]
        quick = self.client.submit([{"executor": "noop", "count": 100}])[0]
        self.client.wait([quick])
        self.await_state(job, "assigned")
        self.master.kill()
        self.master.end()
        self.start_master()
        self.assertEqual(self.client.wait([job])[0]["state"], SUCCEEDED)
        self.assertEqual({task["attempt"] for task in self.client.tasks(job)}, {1})
        self.assertEqual(self.client.wait([quick])[0]["succeeded"], 100)

    def test_a_worker_says_goodbye(self):
        worker = self.start_worker("leaver")
        worker.process.send_signal(signal.SIGTERM)
        self.assertEqual(worker.process.wait(20), 0)
        deadline = time.monotonic() + 10
        while [node for node in self.client.nodes() if node["name"] == "leaver"][0].get("state", 0) != 3:
            self.assertLess(time.monotonic(), deadline)

    def test_events_come_live_and_again(self):
        self.start_worker("events")
        subscriber = zmq.Context.instance().socket(zmq.SUB)
        self.addCleanup(subscriber.close)
        subscriber.connect(self.client.hello()["events"])
        subscriber.subscribe("job.ended.")
        # Only what happens after the subscription has arrived comes live: the answer to a replay says that it has.
        newest = self.replay(subscriber, 1)[-1]["seq"]
        job = self.client.submit([{"name": "told", "executor": "noop"}])[0]
        self.client.wait([job])
        topic, position, body = subscriber.recv_multipart()
        event = wire.unpack(body)
        self.assertEqual(topic.decode(), f"job.ended.{job}")
        self.assertEqual((event["kind"], event["job"], event["name"]), ("job.ended", job, "succeeded"))
        self.assertEqual(wire.unpack(position)[:2], [event["seq"], event.get("part", 0)])
        self.assertGreater(wire.unpack(position)[2], 0)
        again = self.replay(subscriber, newest + 1)
        self.assertIn(("job.submitted", job), [(e["kind"], e.get("job")) for e in again])
        self.assertIn(event, again)

    def test_events_come_in_packs(self):
        self.start_worker("packs")
        subscriber = zmq.Context.instance().socket(zmq.SUB)
        self.addCleanup(subscriber.close)
        subscriber.connect(self.client.hello()["events"])
        subscriber.subscribe("of.all")
        past = f"of.past.1.{secrets.token_hex(8)}"
        subscriber.subscribe(past)
        told, numbers, done = [], [], False
        job = None
        while job is None or ("job.ended", job) not in [(event["kind"], event.get("job")) for event in told]:
            self.assertTrue(subscriber.poll(10_000), "no events")
            topic, position, body = subscriber.recv_multipart()
            number, = wire.unpack(position)
            for seq, part, name, packed in wire.unpack(body):
                event = wire.unpack(packed)
                self.assertEqual((seq, part), (event["seq"], event.get("part", 0)))
                about = event.get("job") or event.get("node")
                self.assertEqual(name, f"{event['kind']}.{about}" if about else event["kind"])
                if topic.decode() == past:
                    self.assertEqual(number, 0)
                    done = name == "replay.done"
                else:
                    numbers.append(number)
                    number += 1
                told.append(event)
            if done and job is None:
                told = []
                job = self.client.submit([{"name": "packed", "executor": "noop"}])[0]
        self.assertEqual(numbers, list(range(numbers[0], numbers[0] + len(numbers))))
        one_by_one = self.replay(subscriber, told[0]["seq"])
        self.assertEqual(told, [event for event in one_by_one if event in told])

    def replay(self, subscriber, seq):
        """Every kept event from seq on, then replay.done."""
        topic = f"replay.{seq}.{secrets.token_hex(8)}"
        subscriber.subscribe(topic)
        events, live = [], []
        while not events or events[-1]["kind"] != "replay.done":
            self.assertTrue(subscriber.poll(10_000), "no replay")
            frames = subscriber.recv_multipart()
            (events if frames[0].decode() == topic else live).append(wire.unpack(frames[2]))
        subscriber.unsubscribe(topic)
        return events


class Hostile(WithMaster):
    """Whatever one connection does, the others are served, and it is told what was wrong or dropped."""

    def setUp(self):
        super().setUp()
        self.bad = wire.connect(zmq.Context.instance(), self.endpoint)
        self.addCleanup(self.bad.close)
        deadline = time.monotonic() + 10
        while not wire.send(self.bad, wire.HELLO, {}, 1):  # until the connection stands
            self.assertLess(time.monotonic(), deadline)
        self.assertEqual(self.next_answer()[0].type, wire.WELCOME)

    def next_answer(self):
        self.assertTrue(self.bad.poll(30_000), "no answer")
        return wire.receive(self.bad)

    def refusal(self, header, body):
        self.bad.send_multipart([header, body])
        answer, failed = self.next_answer()
        self.assertEqual(answer.type, wire.FAILED)
        return failed

    def others_are_served(self):
        job = self.client.submit([{"executor": "noop", "count": 10}])[0]
        self.assertEqual(self.client.ask(wire.LIST_JOBS, {"jobs": [job]})[1]["jobs"][0]["progress"]["total"], 10)
        self.client.cancel(job)

    def test_messages_of_one_or_three_frames_are_dropped(self):
        self.bad.send_multipart([b"alone"])
        self.bad.send_multipart([wire.pack([1, wire.HELLO, 5]), wire.pack({}), b"more"])
        wire.send(self.bad, wire.HELLO, {}, 6)
        self.assertEqual(self.next_answer()[0].correlation, 6)  # nothing was said to the others
        self.others_are_served()

    def test_garbage_is_answered(self):
        submit = wire.pack([1, wire.SUBMIT, 7])
        for header, body, code, field in [
                (b"", b"", 1, "header"), (b"\xc1", b"\x80", 1, "header"), (b"\x80", b"\x80", 2, "header"),
                (wire.pack([1, "submit"]), b"\x80", 2, "header.type"), (wire.pack([1, 999]), b"\x80", 4, "header.type"),
                (wire.pack([1, wire.ASSIGN]), b"\x80", 4, "header.type"), (submit, b"", 1, ""), (submit, b"\xc1", 1, ""),
                (submit, b"\x91" * 100_000, 5, ""), (submit, b"\xdd\xff\xff\xff\xff", 1, ""),
                (submit, wire.pack([]), 2, ""), (submit, wire.pack({"jobs": 5}), 2, "jobs"),
                (submit, wire.pack({"jobs": [{"count": "3"}]}), 2, "jobs[0].count"),
                (submit, wire.pack({"jobs": [{"resources": {"memory_bytes": -1}}]}), 2, "jobs[0].resources.memory_bytes"),
                (submit, wire.pack({"jobs": [{}]}) + b"\x80", 1, "")]:
            failed = self.refusal(header, body)
            self.assertEqual((failed["code"], failed.get("field", "")), (code, field), (header, body[:40], failed))
            self.assertTrue(failed["text"])
        self.others_are_served()

    def test_a_list_that_would_take_gigabytes_is_too_large(self):
        results = {"session": 1, "number": 1, "jobs": [[job, [], [[0]] * 100_000] for job in range(1, 20)]}
        failed = self.refusal(wire.pack([1, wire.RESULTS, 9]), wire.pack(results))
        self.assertEqual(failed["code"], 5)
        self.others_are_served()

    def test_a_frame_beyond_the_limit_ends_the_connection_and_no_other(self):
        self.bad.send_multipart([wire.pack([1, wire.SUBMIT, 8]), bytes(17 << 20)])
        self.others_are_served()
        deadline = time.monotonic() + 20  # it may come back, as a stranger
        while True:
            wire.send(self.bad, wire.HELLO, {}, 77)
            if self.bad.poll(200) and wire.receive(self.bad)[0].correlation == 77:
                break
            self.assertLess(time.monotonic(), deadline)

    def test_a_chosen_routing_id_is_not_spoken_to(self):
        chosen = zmq.Context.instance().socket(zmq.DEALER)
        self.addCleanup(chosen.close)
        chosen.setsockopt(zmq.LINGER, 0)
        chosen.setsockopt(zmq.ROUTING_ID, b"mine")
        chosen.connect(self.endpoint)
        wire.send(chosen, wire.HELLO, {}, 1)
        wire.send(self.bad, wire.HELLO, {}, 2)
        self.next_answer()
        self.assertFalse(chosen.poll(300))
        self.others_are_served()

    def test_a_stranger_cannot_speak_for_a_node(self):
        worker = self.start_worker("victim", 1)
        job = self.client.submit([{"executor": "sleep", "command": ["1000000"]}])[0]
        self.await_state(job, "assigned")
        session = 12345
        for type_, body in [
                (wire.RESULTS, {"session": session, "number": 1, "jobs": [[job, [[[0, 1, 1], 1, 2]]]]}),
                (wire.LEAVE, {"session": session}), (wire.HEARTBEAT, {"session": session, "assign_seen": 99}),
                (wire.LOG_REPLY, {"request": 1, "text": "a lie"})]:
            wire.send(self.bad, type_, body)
        self.assertEqual(self.next_answer()[0].type, wire.REGISTER_AGAIN)
        # Its name is taken while it is connected.
        register = {"name": "victim", "incarnation": 99, "session": session, "capacity": {"cpu_milli": 1000},
                    "executors": ["noop"]}
        failed = self.refusal(wire.pack([1, wire.REGISTER_NODE, 10]), wire.pack(register))
        self.assertEqual(failed["field"], "name")
        self.assertEqual(self.client.wait([job])[0]["state"], SUCCEEDED)
        self.assertIsNone(worker.process.poll())

    def test_results_said_twice_or_out_of_turn_count_once(self):
        register = {"name": "liar", "incarnation": 5, "session": 50, "capacity": {"cpu_milli": 1000},
                    "executors": ["liar"]}
        job = self.client.submit([{"executor": "liar", "count": 2}])[0]
        wire.send(self.bad, wire.REGISTER_NODE, register, 3)
        given = []
        while not given:
            header, body = self.next_answer()
            if header.type == wire.ASSIGN:
                given = body["jobs"]
        self.assertEqual(given[0][0], job)
        well, badly = [[job, [[[0]]]]], [[job, [], [[0, 1, 1, 9]]]]
        for number, jobs in [(7, well), (7, well), (3, badly), (4, [[job, [], [[1, 2]]]]), (5, [[job, [[[900, 5]]]]]),
                             (6, [[999_999, [[[0]]]]])]:
            wire.send(self.bad, wire.RESULTS, {"session": 50, "number": number, "jobs": jobs})
        acked = []
        while len(acked) < 6:
            header, body = self.next_answer()
            if header.type == wire.RESULTS_ACK:
                acked += body["numbers"]
        self.assertEqual(acked, [7, 7, 3, 4, 5, 6])
        progress = self.client.ask(wire.LIST_JOBS, {"jobs": [job]})[1]["jobs"][0]["progress"]
        self.assertEqual((progress.get("succeeded", 0), progress.get("failed", 0)), (1, 0))
        wire.send(self.bad, wire.LEAVE, {"session": 50, "reason": "done"})
        self.client.cancel(job)


if __name__ == "__main__":
    unittest.main(argv=sys.argv[:1], verbosity=2)
