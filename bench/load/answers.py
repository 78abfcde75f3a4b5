#!/usr/bin/env python3
"""Proves that a server answers the benchmark's requests rightly, before anybody measures how fast.

wrk could look at every answer in Lua, but that costs the client more than the server needs to make
them. So the shapes are checked here, exactly and in the ways that the load sends them; under load
only the status and the number of bytes are (see loads.py).

    bench/load/answers.py PROGRAM

Exit status: 0, 1 if an answer is wrong or the server does not end as it should.
"""

import argparse
import os
import select
import socket
import sys
import time
from dataclasses import dataclass

sys.dont_write_bytecode = True

from script import Failed
from servers import HOST, Server

TIMEOUT_SECONDS = 5
CONNECTIONS = 8
DEEP = 256
UNREAD_REQUESTS = 150_000  # their answers, 10 MB, are more than the two sockets hold
SMALL_RECEIVE_BYTES = 16 * 1024
IP_BIND_ADDRESS_NO_PORT = 24  # in <linux/in.h>; Python's socket module does not name it before 3.12

HEAD = b" HTTP/1.1\r\nHost: localhost:8080\r\n"
GET = b"GET /baseline11?a=13&b=42" + HEAD + b"\r\n"
POST_SIZED = b"POST /baseline11?a=13&b=42" + HEAD + b"Content-Length: 2\r\n\r\n20"
POST_CHUNKED = (
    b"POST /baseline11?a=13&b=42" + HEAD + b"Transfer-Encoding: chunked\r\n\r\n2\r\n20\r\n0\r\n\r\n"
)
PIPELINE = b"GET /pipeline" + HEAD + b"\r\n"

SHAPES = [(GET, b"55"), (POST_SIZED, b"75"), (POST_CHUNKED, b"75"), (PIPELINE, b"ok")]

# What a server that only recognises the four texts above would get wrong.
VARIATIONS = [
    (b"GET /baseline11?a=-13&b=42" + HEAD + b"\r\n", b"29"),
    (b"GET /baseline11?a=1&b=2&c=3" + HEAD + b"\r\n", b"6"),
    (b"GET /baseline11?a=4000000000&b=4000000000" + HEAD + b"\r\n", b"8000000000"),
    (b"POST /baseline11?a=1&b=1" + HEAD + b"content-length: 3\r\n\r\n-12", b"-10"),
    (
        b"POST /baseline11?a=1&b=1" + HEAD + b"TRANSFER-ENCODING: chunked\r\n\r\n"
        b"1\r\n2\r\n2\r\n04\r\n0\r\n\r\n",
        b"206",
    ),
]


class WrongAnswer(Failed):
    pass


@dataclass
class Answer:
    body: bytes
    size: int


class Client:
    """A connection that knows just enough HTTP to tell answers apart."""

    def __init__(self, port, receive_bytes=None, source=None):
        self.socket = socket.socket()
        if source:
            # The port is chosen when connecting: each source address then has a whole range of them.
            self.socket.setsockopt(socket.IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, 1)
            self.socket.bind((source, 0))
        if receive_bytes:
            self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_bytes)
        self.socket.settimeout(TIMEOUT_SECONDS)
        self.socket.connect((HOST, port))
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._received = bytearray()
        self._at = 0

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.socket.close()

    @property
    def received(self):
        return bytes(self._received)

    @property
    def received_bytes(self):
        return len(self._received)

    def send(self, data):
        self.socket.sendall(data)

    def receive(self):
        data = self.socket.recv(1 << 16)
        if not data:
            raise WrongAnswer(f"the server closed after {bytes(self._received[self._at:])!r}")
        self._received += data

    def answer(self):
        start = self._at
        while (head_end := self._received.find(b"\r\n\r\n", start)) < 0:
            self.receive()
        status, *fields = bytes(self._received[start:head_end]).split(b"\r\n")
        if status != b"HTTP/1.1 200 OK":
            raise WrongAnswer(f"status line {status!r}")
        values = dict(field.lower().split(b": ", 1) for field in fields)
        if not values.get(b"content-type", b"").startswith(b"text/plain"):
            raise WrongAnswer(f"not text/plain: {values}")
        self._at = head_end + 4 + int(values[b"content-length"])
        while len(self._received) < self._at:
            self.receive()
        return Answer(bytes(self._received[head_end + 4 : self._at]), self._at - start)

    def expect(self, body, request):
        answer = self.answer()
        if answer.body != body:
            raise WrongAnswer(f"{answer.body!r} instead of {body!r} to {request!r}")
        return answer

    def expect_silence(self, seconds=0.01):
        # poll, not select: descriptors may be larger than select's sets.
        poll = select.poll()
        poll.register(self.socket, select.POLLIN)
        if self._at != len(self._received) or poll.poll(seconds * 1000):
            raise WrongAnswer("more answers than requests")


