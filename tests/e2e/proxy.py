# A TCP proxy on loopback whose two directions can be cut: what comes is held back, as by a network that loses every packet, and goes
# on when the cut is healed; nobody is told of an end meanwhile. It can also be slow: late, or a few bytes at a time; and it can hang up.
# Used by the tests of partitions and bad networks. One thread a proxy.
import collections
import selectors
import socket
import threading
import time

HELD_MOST = 256 * 1024  # of one direction of one connection; then its sender is not read any more


class Flow:
    """One direction of one connection."""

    def __init__(self, way, source, sink):
        self.way, self.source, self.sink = way, source, sink
        self.held = collections.deque()  # pieces, each with the time at which it may go on
        self.bytes, self.ended, self.over = 0, False, False

    def due(self):
        return self.held[0][0] if self.held else None


class Proxy:
    """`there` is the way to the target, `back` the way from it."""

    def __init__(self, port=None):
        self.target = port
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.listener.setblocking(False)
        self.port = self.listener.getsockname()[1]
        self.wake, self.waker = socket.socketpair()
        self.wake.setblocking(False)
        self.cut_ways, self.flows, self.ends = frozenset(), [], False
        self.delay, self.trickle, self.drop = 0.0, 0, False
        self.thread = threading.Thread(target=self.run, daemon=True)
        self.thread.start()

    def cut(self, *ways):
        self.cut_ways = frozenset(ways or ("there", "back"))
        self.waker.send(b"!")

    def slow(self, delay=0.0, trickle=0):
        """From now on: so many seconds late; so many bytes a millisecond at most (0: any number)."""
        self.delay, self.trickle = delay, trickle
        self.waker.send(b"!")

    def hang_up(self):
        """Both ends of every connection see its end, what was on its way is lost."""
        self.drop = True
        self.waker.send(b"!")

    def heal(self):
        self.cut_ways, self.delay, self.trickle = frozenset(), 0.0, 0
        self.waker.send(b"!")

    def close(self):
        self.ends = True
        self.waker.send(b"!")
        self.thread.join()
        for one in [self.listener, self.wake, self.waker] + [flow.source for flow in self.flows]:
            one.close()

    def run(self):
        while not self.ends:
            with selectors.DefaultSelector() as ready:
                wanted = {self.listener: selectors.EVENT_READ, self.wake: selectors.EVENT_READ}
                for flow in self.flows:
                    if not flow.ended and flow.bytes < HELD_MOST:
                        wanted[flow.source] = wanted.get(flow.source, 0) | selectors.EVENT_READ
                    if flow.held and flow.way not in self.cut_ways and flow.due() <= time.monotonic():
                        wanted[flow.sink] = wanted.get(flow.sink, 0) | selectors.EVENT_WRITE
                for one, events in wanted.items():
                    ready.register(one, events)
                dues = [flow.due() for flow in self.flows if flow.held and flow.way not in self.cut_ways]
                patience = max(0.0, min(dues) - time.monotonic()) if dues else None
                found = {key.fileobj: events for key, events in ready.select(patience)}
            if self.wake in found:
                self.wake.recv(4096)
            if self.listener in found:
                self.accept()
            for flow in self.flows:
                self.move(flow, found)
            if self.drop:
                self.drop = False
                for flow in self.flows:
                    flow.over = True
            over = {id(end) for flow in self.flows if flow.over for end in (flow.source, flow.sink)}
            for flow in [flow for flow in self.flows if id(flow.source) in over]:
                flow.source.close()
                self.flows.remove(flow)

    def accept(self):
        near, _ = self.listener.accept()
        try:
            far = socket.create_connection(("127.0.0.1", self.target), 5)
        except (OSError, TypeError):  # nobody there, or not known yet
            near.close()
            return
        for one in (near, far):
            one.setblocking(False)
            one.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.flows += [Flow("there", near, far), Flow("back", far, near)]

    def move(self, flow, found):
        """A reset or an end ends both directions, once what came before has gone on."""
        try:
            if found.get(flow.source, 0) & selectors.EVENT_READ and not flow.ended:
                came = flow.source.recv(65536)
                if came:
                    flow.held.append((time.monotonic() + self.delay, came))
                flow.bytes += len(came)
                flow.ended = not came
        except BlockingIOError:
            pass
        except OSError:
            flow.ended = True
        if flow.way in self.cut_ways:
            return
        try:
            while flow.held and flow.due() <= time.monotonic():
                due, piece = flow.held[0]
                sent = flow.sink.send(piece[:self.trickle] if self.trickle else piece)
                flow.bytes -= sent
                rest = piece[sent:]
                flow.held.popleft()
                if rest:
                    flow.held.appendleft((time.monotonic() + 0.001 if self.trickle else due, rest))
                if self.trickle:
                    break
        except BlockingIOError:
            pass
        except OSError:
            flow.over = True
        flow.over = flow.over or (flow.ended and not flow.held)
