"""Byte streams that servers might disagree about: the wire cases, and what chance makes of them."""

import os
import random
import re
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "fuzz"))

import seeds

# Behind each stream. Who takes one of them for a part of a body, or the rest of a body for a request,
# is seen.
MARKERS = b"".join(
    b"GET /marker/%d HTTP/1.1\r\nHost: m\r\n%s\r\n" % (number, last)
    for number, last in ((1, b""), (2, b""), (3, b"Connection: close\r\n"))
)

INNER = b"GET /inner HTTP/1.1\r\nHost: a\r\n\r\n"
PLAIN = (
    b"GET /g HTTP/1.1\r\nHost: a\r\n\r\n",
    b"HEAD /h?q=1 HTTP/1.1\r\nHost: a:80\r\nAccept: */*\r\n\r\n",
    b"POST /l HTTP/1.1\r\nHost: a\r\nContent-Length: 11\r\n\r\nhello world",
    b"PUT /p/u HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\nConnection: keep-alive\r\n\r\n\r\n\r\n",
    b"POST /c HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n"
    b"5\r\nhello\r\n6\r\n world\r\n0\r\n\r\n",
    b"POST /e HTTP/1.1\r\nHost: a\r\ntransfer-encoding:Chunked\r\n\r\n"
    b"A;n=v\r\n0123456789\r\n0\r\nX-T: 1\r\n\r\n",
    b"PATCH /k HTTP/1.0\r\nConnection: keep-alive\r\nContent-Length: 3\r\n\r\nabc",
    b"DELETE /d HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\n",
    b"OPTIONS /o HTTP/1.1\r\nHost: a\r\n\r\n",
    b"GET http://b/abs HTTP/1.1\r\nHost: b\r\n\r\n",
    b"POST /s HTTP/1.1\r\nHost: a\r\nContent-Length: %d\r\n\r\n%b" % (len(INNER), INNER),
    b"POST /t HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n"
    b"%x\r\n%b\r\n0\r\n\r\n" % (len(INNER), INNER),
    b"POST /x HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 2\r\n\r\nok",
)
LINES = (
    b"Content-Length: 0", b"Content-Length: 5", b"Content-Length: 11", b"Content-Length:",
    b"Content-Length: +5", b"Content-Length: 5, 5", b"Content-Length: 5,6", b"Content-Length: 0x5",
    b"Content-Length : 5", b"Content-Length\t: 5", b"Content-Length: 5 5", b"Content-Length: -1",
    b"Content-Length: 5.0", b"Content-Length: 18446744073709551621", b"Content-Length: 4294967301",
    b"Content_Length: 5", b"Content-Length: 00000000000000000005", b"Content-Length:\x0b5",
    b"Content-Length: 5\x00", b"Content-Length;: 5", b"Transfer-Encoding: chunked",
    b"Transfer-Encoding:chunked", b"Transfer-Encoding : chunked", b"Transfer-Encoding:\tchunked",
    b"Transfer-Encoding:\x0bchunked", b"Transfer-Encoding: chunked\x00",
    b"Transfer-Encoding: xchunked", b"Transfer-Encoding: identity",
    b"Transfer-Encoding: gzip, chunked", b"Transfer-Encoding: chunked, identity",
    b"Transfer-Encoding: chunked, chunked", b"Transfer-Encoding:",
    b"Transfer-Encoding: \"chunked\"", b"Transfer-Encoding: chunked;a=b",
    b"Transfer-Encoding: ,chunked", b"Transfer-Encoding: chunked ,", b"Transfer_Encoding: chunked",
    b"Transfer-Encoding\x00: chunked", b"\x00Transfer-Encoding: chunked",
    b" Transfer-Encoding: chunked", b"X: y\n Transfer-Encoding: chunked",
    b"X: y\nTransfer-Encoding: chunked", b"X: y\rTransfer-Encoding: chunked", b"TE: chunked",
    b"Transfer-Encoding", b"Connection: close", b"Connection: keep-alive",
    b"Connection: Transfer-Encoding", b"Connection: Content-Length", b"Connection: closed",
    b"Connection: keep-alive, close", b"Connection: ,", b"Upgrade: h2c", b"Keep-Alive: 5",
    b"Host: b", b"Host: a,b", b"Host : a", b"Host:", b"Expect: 100-continue", b"Expect: 5",
    b"Trailer: X-T", b": nothing", b"nothing", b" folded", b"\tfolded", b"X:", b"X: \xff",
    b"X_Y: z", b"X!Y: z", b"",
)
BYTES = b"\r\n\0\t \x0b\x0c\x7f\x80\xff,;:=\"'\\/?#%0159aAfFxX+-._*"
PIECES = (
    b"\r\n", b"\n", b"\r", b"\r\n\r\n", b"\r\r\n", b"\n\n", b"\0", b"\t", b" ", b"0\r\n\r\n", b"0",
    b"1", b"%00", b"/../", b"chunked", b"5\r\nhello\r\n", b"0x", b"0\r\n", b";",
    b"GET / HTTP/1.1\r\nHost: a\r\n\r\n",
)
LINE_ENDS = (
    b"\n", b"\r", b"\r\r\n", b"\n\r", b"\0\r\n", b" \r\n", b"\t\r\n", b"\x0b\r\n", b"\r\n ", b"\r\n\t",
)
VERSIONS = (
    b"HTTP/1.0", b"HTTP/1.1", b"HTTP/1.2", b"HTTP/2.0", b"HTTP/0.9", b"http/1.1", b"HTTP/1.1 ",
    b"HTTP/01.1", b"HTTP/1.10", b"",
)
METHODS = (
    b"GET", b"HEAD", b"POST", b"PUT", b"OPTIONS", b"DELETE", b"PATCH", b"TRACE", b"CONNECT", b"get",
    b"FOO", b"G-T",
)
TARGETS = (
    b"/", b"*", b"/a//b", b"/a/./b", b"/a/../b", b"/../a", b"/%41", b"/%zz", b"/%", b"/%00",
    b"/a?b=c?d", b"/a#b", b"//a/b", b"http://b", b"http://b?c", b"http://b/c?d", b"https://b/",
    b"a", b"b:80", b"/\xc3\xa9", b"/|^{}", b"/a\\b", b"/a%2fb", b"/a%0d%0ab", b"/a;b", b"?a",
    b"http:///a", b"http://u@b/", b"http://[::1]:80/",
)


