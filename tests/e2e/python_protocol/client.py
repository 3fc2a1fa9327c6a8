# A reeve client made from messages/PROTOCOL.md alone: requests with correlation ids, repeated until they are answered.
import secrets
import time

import zmq

import wire


class Refused(Exception):
    """Failed{code, field, text} as an exception."""

    def __init__(self, body):
        self.code = body["code"]
        self.field = body.get("field", "")
        self.text = body.get("text", "")
        self.versions = body.get("versions", [])
        super().__init__(f"{self.field}: {self.text}" if self.field else self.text)


class Client:
    def __init__(self, endpoint, context=None):
        self.context = context or zmq.Context.instance()
        self.socket = wire.connect(self.context, endpoint)
        self.correlation = 0
        self.epoch = 0

    def close(self):
        self.socket.close()

    def ask(self, type_, body, timeout=30.0, again=2.0, version=wire.VERSION):
        """The one answer to a request: (type, body). Sends again while none comes, with the same correlation id."""
        for header, answer in self.answers(type_, body, timeout, again, version):
            return header.type, answer

    def answers(self, type_, body, timeout=30.0, again=2.0, version=wire.VERSION):
        """Every answer to a request. Failed is raised, but for busy and unavailable, which are waited out."""
        self.correlation += 1
        correlation = self.correlation
        deadline = time.monotonic() + timeout
        send_at = 0.0
        while True:
            now = time.monotonic()
            if now >= deadline:
                raise TimeoutError(f"no answer to message {type_}")
            if now >= send_at:
                sent = wire.send(self.socket, type_, body, correlation, self.epoch, version)
                send_at = now + (again if sent else 0.05)
            self.socket.poll(max(1, int((min(send_at, deadline) - now) * 1000)))
            while (message := wire.receive(self.socket)) is not None:
                header, answer = message
                if header.correlation != correlation or header.epoch < self.epoch:
                    continue  # to an earlier request, or from a master of the past
                self.epoch = header.epoch
                if header.type != wire.FAILED:
                    yield header, answer
                elif answer["code"] in (wire.BUSY, wire.UNAVAILABLE):
                    send_at = time.monotonic() + answer.get("retry_after_us", 100_000) / 1e6
                else:
                    raise Refused(answer)

    def hello(self):
        return self.ask(wire.HELLO, {"versions": [wire.VERSION], "name": "python"})[1]

    def submit(self, jobs, key=None):
        """Ids of the jobs, in order."""
        body = {"key": key or secrets.token_bytes(16), "jobs": jobs}
        answer = self.ask(wire.SUBMIT, body)[1]
        return list(range(answer["first"], answer["first"] + answer["count"]))

    def wait(self, jobs, timeout=60.0, every=0.0, on_progress=None):
        """Progress of each job when all have ended."""
        body = {"jobs": jobs, "every_us": int(every * 1e6)} if every else {"jobs": jobs}
        for _, answer in self.answers(wire.WAIT, body, timeout):
            if answer.get("last", False):
                return answer["jobs"]
            if on_progress:
                on_progress(answer["jobs"])

    def tasks(self, job, limit=100):
        return self.ask(wire.LIST_TASKS, {"job": job, "limit": limit})[1].get("tasks", [])

    def nodes(self):
        return self.ask(wire.LIST_NODES, {})[1].get("nodes", [])

    def cancel(self, job):
        return self.ask(wire.ACT_ON_JOBS, {"action": 0, "jobs": [job]})[1].get("changed", 0)

    def log(self, job, index=0):
        return self.ask(wire.READ_LOG, {"job": job, "index": index})[1]
