"""What servers take a stream of bytes for: starts them, asks them, and reads what they say of it."""

import os
import re
import select
import socket
import subprocess
import sys
import time
from dataclasses import dataclass, field

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(os.path.dirname(HERE), "drain"))

import watcher

PATIENCE_SECONDS = 10
BROKEN = (500, 502, 503, 504)  # replies of nginx that say that the test is broken, not the request


@dataclass(frozen=True)
class Taken:
    """A request as a server has understood it. What it did not say is None."""

    method: bytes
    target: bytes
    body: bytes  # its length and hash
    octets: int = None  # of the stream, without empty lines before the request

    def __str__(self):
        return " ".join("?" if part is None else repr(part)[2:-1] for part in
                        (self.method, self.target, self.body))


@dataclass
class View:
    taken: list = field(default_factory=list)
    # refused: with an error. closed: said so in the last reply. incomplete: the last body has not ended.
    # silent: saw nothing more, or the beginning of a head. lost: reset, or no HTTP. hung: not at all.
    ending: str = "silent"
    status: int = 0  # with which it was refused

    def __str__(self):
        end = f"{self.ending} {self.status}" if self.ending == "refused" else self.ending
        return "".join(f"\n      {request}" for request in self.taken) + f"\n      {end}"


class Servers:
    """coir-echo-requests, and an nginx that forwards to it, until the end of the `with`."""

    def __init__(self, echo, nginx, directory):
        self._commands = (echo, nginx)
        self._directory = directory
        self._processes = []
        self._asked = 0
        self.ports = {}

    def __enter__(self):
        try:
            self._start()
        except BaseException:
            self._end()
            raise
        return self

    def __exit__(self, *_):
        self._end()

    def _start(self):
        echo, nginx = self._commands
        self._echo = subprocess.Popen(
            [echo], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        self._processes.append(self._echo)
        ready, _, _ = select.select([self._echo.stdout], [], [], PATIENCE_SECONDS)
        line = self._echo.stdout.readline() if ready else ""
        upstream = {name: int(port) for name, port in re.findall(r"(\w+)=(\d+)", line)}
        if len(upstream) != 5:
            raise RuntimeError(f"{echo} does not listen; it said: {line!r}")
        self.ports = {name: upstream[name] for name in ("whole", "pieces", "unread")}
        self.ports["nginx"] = watcher.free_port()
        self.ports["front"] = watcher.free_port()
        values = {"VIEW_UPSTREAM": upstream["view"], "FRONT_UPSTREAM": upstream["front"],
                  "VIEW": self.ports["nginx"], "FRONT": self.ports["front"]}
        with open(os.path.join(HERE, "nginx.conf"), encoding="ascii") as template:
            text = template.read()
        for name, value in values.items():
            text = text.replace(name, str(value))
        with open(os.path.join(self._directory, "nginx.conf"), "w", encoding="ascii") as file:
            file.write(text)
        self._nginx = subprocess.Popen(
            [nginx, "-p", self._directory, "-e", "error.log", "-c", "nginx.conf"],
            stdin=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        )
        self._processes.append(self._nginx)
        self._wait_for_nginx()

    def _wait_for_nginx(self):
        deadline = time.monotonic() + PATIENCE_SECONDS
        for name in ("nginx", "front"):
            while True:
                try:
                    socket.create_connection((watcher.HOST, self.ports[name])).close()
                    break
                except OSError:
                    if self._nginx.poll() is not None or time.monotonic() > deadline:
                        raise RuntimeError(f"nginx does not listen: {self._error_log()}") from None
                    time.sleep(0.01)

    def _error_log(self):
        try:
            with open(os.path.join(self._directory, "error.log"), encoding="utf-8") as log:
                return log.read()
        except OSError:
            return "and has no error.log"

    def _end(self):
        for process in self._processes:
            watcher.end(process)

    def ask(self, stream):
        """Sends the stream to each: {"whole": the bytes of its replies and why they end, ...}."""
        self._asked += 1
        # So that addresses do not run out of ports, which are not used again for a minute.
        source = f"127.0.{self._asked // 200 % 200}.{2 + self._asked % 200}"
        sockets = {}
        try:
            for name, port in self.ports.items():
                sockets[name] = socket.socket()
                sockets[name].settimeout(PATIENCE_SECONDS)
                sockets[name].bind((source, 0))
                sockets[name].connect((watcher.HOST, port))
            for sock in sockets.values():
                try:
                    sock.sendall(stream)
                    sock.shutdown(socket.SHUT_WR)
                except (BrokenPipeError, ConnectionResetError):
                    pass  # it has heard enough
            return {name: _read_all(sock) for name, sock in sockets.items()}
        finally:
            for sock in sockets.values():
                sock.close()

    def finish(self):
        """Ends both. What coir had through nginx, and what nginx has sent it: requests answered 200."""
        self._nginx.terminate()
        self._nginx.wait(PATIENCE_SECONDS)
        said = self._echo.communicate(timeout=PATIENCE_SECONDS)[0]
        whole, strangers = map(int, re.search(r"(\d+) whole, (\d+) without X-Id", said).groups())
        if self._echo.returncode != 0:
            raise RuntimeError(f"coir-echo-requests ended with {self._echo.returncode}")
        with open(os.path.join(self._directory, "front.log"), encoding="latin-1") as log:
            sent = sum(line == "200\n" for line in log)
        return whole, strangers, sent


def _read_all(sock):
    said = b""
    try:
        while data := sock.recv(1 << 16):
            said += data
        return said, "end"
    except socket.timeout:
        return said, "hung"
    except ConnectionResetError:
        return said, "reset"


def _replies(said):
    """The final replies, as (status, fields), and whether that is all there was."""
    replies = []
    while said:
        head, blank, rest = said.partition(b"\r\n\r\n")
        line, *lines = head.split(b"\r\n")
        status = re.fullmatch(rb"HTTP/1\.1 (\d{3}) .*", line)
        if not blank or not status:
            return replies, False
        pairs = (text.partition(b": ") for text in lines)
        fields = {name.lower(): value for name, _, value in pairs}
        length = int(fields.get(b"content-length", b"0"))
        # Answers to HEAD have a length and no body. None of the bodies here looks like a reply.
        if not rest.startswith(b"HTTP/1.") and rest:
            if len(rest) < length:
                return replies, False
            rest = rest[length:]
        if status[1] != b"100":
            replies.append((int(status[1]), fields))
        said = rest
    return replies, True


def _close(view, answer, is_whole):
    if answer[1] == "hung":
        view.ending = "hung"
    elif view.ending in ("silent", "closed") and (answer[1] == "reset" or not is_whole):
        view.ending = "lost"
    return view


def of_coir(answer):
    """A request that coir has answered without asking our handler is there, but unknown."""
    replies, is_whole = _replies(answer[0])
    view = View()
    for status, fields in replies:
        seen = fields.get(b"x-seen")
        view.ending = "closed" if fields.get(b"connection") == b"close" else "silent"
        if seen:
            method, target, body = seen.split(b" ")
            if body == b"incomplete":
                view.ending = "incomplete"
            elif body == b"refused":
                view.ending, view.status = "refused", status
            else:
                known = None if body == b"unread" else body
                view.taken.append(Taken(method, _path_of(target), known))
        elif status == 204:  # only where nobody else could answer it
            view.taken.append(Taken(b"OPTIONS", b"*", None))
        elif status == 404:
            view.taken.append(Taken(None, None, None))
        else:
            view.ending, view.status = "refused", status
    return _close(view, answer, is_whole)


def of_nginx(answer):
    replies, is_whole = _replies(answer[0])
    view = View()
    for status, fields in replies:
        octets, sent, method, target = fields[b"x-took"].split(b" ", 3)
        if status in BROKEN or sent not in (b"", b"200"):
            raise RuntimeError(f"nginx said {status}, and what it had sent got {sent}")
        closes = fields.get(b"connection") == b"close"
        if b"x-seen" in fields:
            body = fields[b"x-seen"].split(b" ")[2]
            view.taken.append(Taken(method, target, body, int(octets)))
            view.ending = "closed" if closes else "silent"
        elif closes:
            view.ending, view.status = "refused", status
        else:
            view.taken.append(Taken(method, target, b"refused", int(octets)))
    return _close(view, answer, is_whole)


def of_front(answer):
    """What coir has answered to the requests that nginx has sent it, as (X-Id sent, X-Id that came, Taken).

    The last two are None where coir knew no such path.
    """
    answers = []
    for status, fields in _replies(answer[0])[0]:
        number, sent, _ = fields[b"x-sent"].split(b" ")
        if sent == b"200":
            answers.append((number, fields.get(b"x-id"), Taken(*fields[b"x-seen"].split(b" "))))
        elif sent == b"404":
            answers.append((number, None, None))
    return answers


def _path_of(target):
    """Of an absolute target, what nginx calls the URI of a request."""
    return re.sub(rb"^[A-Za-z]+://[^/?#]*", b"", target) or b"/"
