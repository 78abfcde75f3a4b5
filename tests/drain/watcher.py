"""A client that knows what has become of each of its requests; and servers to be stopped.

wrk counts a request that crossed the end of an idle connection, a reply that was cut and a reset as
the same error. Only the last two are a server's fault.
"""

import errno
import heapq
import random
import select
import socket
import subprocess
import threading
import time
from dataclasses import dataclass, field

HOST = "127.0.0.1"
START_SECONDS = 10
REQUEST = b"GET /baseline11?a=13&b=42 HTTP/1.1\r\nHost: localhost\r\n\r\n"
BODY = b"55"


@dataclass
class Counts:
    answered: int = 0
    closed: int = 0  # connections that ended between two requests
    unanswered: int = 0  # requests that got no byte, and then the end: they crossed with it
    refused: int = 0  # connections that nobody took
    cut: int = 0  # replies that came in part
    reset: int = 0  # connections, whatever had been said on them
    wrong: list = field(default_factory=list)  # replies that are not what was asked for


class _Connection:
    def __init__(self, sock, pause):
        self.socket = sock
        self.pause = pause  # seconds between reply and request, at most
        self.connected = False
        self.waits = False  # for a reply
        self.told = False  # that the connection closes
        self.reply = b""


class Watcher(threading.Thread):
    """Keeps connections busy until stop(), or until nobody takes them any more.

    Half of them ask again at once, half pause a little: those are idle now and then.
    """

    def __init__(self, port, connections, seed, until_refused):
        super().__init__(daemon=True)
        self.counts = Counts()
        self._port = port
        self._connections = connections
        self._random = random.Random(seed)
        self._until_refused = until_refused
        self._epoll = select.epoll()
        self._open = {}
        self._later = []  # a heap of (when, number, what to do then)
        self._number = 0
        self._stopping = False

    def stop(self):
        """Lets requests under way be answered, and ends."""
        self._stopping = True
        self.join()

    def run(self):
        for index in range(self._connections):
            self._connect(0.0 if index % 2 == 0 else 0.02)
        while self._open or (self._later and not self._stopping):
            timeout = 0.1
            if self._later:
                timeout = min(timeout, max(0.0, self._later[0][0] - time.monotonic()))
            for fd, events in self._epoll.poll(timeout):
                if fd in self._open:
                    self._look_at(self._open[fd], events)
            while self._later and self._later[0][0] <= time.monotonic():
                heapq.heappop(self._later)[2]()
            if self._stopping:
                for connection in [c for c in self._open.values() if not c.waits]:
                    self._drop(connection)
        self._epoll.close()

    def _after(self, seconds, action):
        self._number += 1
        heapq.heappush(self._later, (time.monotonic() + seconds, self._number, action))

    def _connect(self, pause):
        if self._stopping:
            return
        sock = socket.socket()
        sock.setblocking(False)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        connection = _Connection(sock, pause)
        self._open[sock.fileno()] = connection
        self._epoll.register(sock.fileno(), select.EPOLLIN | select.EPOLLOUT)
        error = sock.connect_ex((HOST, self._port))
        if error not in (0, errno.EINPROGRESS):
            self._fail(connection, error)

    def _look_at(self, connection, events):
        if not connection.connected:
            error = connection.socket.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
            if error:
                self._fail(connection, error)
                return
            if not events & select.EPOLLOUT:
                return
            connection.connected = True
            self._epoll.modify(connection.socket.fileno(), select.EPOLLIN)
            self._ask(connection)
            return
        try:
            data = connection.socket.recv(1 << 16)
        except BlockingIOError:
            return
        except OSError as error:
            self._fail(connection, error.errno)
            return
        if data:
            self._take(connection, data)
        else:
            self._end(connection)

    def _ask(self, connection):
        if self._open.get(connection.socket.fileno()) is not connection or self._stopping:
            return
        try:
            connection.socket.send(REQUEST)
            connection.waits = True
        except OSError as error:
            self._fail(connection, error.errno)

    def _take(self, connection, data):
        connection.reply += data
        head_end = connection.reply.find(b"\r\n\r\n")
        if head_end < 0:
            return
        status, *lines = connection.reply[:head_end].split(b"\r\n")
        fields = dict(line.lower().split(b": ", 1) for line in lines)
        size = head_end + 4 + int(fields.get(b"content-length", b"0"))
        if len(connection.reply) < size:
            return
        reply, connection.reply = connection.reply[:size], b""
        connection.waits = False
        connection.told = fields.get(b"connection") == b"close"
        if status == b"HTTP/1.1 200 OK" and reply.endswith(b"\r\n\r\n" + BODY):
            self.counts.answered += 1
        else:
            self.counts.wrong.append(reply)
        if connection.told:
            return
        if connection.pause:
            pause = self._random.uniform(0, connection.pause)
            self._after(pause, lambda: self._ask(connection))
        else:
            self._ask(connection)

    def _end(self, connection):
        if connection.reply:
            self.counts.cut += 1
        elif connection.waits:
            self.counts.unanswered += 1
        else:
            self.counts.closed += 1
        self._drop(connection)
        self._connect(connection.pause)

    def _fail(self, connection, error):
        self._drop(connection)
        if error == errno.ECONNREFUSED:
            self.counts.refused += 1
            if not self._until_refused:
                self._after(0.01, lambda: self._connect(connection.pause))
        else:
            self.counts.reset += 1
            self._connect(connection.pause)

    def _drop(self, connection):
        del self._open[connection.socket.fileno()]
        connection.socket.close()


def free_port():
    with socket.socket() as probe:
        probe.bind((HOST, 0))
        return probe.getsockname()[1]


def start_server(program, port, workers):
    """Returns the process once it listens."""
    command = [program, "--host", HOST, "--port", str(port), "--workers", str(workers)]
    process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True)
    ready, _, _ = select.select([process.stdout], [], [], START_SECONDS)
    line = process.stdout.readline() if ready else ""
    if "listening" not in line:
        process.kill()
        process.wait()
        raise RuntimeError(f"{program} does not listen; it said: {line!r}")
    return process


def end(process):
    """For what must not outlive the script."""
    if process.poll() is None:
        process.kill()
    process.wait()
    if process.stdout:
        process.stdout.close()
