# A reeve worker made from messages/PROTOCOL.md alone. Executors: noop, sleep, and `square`, a function that squares the task's
# item, says so on its output and returns the square as its result. Usage: worker.py ENDPOINT NAME SLOTS
import collections
import random
import secrets
import signal
import sys
import time

import zmq

import wire

NONE, CANCELLED, EXECUTOR_ERROR, DRAINED, UNKNOWN_EXECUTOR = 0, 5, 8, 9, 10
SPEC_DEFAULTS = {"executor": "process", "command": []}
RESEND_AFTER, LINGER, MANY = 5.0, 0.001, 1000


def random_id():
    return secrets.randbits(63) | 1


def micros():
    return time.time_ns() // 1000


def run_of(values):
    first, count, attempt = (values + [1, 1])[:3] if len(values) == 1 else (values + [1])[:3]
    return first, count, attempt


class Job:
    def __init__(self, spec):
        self.spec = {**SPEC_DEFAULTS, **spec}
        self.slots = 1
        self.attempts = {}  # index -> attempt: everything not acknowledged
        self.waiting = collections.deque()  # (index, attempt, item)
        self.running = {}  # index -> (attempt, ends at, started, item)


class Worker:
    def __init__(self, endpoint, name, slots, say=print, pulls=False):
        self.socket = wire.connect(zmq.Context.instance(), endpoint)
        self.name, self.slots, self.say, self.pulls = name, slots, say, pulls
        self.incarnation = random_id()
        self.session = 0
        self.registered = False
        self.register_at, self.patience = 0.0, 3.0
        self.epoch, self.heartbeat, self.beat_at, self.assign_seen = 0, 1.0, 0.0, 0
        self.jobs = {}
        self.ended = []  # (job, result, output) not yet in a message
        self.ended_at = 0.0
        self.unacked = {}  # number -> [body, sent at]
        self.number = 0
        self.outputs = {}  # (job, index, attempt) -> bytes
        self.leaving = False

    # ---- registration

    def register(self):
        self.registered = False
        self.session = random_id()
        attempts = []
        for job_id, job in sorted(self.jobs.items()):
            runs = []
            for index, attempt in sorted(job.attempts.items()):
                if runs and runs[-1][0] + runs[-1][1] == index and runs[-1][2] == attempt:
                    runs[-1][1] += 1
                else:
                    runs.append([index, 1, attempt])
            if runs:
                attempts.append([job_id, runs])
        body = {"name": self.name, "incarnation": self.incarnation, "session": self.session,
                "labels": {"who": self.name}, "pulls": self.pulls, "capacity": {"cpu_milli": self.slots * 1000, "memory_bytes": 1 << 30},
                "executors": ["noop", "sleep", "square"], "program": "python worker", "attempts": attempts}
        now = time.monotonic()
        if wire.send(self.socket, wire.REGISTER_NODE, body, 1, self.epoch):
            self.register_at = now + self.patience
            self.patience = min(self.patience * 2, 30.0)
        else:
            self.register_at = now + 0.05

    def on_registered(self, body):
        if self.registered or body.get("session") != self.session:
            return
        self.registered, self.patience, self.assign_seen = True, 3.0, 0
        self.heartbeat = body.get("heartbeat_us", 1_000_000) / 1e6
        self.beat_at = 0.0
        for job_id, runs in body.get("stop", []):
            for index, attempt in self.each(job_id, runs):
                self.drop(job_id, index, attempt)
        for entry in self.unacked.values():
            entry[1] = 0.0  # everything again, in the new session
        self.say(f"registered as node {body['node']}")

    # ---- work

    def each(self, job_id, runs):
        """What this worker has of these runs: (index, attempt)."""
        job = self.jobs.get(job_id)
        for run in runs if job else []:
            first, count, attempt = run_of(run)
            for index in range(first, first + count):
                if job.attempts.get(index) == attempt:
                    yield index, attempt

    def drop(self, job_id, index, attempt):
        job = self.jobs[job_id]
        if job.attempts.get(index) != attempt:
            return
        del job.attempts[index]
        job.running.pop(index, None)
        job.waiting = collections.deque(w for w in job.waiting if w[0] != index)
        self.ended = [e for e in self.ended if (e[0], e[1][0], e[1][1]) != (job_id, index, attempt)]
        if not job.attempts:
            del self.jobs[job_id]

    def on_assign(self, body):
        if not self.registered or body["session"] != self.session or body["number"] <= self.assign_seen:
            return
        if body["number"] != self.assign_seen + 1:
            return self.register()
        self.assign_seen = body["number"]
        for job_id, spec in body.get("specs", []):
            self.jobs.setdefault(job_id, Job(spec))
        for assigned in body.get("jobs", []):
            job_id, slots, runs, items = (assigned + [1, [], []][len(assigned) - 1:])[:4]
            job = self.jobs.get(job_id)
            if job is None:
                return self.register()
            job.slots = slots
            position = 0
            for run in runs:
                first, count, attempt = run_of(run)
                for index in range(first, first + count):
                    item = items[position] if items else ""
                    position += 1
                    if job.attempts.get(index, 0) >= attempt:
                        continue
                    if index in job.attempts:
                        self.drop(job_id, index, job.attempts[index])
                        self.jobs[job_id] = job
                    job.attempts[index] = attempt
                    job.waiting.append((index, attempt, item))

    def start_and_end(self):
        """Ends what is over, starts what may run. Says how long nothing will change."""
        now = time.monotonic()
        soonest = now + 1.0
        running = sum(len(job.running) for job in self.jobs.values())
        for job_id, job in list(self.jobs.items()):
            for index, (attempt, ends_at, started, item) in list(job.running.items()):
                if ends_at <= now:
                    del job.running[index]
                    running -= 1
                    self.finish(job_id, index, attempt, started, item)
                else:
                    soonest = min(soonest, ends_at)
            while job.waiting and len(job.running) < job.slots and running < self.slots and not self.leaving:
                index, attempt, item = job.waiting.popleft()
                seconds = int(job.spec["command"][0]) / 1e6 if job.spec["executor"] == "sleep" else 0.0
                if seconds:
                    job.running[index] = (attempt, now + seconds, micros(), item)
                    running += 1
                    soonest = min(soonest, now + seconds)
                else:
                    self.finish(job_id, index, attempt, micros(), item)
        return soonest

    def finish(self, job_id, index, attempt, started, item):
        executor = self.jobs[job_id].spec["executor"]
        if executor in ("noop", "sleep"):
            return self.end(job_id, index, attempt, NONE, started)
        if executor != "square":
            return self.end(job_id, index, attempt, UNKNOWN_EXECUTOR, started, f"no executor {executor} here")
        try:
            square = str(int(item or index) ** 2).encode()
        except ValueError as error:
            return self.end(job_id, index, attempt, EXECUTOR_ERROR, started, str(error))
        self.end(job_id, index, attempt, NONE, started, result=square, output=b"the square is " + square + b"\n")

    def end(self, job_id, index, attempt, cause, started, text="", result=b"", output=b""):
        now = micros()
        if output:
            self.outputs[(job_id, index, attempt)] = output
        if not self.ended:
            self.ended_at = time.monotonic()
        self.ended.append((job_id, [index, attempt, cause, 0, 0, started, now, [now - started], text, result, len(output)],
                           output))

    # ---- results

    def send_results(self):
        now = time.monotonic()
        while self.ended and (now - self.ended_at >= LINGER or len(self.ended) >= MANY):
            some, self.ended = self.ended[:MANY], self.ended[MANY:]
            jobs, outputs = {}, []
            for job_id, result, output in some:
                quiet, tasks = jobs.setdefault(job_id, ([], []))
                index, attempt, cause = result[:3]
                if cause == NONE and not result[9] and not output:
                    last = quiet[-1] if quiet else None
                    if last and last[0][0] + last[0][1] == index and last[0][2] == attempt:
                        last[0][1] += 1
                        last[2] = result[6]
                    else:
                        quiet.append([[index, 1, attempt], result[5], result[6]])
                else:
                    tasks.append(result)
                    if output:
                        outputs.append([job_id, index, attempt, output[:4096]])
            self.number += 1
            self.unacked[self.number] = [
                {"number": self.number, "jobs": [[job, quiet, tasks] for job, (quiet, tasks) in jobs.items()],
                 "outputs": outputs}, 0.0]
        for entry in self.unacked.values() if self.registered else []:
            if now - entry[1] >= RESEND_AFTER and wire.send(
                    self.socket, wire.RESULTS, {**entry[0], "session": self.session}, 0, self.epoch):
                entry[1] = now

    def on_ack(self, body):
        for number in body.get("numbers", []):
            acked = self.unacked.pop(number, None)
            for job_id, quiet, tasks in acked[0]["jobs"] if acked else []:
                job = self.jobs.get(job_id)
                if job is None:
                    continue
                for (first, count, attempt), _, _ in quiet:
                    for index in range(first, first + count):
                        if job.attempts.get(index) == attempt:
                            del job.attempts[index]
                for result in tasks:
                    if job.attempts.get(result[0]) == result[1]:
                        del job.attempts[result[0]]
                if not job.attempts:
                    del self.jobs[job_id]

    # ---- the rest

    def pull(self):
        wire.send(self.socket, wire.PULL, {"session": self.session}, 0, self.epoch)

    def on_stop(self, body):
        for job_id, runs in body.get("tasks", []):
            for index, attempt in list(self.each(job_id, runs)):
                job = self.jobs[job_id]
                started = micros()
                if index in job.running:
                    started = job.running.pop(index)[2]
                elif any(w[0] == index for w in job.waiting):
                    job.waiting = collections.deque(w for w in job.waiting if w[0] != index)
                else:
                    continue  # has ended, is reported already
                self.end(job_id, index, attempt, CANCELLED, started, body.get("reason", ""))

    def on_log_request(self, body):
        log = body["log"]
        key = (log["job"], log.get("index", 0), log.get("attempt", 0))
        output = self.outputs.get(key) if log.get("stream", 0) == 0 else b""
        reply = {"request": body["request"]}
        if output is None:
            reply["text"] = "nothing is kept here of that attempt"
        else:
            offset = log.get("offset", 0)
            data = output[offset:offset + log.get("limit", 65536)]
            reply["chunk"] = {"data": data, "offset": offset, "written": len(output), "ended": True, "attempt": key[2]}
        wire.send(self.socket, wire.LOG_REPLY, reply, 0, self.epoch)

    def on_message(self, header, body):
        if header.type == wire.FAILED:
            return self.say(f"refused: {body}")
        if header.epoch < self.epoch:
            return None  # a master that has been succeeded
        new_reign = self.registered and header.epoch > self.epoch
        self.epoch = header.epoch
        handlers = {wire.REGISTERED: self.on_registered, wire.ASSIGN: self.on_assign, wire.RESULTS_ACK: self.on_ack,
                    wire.STOP_TASKS: self.on_stop, wire.LOG_REQUEST: self.on_log_request}
        if header.type == wire.REGISTER_AGAIN or (new_reign and header.type != wire.REGISTERED):
            return self.register()
        if header.type in handlers:
            handlers[header.type](body)
        return None

    def beat(self):
        now = time.monotonic()
        if self.registered and now >= self.beat_at:
            running = sum(len(job.running) for job in self.jobs.values())
            waiting = sum(len(job.waiting) for job in self.jobs.values())
            wire.send(self.socket, wire.HEARTBEAT,
                      {"session": self.session, "assign_seen": self.assign_seen, "running": running, "waiting": waiting},
                      0, self.epoch)
            self.beat_at = now + self.heartbeat * random.uniform(0.9, 1.1)

    def leave(self):
        """Stops everything, waits a while for the acknowledgements, says goodbye."""
        self.leaving = True
        for job_id, job in self.jobs.items():
            for index, attempt, _ in job.waiting:
                self.end(job_id, index, attempt, DRAINED, micros(), "the worker ended")
            for index, (attempt, _, started, _) in job.running.items():
                self.end(job_id, index, attempt, DRAINED, started, "the worker ended")
            job.waiting.clear()
            job.running.clear()
        deadline = time.monotonic() + 5.0
        while (self.ended or self.unacked) and time.monotonic() < deadline:
            self.step()
        if self.registered:
            wire.send(self.socket, wire.LEAVE, {"session": self.session, "reason": "asked to"}, 0, self.epoch)

    def step(self):
        if not self.registered and time.monotonic() >= self.register_at:
            self.register()
        wake = self.start_and_end()
        self.send_results()
        self.beat()
        if self.ended:
            wake = min(wake, self.ended_at + LINGER)
        wake = min(wake, self.beat_at if self.registered else self.register_at)
        self.socket.poll(max(0, int((wake - time.monotonic()) * 1000)))
        while (message := wire.receive(self.socket)) is not None:
            self.on_message(*message)


def main():
    endpoint, name, slots = sys.argv[1], sys.argv[2], int(sys.argv[3])
    worker = Worker(endpoint, name, slots, lambda text: print(text, flush=True))
    stop = []
    signal.signal(signal.SIGTERM, lambda *_: stop.append(True))
    while not stop:
        worker.step()
    worker.leave()


if __name__ == "__main__":
    main()
