#!/usr/bin/env python3
# The same as watch.cpp with pyzmq and msgpack alone, after messages/PROTOCOL.md, "Events": follows a cluster from where it stopped
# the last time, and misses nothing while it or the master is away.
#
#   watch.py PLACE_FILE [COUNT]      ($REEVE_MASTER says where the master is)
import os
import pathlib
import secrets
import sys
import time

import msgpack
import zmq

HELLO, WELCOME = 1, 2
SILENCE = 3.0  # seconds without a heartbeat of the connection: it is made anew


def events_endpoint(context, master):
    """Asks the master where its events are; waits for as long as there is none."""
    with context.socket(zmq.DEALER) as socket:
        socket.set(zmq.LINGER, 0)
        socket.connect(master)
        while True:
            socket.send_multipart([msgpack.packb([1, HELLO, 1, 0]), msgpack.packb({"versions": [1], "name": "watch.py"})])
            if not socket.poll(2000):
                continue
            header, body = (msgpack.unpackb(frame) for frame in socket.recv_multipart())
            if header[1] == WELCOME:
                return body["events"]


class Events:
    """Each event after `last`, in order and once, over any number of lost connections."""

    def __init__(self, master, last):
        self.context, self.master, self.last = zmq.Context.instance(), master, last

    def __iter__(self):
        while True:
            with self.context.socket(zmq.SUB) as socket:
                socket.set(zmq.LINGER, 0)
                yield from self.connection(socket)

    def connection(self, socket):
        socket.set(zmq.RCVHWM, 0)
        socket.set(zmq.HEARTBEAT_IVL, 1000)
        socket.set(zmq.HEARTBEAT_TIMEOUT, int(SILENCE * 1000))
        lost = socket.get_monitor_socket(zmq.EVENT_DISCONNECTED)
        socket.connect(events_endpoint(self.context, self.master))
        replay = f"replay.{self.last[0]}.{secrets.token_hex(8)}".encode()
        socket.subscribe(b"")      # what happens from now on …
        socket.subscribe(replay)   # … and before it what was missed
        replaying, held, number = True, [], 0
        poller = zmq.Poller()
        poller.register(socket, zmq.POLLIN)
        poller.register(lost, zmq.POLLIN)
        deadline = time.monotonic() + 5
        while True:
            ready = dict(poller.poll(500))
            if lost in ready or (replaying and time.monotonic() > deadline):
                break
            if socket not in ready:
                continue
            topic, position, body = socket.recv_multipart()
            if topic.startswith(b"of."):
                continue  # a repetition, for those who want only a job's, a node's or a queue's
            event, position = msgpack.unpackb(body), msgpack.unpackb(position)
            if not topic.startswith(b"replay."):
                before, number = number, position[2]
                if before and number != before + 1:
                    break  # this reader was so slow that the master left some out: they are asked for again
            if topic == replay and event["kind"] == "replay.done":
                replaying = False
                oldest = event.get("numbers", {}).get("oldest", 0)
                if oldest > self.last[0] + 1 and self.last[0] > 0:
                    print(f"events before {oldest} are no longer kept", file=sys.stderr)
                yield from filter(None, map(self.fresh, held))
                socket.unsubscribe(replay)
            elif topic == replay or (not replaying and not topic.startswith(b"replay.")):
                if (event := self.fresh(event)) is not None:
                    yield event
            elif not topic.startswith(b"replay."):
                held.append(event)
        socket.disable_monitor()

    def fresh(self, event):
        """The event, unless it is a repetition."""
        position = (event["seq"], event.get("part", 0))
        if position <= self.last:
            return None
        self.last = position
        return event


def main():
    if len(sys.argv) < 2:
        sys.exit("usage: watch.py PLACE_FILE [COUNT]")
    place = pathlib.Path(sys.argv[1])
    most = int(sys.argv[2]) if len(sys.argv) > 2 else 0
    last = tuple(map(int, place.read_text().split())) if place.exists() else (0, -1)
    told = 0
    for event in Events(os.environ.get("REEVE_MASTER", "tcp://127.0.0.1:7117"), last):
        if event.get("job"):
            print(f"{event['seq']}.{event.get('part', 0)} {event['kind']} job {event['job']} queue {event.get('queue') or '-'} {event.get('name', '')}",
                  flush=True)
            told += 1
        place.write_text(f"{event['seq']} {event.get('part', 0)}\n")
        if most and told >= most:
            return


if __name__ == "__main__":
    main()
