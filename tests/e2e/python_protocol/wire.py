# Frames to and from a reeve master, as messages/PROTOCOL.md says, with pyzmq and msgpack only. Used by client.py and worker.py.
import msgpack
import zmq

VERSION = 1

HELLO, WELCOME, FAILED, DONE = 1, 2, 3, 4
SUBMIT, SUBMITTED, ACT_ON_JOBS, WAIT, PROGRESS = 10, 11, 12, 14, 15
ALLOCATE, GRANTED, RELEASE = 16, 17, 18
LIST_JOBS, JOB_LIST, LIST_TASKS, TASK_LIST, LIST_NODES, NODE_LIST = 30, 31, 32, 33, 34, 35
GET_MASTER, MASTER_STATUS, READ_LOG, LOG_CHUNK = 38, 39, 44, 45
EXPLAIN = 46
REGISTER_NODE, HEARTBEAT, RESULTS, LOG_REPLY, LEAVE, PULL = 60, 61, 62, 63, 64, 65
REGISTERED, ASSIGN, RESULTS_ACK, STOP_TASKS, BEACON, LOG_REQUEST, REGISTER_AGAIN = 80, 81, 82, 83, 84, 85, 86

UNKNOWN_VERSION, BUSY, UNAVAILABLE = 3, 10, 11


def pack(value):
    return msgpack.packb(value, use_bin_type=True, unicode_errors="surrogateescape")


def unpack(frame):
    return msgpack.unpackb(frame, raw=False, unicode_errors="surrogateescape", strict_map_key=False)


class Header:
    """version, type, correlation, epoch: an array that may be shorter."""

    def __init__(self, frame):
        values = unpack(frame)
        self.version, self.type = values[:2]
        self.correlation = values[2] if len(values) > 2 else 0
        self.epoch = values[3] if len(values) > 3 else 0


def connect(context, endpoint):
    socket = context.socket(zmq.DEALER)
    socket.setsockopt(zmq.LINGER, 200)
    socket.setsockopt(zmq.IMMEDIATE, 1)
    socket.setsockopt(zmq.HEARTBEAT_IVL, 1000)
    socket.setsockopt(zmq.HEARTBEAT_TIMEOUT, 3000)
    socket.setsockopt(zmq.RECONNECT_IVL, 50)
    socket.connect(endpoint)
    return socket


def send(socket, type_, body, correlation=0, epoch=0, version=VERSION):
    """False: there is no connection now, nothing was sent."""
    try:
        socket.send_multipart([pack([version, type_, correlation, epoch]), pack(body)], flags=zmq.DONTWAIT)
        return True
    except zmq.Again:
        return False


def receive(socket):
    """(header, body), or None when there is nothing."""
    try:
        header, body = socket.recv_multipart(flags=zmq.DONTWAIT)
    except zmq.Again:
        return None
    return Header(header), unpack(body)
