"""A client that makes counts repeat: the server stands still while many requests are sent.

What a server does per request depends on how many requests each epoll_wait finds, so on chance.
Here the server sleeps, is stopped (SIGSTOP), gets a request on every connection, and goes on
(SIGCONT): each of its waits finds everybody. Every byte of every answer is checked but the date's.
"""

import os
import re
import select
import signal
import socket
import time
from contextlib import contextmanager

import answers
from script import Failed
from servers import HOST

PATIENCE_SECONDS = 20
LOOK_SECONDS = 50e-6

MIX = [(answers.GET, b"55"), (answers.POST_SIZED, b"75"), (answers.POST_CHUNKED, b"75")]
_DATE = re.compile(rb"Date: [^\r]{29}\r")


class Stuck(Failed):
    pass


def _without_date(data):
    return _DATE.sub(b"Date: \r", data)


def until(true, what):
    """Waits until true() is."""
    deadline = time.monotonic() + PATIENCE_SECONDS
    while not true():
        if time.monotonic() > deadline:
            raise Stuck(f"waited {PATIENCE_SECONDS} s in vain until {what}")
        time.sleep(LOOK_SECONDS)


class Process:
    """What /proc tells of a server: whether it sleeps, stands still, and how much it has open."""

    def __init__(self, pid):
        self.pid = pid

    def _states(self):
        states = set()
        for task in os.listdir(f"/proc/{self.pid}/task"):
            with open(f"/proc/{self.pid}/task/{task}/stat", "rb") as stat:
                states.add(stat.read().rsplit(b")", 1)[1].split()[0])
        return states

    def descriptors(self):
        return len(os.listdir(f"/proc/{self.pid}/fd"))

    def wait_until_asleep(self):
        until(lambda: self._states() == {b"S"}, "all threads of the server sleep")

    @contextmanager
    def standing_still(self):
        """From sleep into the block, which may send what it likes: nobody is there to read it."""
        self.wait_until_asleep()
        os.kill(self.pid, signal.SIGSTOP)
        try:
            # A stop under strace is called t. Who is about to stop has left its epoll_wait already.
            until(lambda: self._states() <= {b"T", b"t"}, "the server has stopped")
            yield
        finally:
            os.kill(self.pid, signal.SIGCONT)


class Request:
    """Bytes to send, and those that must come back: learnt from an answer that was taken apart."""

    def __init__(self, port, request, body, times=1):
        with answers.Client(port) as client:
            client.send(request)
            client.expect(body, request)
            whole = client.received
        self.sent = request * times
        self.times = times
        self.answer_bytes = len(whole) * times
        self._answer = _without_date(whole) * times

    def check(self, data):
        if _without_date(data) != self._answer:
            raise answers.WrongAnswer(f"{bytes(data)!r} to {self.sent!r}")


class Connection:
    def __init__(self, port):
        self.socket = socket.create_connection((HOST, port), PATIENCE_SECONDS)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._asked = None

    def close(self):
        self.socket.close()

    def ask(self, request):
        self._asked = request
        self._data = bytearray()
        self.socket.sendall(request.sent)

    def read_some(self):
        """True when the answer is whole, and right."""
        data = self.socket.recv(1 << 16)
        if not data:
            raise answers.WrongAnswer(f"the server closed after {self._asked.sent!r}")
        self._data += data
        if len(self._data) < self._asked.answer_bytes:
            return False
        self._asked.check(self._data)
        return True

    def read(self):
        while not self.read_some():
            pass


class Crowd:
    """Some connections whose requests arrive together."""

    def __init__(self, process, port, size):
        self._process = process
        self._port = port
        self._size = size
        process.wait_until_asleep()  # it may still be opening what it needs, or closing others
        self._descriptors = process.descriptors()
        self._connections = []

    def round(self, requests, renew=False):
        """One request on each connection, in turn from the list. Connects first, or if told."""
        with self._process.standing_still():
            if renew or not self._connections:
                self._close()
                self._connections = [Connection(self._port) for _ in range(self._size)]
            for index, connection in enumerate(self._connections):
                connection.ask(requests[index % len(requests)])
        for connection in self._connections:
            connection.read()

    def rest(self):
        """Until the server has nothing left to do."""
        self._process.wait_until_asleep()

    def lock_step(self, request, times):
        """Each connection asks alone, when the server sleeps."""
        for _ in range(times):
            for connection in self._connections:
                self._process.wait_until_asleep()
                connection.ask(request)
                connection.read()

    def flood(self, requests, count):
        """Each connection asks again as soon as it has its answer, `count` times in all."""
        poll = select.epoll()
        by_fd = {connection.socket.fileno(): connection for connection in self._connections}
        for index, (fd, connection) in enumerate(by_fd.items()):
            poll.register(fd, select.EPOLLIN)
            connection.ask(requests[index % len(requests)])
        asked, answered = len(by_fd), 0
        while answered < asked:
            events = poll.poll(PATIENCE_SECONDS)
            if not events:
                raise Stuck("the server answers no more")
            for fd, _ in events:
                if by_fd[fd].read_some():
                    answered += 1
                    if asked < count:
                        by_fd[fd].ask(requests[asked % len(requests)])
                        asked += 1
        poll.close()
        return answered

    def _close(self):
        for connection in self._connections:
            connection.close()
        self._connections = []

    def leave(self):
        """Closes all connections, and waits until the server has as well."""
        with self._process.standing_still():
            self._close()
        until(
            lambda: self._process.descriptors() <= self._descriptors,
            f"the server has closed all but the {self._descriptors} descriptors of its beginning",
        )
        self._process.wait_until_asleep()
