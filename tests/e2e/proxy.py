# A TCP proxy on loopback whose two directions can be cut: what comes is held back, as by a network that loses every packet, and goes
# on when the cut is healed; nobody is told of an end meanwhile. Used by the tests of partitions. One thread a proxy.
import selectors
import socket
import threading

HELD_MOST = 256 * 1024  # of one direction of one connection; then its sender is not read any more


class Flow:
    """One direction of one connection."""

    def __init__(self, way, source, sink):
        self.way, self.source, self.sink = way, source, sink
        self.held, self.ended, self.over = b"", False, False


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
        self.thread = threading.Thread(target=self.run, daemon=True)
        self.thread.start()

    def cut(self, *ways):
        self.cut_ways = frozenset(ways or ("there", "back"))
        self.waker.send(b"!")

    def heal(self):
        self.cut_ways = frozenset()
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
                    if not flow.ended and len(flow.held) < HELD_MOST:
                        wanted[flow.source] = wanted.get(flow.source, 0) | selectors.EVENT_READ
                    if flow.held and flow.way not in self.cut_ways:
                        wanted[flow.sink] = wanted.get(flow.sink, 0) | selectors.EVENT_WRITE
                for one, events in wanted.items():
                    ready.register(one, events)
                found = {key.fileobj: events for key, events in ready.select()}
            if self.wake in found:
                self.wake.recv(4096)
            if self.listener in found:
                self.accept()
            for flow in self.flows:
                self.move(flow, found)
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
                flow.held += came
                flow.ended = not came
        except BlockingIOError:
            pass
        except OSError:
            flow.ended = True
        if flow.way in self.cut_ways:
            return
        try:
            if flow.held:
                flow.held = flow.held[flow.sink.send(flow.held):]
        except BlockingIOError:
            pass
        except OSError:
            flow.over = True
        flow.over = flow.over or (flow.ended and not flow.held)