def check(port):
    """Returns how large each profile's answers are; raises WrongAnswer or OSError."""
    sizes = _check_one_by_one(port)
    _check_split_anywhere(port)
    _check_byte_by_byte(port)
    _check_pipelined(port)
    _check_client_that_does_not_read(port, sizes["pipelined"])
    _check_half_closed(port)
    return sizes


def _check_one_by_one(port):
    sizes = {}
    clients = [Client(port) for _ in range(CONNECTIONS)]
    for request, body in SHAPES + VARIATIONS + SHAPES:
        for client in clients:
            client.send(request)
        for client in clients:
            size = client.expect(body, request).size
            if sizes.setdefault(request, size) != size:
                raise WrongAnswer("answers of two sizes to one request")
    for client in clients:
        client.expect_silence()
        client.socket.close()
    if len({sizes[GET], sizes[POST_SIZED], sizes[POST_CHUNKED]}) != 1:
        raise WrongAnswer("55 and 75 took answers of different sizes")
    return {"baseline": sizes[GET], "limited": sizes[GET], "pipelined": sizes[PIPELINE]}


def _check_split_anywhere(port):
    for request, body in SHAPES + VARIATIONS:
        with Client(port) as client:
            for cut in range(1, len(request)):
                client.send(request[:cut])
                time.sleep(
                    0.0002
                )  # Long enough for the server to see the first part alone, mostly.
                client.send(request[cut:])
                client.expect(body, (request[:cut], request[cut:]))
            client.expect_silence()


def _check_byte_by_byte(port):
    with Client(port) as client:
        for request, body in SHAPES + VARIATIONS:
            for byte in request:
                client.send(bytes([byte]))
            client.expect(body, request)
        client.expect_silence()


def _check_pipelined(port):
    with Client(port) as client:
        mix = SHAPES + VARIATIONS
        for shapes in [[shape] for shape in mix] + [mix]:
            burst = [shapes[i % len(shapes)] for i in range(DEEP)]
            data = b"".join(request for request, _ in burst)
            # Whole, and cut where no request ends.
            for cut in (0, 1, len(data) // 3, len(data) - 1):
                client.send(data[:cut])
                client.send(data[cut:])
                for request, body in burst:
                    client.expect(body, request)
        client.expect_silence()


def _check_client_that_does_not_read(port, answer_bytes):
    with Client(port, SMALL_RECEIVE_BYTES) as client:
        unsent = memoryview(PIPELINE * UNREAD_REQUESTS)
        client.socket.setblocking(False)
        while unsent and select.select([], [client.socket], [], 0.1)[1]:
            unsent = unsent[client.socket.send(unsent) :]
        # Now the server has met a full socket. Read, and send what it would not take.
        while client.received_bytes < UNREAD_REQUESTS * answer_bytes:
            writers = [client.socket] if unsent else []
            readable, writable, _ = select.select([client.socket], writers, [], TIMEOUT_SECONDS)
            if not readable and not writable:
                raise WrongAnswer(
                    "requests that came while the client did not read stay unanswered"
                )
            if writable:
                unsent = unsent[client.socket.send(unsent) :]
            if readable:
                client.receive()
        for _ in range(UNREAD_REQUESTS):
            client.expect(b"ok", PIPELINE)
        client.expect_silence()


def _check_half_closed(port):
    """Requests that come together with the client's FIN are answered, then the server closes."""
    for request, body in SHAPES:
        with Client(port) as client:
            client.send(request * 10)
            client.socket.shutdown(socket.SHUT_WR)
            for _ in range(10):
                client.expect(body, request)
            if client.socket.recv(1):
                raise WrongAnswer("more answers than requests")


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("program", help="coir-server, or what takes the same options")
    program = parser.parse_args().program
    try:
        with Server(program, program, 2, sorted(os.sched_getaffinity(0))) as server:
            check(server.port)
            if any(status != 0 for status in server.stop()):
                raise RuntimeError("it did not end as it should when it was told to stop")
    except (WrongAnswer, OSError, RuntimeError) as error:
        print(f"{program} answers wrongly: {error}", file=sys.stderr)
        return 1
    print(f"{program} answers rightly")
    return 0


if __name__ == "__main__":
    sys.exit(main())