def wire_cases():
    return list(seeds.wire_cases())


class Mutator:
    def __init__(self, seed):
        self._random = random.Random(seed)
        self._wire = [case for case in wire_cases() if len(case) < 1500]
        # What may move a boundary comes more often.
        self._changes = (
            *[self._add_line] * 3, *[self._change_number] * 2, *[self._insert] * 2,
            self._replace_byte, self._flip_bit, self._near_mark, self._delete, self._truncate,
            self._repeat_line, self._drop_line, self._swap_lines, self._change_line_end,
            self._change_version, self._change_method, self._change_target,
        )

    def stream(self):
        """One to three requests, of which some have been tampered with."""
        count = self._random.choice((1, 1, 2, 2, 3))
        parts = []
        for _ in range(count):
            part = self._random.choice(self._wire if self._random.random() < 0.2 else PLAIN)
            if self._random.random() < 0.5:
                for _ in range(self._random.choice((1, 1, 1, 2, 3))):
                    part = self._random.choice(self._changes)(part)
            parts.append(part)
        return b"".join(parts)

    def _somewhere(self, part):
        return self._random.randint(0, len(part))

    def _replace_byte(self, part):
        if not part:
            return part
        at = self._random.randrange(len(part))
        return part[:at] + bytes([self._random.choice(BYTES)]) + part[at + 1 :]

    def _flip_bit(self, part):
        if not part:
            return part
        at = self._random.randrange(len(part))
        return part[:at] + bytes([part[at] ^ (1 << self._random.randrange(8))]) + part[at + 1 :]

    def _insert(self, part):
        at = self._somewhere(part)
        return part[:at] + self._random.choice(PIECES) + part[at:]

    def _near_mark(self, part):
        """Beside a colon, a blank, a comma or the end of a line, where syntax is decided."""
        marks = [match.start() for match in re.finditer(rb"[:; ,/\r\n]", part)]
        if not marks:
            return part
        at = self._random.choice(marks) + self._random.randrange(2)
        return part[:at] + bytes([self._random.choice(BYTES)]) + part[at:]

    def _delete(self, part):
        at = self._somewhere(part)
        return part[:at] + part[at + self._random.choice((1, 1, 1, 2, 4)) :]

    def _repeat_line(self, part):
        lines = part.split(b"\r\n")
        at = self._random.randrange(len(lines))
        lines.insert(self._random.randint(0, len(lines)), lines[at])
        return b"\r\n".join(lines)

    def _drop_line(self, part):
        lines = part.split(b"\r\n")
        del lines[self._random.randrange(len(lines))]
        return b"\r\n".join(lines)

    def _swap_lines(self, part):
        lines = part.split(b"\r\n")
        a, b = (self._random.randrange(len(lines)) for _ in range(2))
        lines[a], lines[b] = lines[b], lines[a]
        return b"\r\n".join(lines)

    def _add_line(self, part):
        head, blank, rest = part.partition(b"\r\n\r\n")
        lines = head.split(b"\r\n")
        lines.insert(self._random.randint(1, len(lines)), self._random.choice(LINES))
        return b"\r\n".join(lines) + blank + rest

    def _change_number(self, part):
        numbers = list(re.finditer(rb"[0-9]+", part))
        if not numbers:
            return part
        found = self._random.choice(numbers)
        number = int(found[0])
        text = found[0]
        new = self._random.choice((
            b"", b"%d" % (number + 1), b"%d" % max(0, number - 1), b"%d" % (number + 40),
            b"%d" % (number + (1 << 32)), b"%d" % (number + (1 << 64)), b"%x" % number,
            b"%x" % (number + (1 << 32)), b"%x" % (number + (1 << 64)),
            b"0" + text, b"0" * 20 + text, b"0x" + text, b"+" + text, b"-" + text, b" " + text,
            text + b" ", text + b"\t", text + b"," + text, text + b"_0", text + b".0",
            text + b";x", text + b";x=\"\r\n\"",
        ))
        return part[: found.start()] + new + part[found.end() :]

    def _change_line_end(self, part):
        ends = [match.start() for match in re.finditer(rb"\r\n", part)]
        if not ends:
            return part
        at = self._random.choice(ends)
        new = self._random.choice(LINE_ENDS)
        return part[:at] + new + part[at + 2 :]

    def _change_version(self, part):
        return re.sub(rb"HTTP/\d\.\d", lambda _: self._random.choice(VERSIONS), part, count=1)

    def _change_method(self, part):
        return re.sub(rb"^[A-Z]+", lambda _: self._random.choice(METHODS), part)

    def _change_target(self, part):
        def with_other(line):
            return line[1] + self._random.choice(TARGETS)

        return re.sub(rb"^([A-Z]+ )[^ \r\n]*", with_other, part)

    def _truncate(self, part):
        return part[: self._somewhere(part)]
