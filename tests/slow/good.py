"""Clients that behave: each asks at a steady rate on one connection, and every answer is checked."""

import array
import heapq
import select
import socket
import time

HOST = "127.0.0.1"
HEAD = b" HTTP/1.1\r\nHost: localhost\r\n"
SHAPES = [
    (b"GET /baseline11?a=13&b=42" + HEAD + b"\r\n", b"55"),
    (b"POST /baseline11?a=13&b=42" + HEAD + b"Content-Length: 2\r\n\r\n20", b"75"),
    (
        b"POST /baseline11?a=13&b=42"
        + HEAD
        + b"Transfer-Encoding: chunked\r\n\r\n2\r\n20\r\n0\r\n\r\n",
        b"75",
    ),
]


class _Client:
    def __init__(self, port):
        self.socket = socket.create_connection((HOST, port))
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.asked = 0
        self.asked_at = None  # while it waits for the answer


class Good:
    """`times` and `latencies`, in seconds, of all answers; `failures` tells of what was no right answer."""

    def __init__(self, port, clients, interval):
        self.times = array.array("d")
        self.latencies = array.array("d")
        self.failures = []
        self._interval = interval
        self._epoll = select.epoll()
        self._clients = {}
        begin = time.monotonic()
        self._turns = []  # a heap of (when, descriptor)
        for index in range(clients):
            client = _Client(port)
            self._clients[client.socket.fileno()] = client
            self._epoll.register(client.socket.fileno(), select.EPOLLIN)
            self._turns.append((begin + interval * index / clients, client.socket.fileno()))

    def run(self, is_over):
        while not is_over() and len(self.failures) < 10:
            wait = max(0.0, self._turns[0][0] - time.monotonic()) if self._turns else 0.1
            for fd, _ in self._epoll.poll(min(wait, 0.1)):
                self._listen(fd)
            now = time.monotonic()
            while self._turns and self._turns[0][0] <= now:
                self._ask(heapq.heappop(self._turns)[1])
                now = time.monotonic()
        self._note_unanswered()

    def _ask(self, fd):
        client = self._clients[fd]
        request, _ = SHAPES[client.asked % len(SHAPES)]
        client.asked_at = time.monotonic()
        try:
            client.socket.send(request)
        except OSError as error:
            self.failures.append(f"cannot ask: {error}")

    def _listen(self, fd):
        client = self._clients[fd]
        try:
            answer = client.socket.recv(4096)  # so short a one comes in one piece
        except OSError as error:
            answer = str(error).encode()
        now = time.monotonic()
        _, body = SHAPES[client.asked % len(SHAPES)]
        if not answer.startswith(b"HTTP/1.1 200 OK\r\n") or not answer.endswith(b"\r\n\r\n" + body):
            self.failures.append(f"a wrong answer: {answer[:200]!r}")
            self._epoll.unregister(fd)
            return
        self.times.append(client.asked_at)
        self.latencies.append(now - client.asked_at)
        client.asked += 1
        # Who was kept waiting does not catch up: the server would not be to blame for the rush.
        heapq.heappush(self._turns, (max(client.asked_at + self._interval, now), fd))
        client.asked_at = None

    def _note_unanswered(self):
        """Who still waits for an answer when time is over may have waited for long."""
        now = time.monotonic()
        waits = [now - c.asked_at for c in self._clients.values() if c.asked_at is not None]
        if waits and max(waits) > 1.0:
            self.failures.append(f"one has waited for its answer for {max(waits):.1f} s")
