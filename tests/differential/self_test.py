"""Whether the check finds what it is there for: readers with one fault each, in the place of coir."""

import re

import rules
import streams
import views

BOTH = b"Content-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"
POST = b"POST / HTTP/1.1\r\nHost: a\r\n"
GET = b"GET / HTTP/1.1\r\nHost: a\r\n"
INNER = b"GET /inner HTTP/1.1\r\nHost: a\r\n\r\n"
# One chunk of seventeen octets, the first eleven of which are followed by what looks like the last one.
CHUNKS = b"11\r\n0123456789a\r\n0\r\n\r\r\n0\r\n\r\n"

# The fault, and a stream that shows it. A reader without it is right about the stream.
FAULTS = (
    ("prefers the length to the chunks", POST + BOTH),
    ("prefers the chunks to the length", POST + BOTH),
    ("takes the first of two lengths", POST + b"Content-Length: 2\r\nContent-Length: 2\r\n\r\nok"),
    ("takes what holds chunked for it", POST + b"Transfer-Encoding: xchunked\r\n\r\n" + CHUNKS),
    ("sees no body in a GET", GET + b"Content-Length: %d\r\n\r\n" % len(INNER) + INNER),
    ("reads chunk sizes as decimals", POST + b"Transfer-Encoding: chunked\r\n\r\n" + CHUNKS),
    ("leaves an octet of a body", POST + b"Content-Length: 7\r\n\r\nhello\r\n"),
    ("waits for more than there is", POST + b"Content-Length: 5\r\n\r\nhello"),
)


def _chunked(rest, base):
    body = b""
    while True:
        size, _, rest = rest.partition(b"\r\n")
        count = int(size, base)
        if count == 0:
            return body, rest.partition(b"\r\n")[2]
        body, rest = body + rest[:count], rest[count + 2 :]


def _hash(body):
    value = 0xCBF29CE484222325
    for octet in body:
        value = (value ^ octet) * 0x100000001B3 % (1 << 64)
    return b"%d:%016x" % (len(body), value)


def read(stream, fault):
    """What a simple reader takes the stream for."""
    view = views.View()
    while stream:
        head, _, rest = stream.partition(b"\r\n\r\n")
        line, *lines = head.split(b"\r\n")
        words = re.fullmatch(rb"([A-Z]+) (\S+) HTTP/1\.1", line)
        lengths = [text[15:].strip() for text in lines if text.startswith(b"Content-Length:")]
        codings = [text[18:].strip() for text in lines if text.startswith(b"Transfer-Encoding:")]
        if fault == "prefers the length to the chunks" and lengths:
            codings = []
        if fault == "prefers the chunks to the length" and codings:
            lengths = []
        if fault == "takes the first of two lengths":
            lengths = lengths[:1]
        if fault == "takes what holds chunked for it":
            codings = [b"chunked" for coding in codings if b"chunked" in coding]
        if fault == "sees no body in a GET" and words and words[1] == b"GET":
            lengths = []
        if not words or len(lengths) + len(codings) > 1 or codings not in ([], [b"chunked"]):
            view.ending, view.status = "refused", 400
            return view
        try:
            body = rest[:0]
            if codings:
                body, rest = _chunked(rest, 10 if fault == "reads chunk sizes as decimals" else 16)
            elif lengths:
                size = int(lengths[0])
                size -= fault == "leaves an octet of a body"
                size += 10_000 * (fault == "waits for more than there is")
                if size > len(rest):
                    view.ending = "incomplete"
                    return view
                body, rest = rest[:size], rest[size:]
        except ValueError:
            view.ending, view.status = "refused", 400
            return view
        view.taken.append(views.Taken(words[1], words[2], _hash(body)))
        stream = rest
    view.ending = "closed"
    return view


def run(servers):
    for fault, stream in FAULTS:
        stream += streams.MARKERS
        nginx = views.of_nginx(servers.ask(stream)["nginx"])
        if why := rules.difference(read(stream, None), nginx):
            raise RuntimeError(f"a reader without the fault that it {fault}: {why}; nginx: {nginx}")
        if not rules.difference(read(stream, fault), nginx):
            raise RuntimeError(f"nobody sees that a reader {fault}")
    return len(FAULTS)
