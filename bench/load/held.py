"""Keep-alive connections, held open all at once."""

import resource

import answers
from script import CannotRunHere

PER_SOURCE = 10_000  # connections from one address: the usual range has 28,000 ports
BESIDE = 128  # descriptors that a server or a script has open beside the connections


def raise_descriptor_limit(needed):
    """For this process, and for the servers, which inherit it and take all they may."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = needed if hard == resource.RLIM_INFINITY else max(hard, needed)
    try:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, wanted))
    except (ValueError, OSError) as error:
        raise CannotRunHere(
            f"{needed} descriptors are needed, and the hard limit is {hard}:"
            " raise it (ulimit -Hn), or take fewer connections"
        ) from error


class Held:
    """A crowd of clients, each with a source address that has ports for it."""

    def __init__(self, port):
        self._port = port
        self._clients = []

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def connect(self, count, ask=True):
        """Client after client: connect, ask once if wanted, check the answer, stay."""
        for i in range(count):
            # 127.0.0.1 serves; its neighbours are ours as well, without any set-up.
            client = answers.Client(self._port, source=f"127.0.0.{2 + i // PER_SOURCE}")
            self._clients.append(client)
            if ask:
                _ask(client)

    def ask_in_turn(self):
        for client in self._clients:
            _ask(client)

    def ask_at_once(self):
        """All have sent before anybody reads. Whoever answers has not been closed in between."""
        for client in self._clients:
            client.send(answers.GET)
        for client in self._clients:
            client.expect(b"55", answers.GET)
        for client in self._clients:
            client.expect_silence(0)

    def close(self):
        for client in self._clients:
            client.socket.close()
        self._clients = []


def _ask(client):
    client.send(answers.GET)
    client.expect(b"55", answers.GET)
