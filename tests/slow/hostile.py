"""Clients that are as slow as they can: with the head, with the body, or in reading.

Each stays until the server ends its connection, and then makes another one, so that there are always as many.
"""

import errno
import heapq
import select
import socket
import time
from dataclasses import dataclass, field

HOST = "127.0.0.1"
TIMEOUT = b"HTTP/1.1 408 "
RESET = (errno.ECONNRESET, errno.EPIPE)

# coir's defaults, in seconds, and bytes per second.
HEADER_TIMEOUT = 10
BODY_TIMEOUT = 30
WRITE_TIMEOUT = 30
LINGER_TIMEOUT = 2
SLOWEST = 1024

# The server may be so much late, or early by its clock; and so often each client acts.
MARGIN_SECONDS = 1.5
PERIOD_SECONDS = 1.0
SMALL_BUFFER = 4096
SMALL_SEGMENT = 536
# What fits the receive buffer, of which the kernel makes twice as much, is taken even where nobody reads, sometimes
# seconds later, and earns time.
BUFFER_SECONDS = 2 * SMALL_BUFFER / SLOWEST
# For each segment that is taken, slow start lets the server's kernel hold two more: all three earn time.
GROWTH = 3


@dataclass
class Kind:
    name: str
    opening: bytes
    drip: bytes  # once in a period
    timeout: float  # when the server has had enough
    reply: bytes  # that it begins its farewell with; b"" if it says nothing
    stays: bool = False  # goes on behind the farewell, until the connection is reset
    reads: int = -1  # bytes of the reply in a period; -1 all
    slack: float = 0  # seconds that it may last longer


def _with_drips(timeout, drip):
    """What comes earns time back."""
    return timeout / (1 - drip / PERIOD_SECONDS / SLOWEST)


_HEAD = b"GET /baseline11?a=1&b=2 HTTP/1.1\r\nHost: localhost\r\nX-Slow: "
_BODY = b"POST /baseline11?a=1&b=2 HTTP/1.1\r\nHost: localhost\r\nContent-Length: 500000\r\n\r\n1"
_CHUNKS = b"POST /baseline11?a=1&b=2 HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n"
_ASK = b"GET /baseline11?a=1&b=2 HTTP/1.1\r\nHost: localhost\r\n\r\n" * 200

KINDS = [
    [
        Kind("head, a byte at a time", _HEAD, b"x", HEADER_TIMEOUT, TIMEOUT),
        Kind("head, and on behind the 408", _HEAD, b"x", HEADER_TIMEOUT, TIMEOUT, stays=True),
        Kind("nothing at all", b"", b"", HEADER_TIMEOUT, b""),
    ],
    [
        Kind("body, a byte at a time", _BODY, b"1", _with_drips(BODY_TIMEOUT, 1), TIMEOUT),
        Kind("body, 100 bytes at a time", _BODY, b"1" * 100, _with_drips(BODY_TIMEOUT, 100), TIMEOUT),
        Kind("body, small chunks, and on", _CHUNKS, b"1\r\n1\r\n", _with_drips(BODY_TIMEOUT, 1), TIMEOUT, stays=True),
    ],
    [
        Kind("reads nothing", _ASK, b"", WRITE_TIMEOUT, b"", reads=0, slack=BUFFER_SECONDS),
        Kind(
            "reads 64 bytes at a time",
            _ASK,
            b"",
            WRITE_TIMEOUT,  # the window may open so late that nothing is earned
            b"",
            reads=64,
            slack=_with_drips(WRITE_TIMEOUT + BUFFER_SECONDS, 64 * GROWTH) - WRITE_TIMEOUT,
        ),
    ],
]


@dataclass
class Ends:
    """How the connections of one kind have ended: seconds each, and what was wrong with some."""

    lasted: list = field(default_factory=list)
    wrong: list = field(default_factory=list)


class _Client:
    def __init__(self, kind):
        self.kind = kind
        self.socket = socket.socket()
        self.connected = time.monotonic()
        self.begun = self.connected  # to be slow
        self.said_farewell = None  # when the server did
        self.reply = b""


class Hostile:
    """`ends` by the name of the kind; `peak` connections at once."""

    def __init__(self, port, clients):
        self.ends = {kind.name: Ends() for third in KINDS for kind in third}
        self.peak = 0
        self._port = port
        self._epoll = select.epoll()
        self._open = {}
        self._turns = []  # a heap of (when, number, client)
        self._number = 0
        self._to_open = [
            third[index // len(KINDS) % len(third)]
            for index in range(clients)
            for third in [KINDS[index % len(KINDS)]]
        ]

    def run(self, is_over):
        while not is_over():
            for kind in self._to_open[:50]:
                self._connect(kind)
            del self._to_open[:50]
            self.peak = max(self.peak, len(self._open))
            now = time.monotonic()
            wait = max(0.0, self._turns[0][0] - now) if self._turns else 0.05
            for fd, events in self._epoll.poll(0 if self._to_open else min(wait, 0.05)):
                if fd in self._open:
                    self._look_at(self._open[fd], events)
            now = time.monotonic()
            while self._turns and self._turns[0][0] <= now:
                client = heapq.heappop(self._turns)[2]
                if self._open.get(client.socket.fileno()) is client:
                    self._act(client)
        for client in self._open.values():
            self._judge_age(client)
            client.socket.close()

    def _connect(self, kind):
        client = _Client(kind)
        if kind.reads >= 0:
            client.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, SMALL_BUFFER)
            client.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_MAXSEG, SMALL_SEGMENT)
        client.socket.connect((HOST, self._port))  # on loopback this does not wait
        client.socket.setblocking(False)
        client.connected = client.begun = time.monotonic()
        self._open[client.socket.fileno()] = client
        # A slow reader wants to hear only of the end, which epoll tells of unasked, and of room for more.
        wanted = select.EPOLLIN if kind.reads < 0 else select.EPOLLOUT | select.EPOLLET
        self._epoll.register(client.socket.fileno(), wanted)
        if kind.opening and kind.reads < 0:
            self._send(client, kind.opening)
        self._later(client)

    def _later(self, client):
        self._number += 1
        heapq.heappush(self._turns, (time.monotonic() + PERIOD_SECONDS, self._number, client))

    def _act(self, client):
        kind = client.kind
        if kind.reads > 0:
            try:
                client.socket.recv(kind.reads)
            except OSError as error:
                if error.errno in RESET:
                    self._end(client)
                    return
        if kind.drip and not self._send(client, kind.drip):
            return
        self._later(client)

    def _send(self, client, data):
        """False if the connection has ended."""
        try:
            client.socket.send(data)
            return True
        except BlockingIOError:
            return True
        except OSError:
            self._end(client)
            return False

    def _look_at(self, client, events):
        if client.kind.reads >= 0:
            if events & (select.EPOLLERR | select.EPOLLHUP):
                self._end(client)
            elif events & select.EPOLLOUT:
                self._ask_on(client)
            return
        if client.said_farewell:
            self._end(client)  # it has been reset
            return
        try:
            data = client.socket.recv(4096)
        except OSError:
            self._end(client)
            return
        client.reply += data
        if data:
            return
        client.said_farewell = time.monotonic()
        if client.kind.stays:
            self._epoll.modify(client.socket.fileno(), 0)  # but for errors
        else:
            self._end(client)

    def _ask_on(self, client):
        """Until the server does not read any more."""
        try:
            while True:
                client.socket.send(client.kind.opening)
                client.begun = time.monotonic()  # the server reads, or at least its kernel
        except BlockingIOError:
            pass
        except OSError:
            self._end(client)

    def _end(self, client):
        """The server has ended the connection."""
        now = time.monotonic()
        kind = client.kind
        ends = self.ends[kind.name]
        ended = client.said_farewell or now
        ends.lasted.append(ended - client.connected)
        if ended - client.begun > kind.timeout + kind.slack + MARGIN_SECONDS:
            ends.wrong.append(f"after {ended - client.begun:.2f} s instead of {kind.timeout:.1f}")
        if ended - client.connected < kind.timeout - MARGIN_SECONDS:
            ends.wrong.append(f"after only {ended - client.connected:.2f} s instead of {kind.timeout:.1f}")
        if kind.stays and client.said_farewell and now - client.said_farewell > self._lingering():
            ends.wrong.append(f"lingers for {now - client.said_farewell:.2f} s")
        if kind.reads < 0 and not (
            client.reply.startswith(kind.reply) if kind.reply else client.reply == b""
        ):
            ends.wrong.append(f"the farewell is {client.reply[:100]!r}")
        self._epoll.unregister(client.socket.fileno())
        del self._open[client.socket.fileno()]
        client.socket.close()
        self._to_open.append(kind)

    def _judge_age(self, client):
        """Of one that is still there at the end."""
        now = time.monotonic()
        if client.said_farewell:
            late = now - client.said_farewell > self._lingering()
        else:
            late = now - client.begun > client.kind.timeout + client.kind.slack + MARGIN_SECONDS
        if late:
            self.ends[client.kind.name].wrong.append(f"still there after {now - client.begun:.2f} s")

    @staticmethod
    def _lingering():
        # The reset shows when the client sends, and then once more.
        return LINGER_TIMEOUT + 2 * PERIOD_SECONDS + MARGIN_SECONDS
