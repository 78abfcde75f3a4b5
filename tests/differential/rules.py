"""When two servers agree on where requests begin and end."""

import re
from dataclasses import dataclass
from typing import Callable

# A percent sign that begins no triplet, or a NUL.
BAD_ESCAPE = re.compile(rb"%(?![0-9A-Fa-f]{2})|%00")
KNOWN_PATH = re.compile(rb"/|(?:/[^/?#]+){1,4}(?:\?.*)?")  # to coir-echo-requests
FRAMING_LINE = re.compile(rb"(?i)(host|content-length|transfer-encoding):")


@dataclass(frozen=True)
class Known:
    """What coir takes and nginx does not, though it should: the head in other words, which mean the same.

    It is no excuse for anything else: with those words the two have to agree.
    """

    why: str
    rewrite: Callable[[bytes], bytes]


def _without_tabs(head):
    lines = head.split(b"\r\n")
    return b"\r\n".join(_with_blanks(line) if FRAMING_LINE.match(line) else line for line in lines)


def _with_blanks(line):
    name, _, value = line.partition(b":")
    inner = value.strip(b" \t")
    return name + b": " + inner if b"\t" in value.replace(inner, b"") or not inner else line


def _without_bad_escapes(head):
    line, end, rest = head.partition(b"\r\n")
    return BAD_ESCAPE.sub(b"%01", line) + end + rest


def _without_dots(head):
    line, end, rest = head.partition(b"\r\n")
    return re.sub(rb"(?<=/)\.\.(?=[/?# ])", b"--", line) + end + rest


def _with_a_path(head):
    return re.sub(rb"^OPTIONS (?:\*|(?i:http)://[^/? ]+) ", b"OPTIONS / ", head)


def _with_a_plain_host(head):
    # What RFC 3986 calls unreserved or sub-delims, or escaped, and nginx does not take.
    return re.sub(rb"^([A-Z]+ (?i:http)://)[A-Za-z0-9.~_!$&'()*+;=%-]+(?=[:/? ])", rb"\1b", head)


def _without_dots_in_host(head):
    lines = head.split(b"\r\n")
    for at, line in enumerate(lines):
        if re.match(rb"(?i)host:[ \t]*(\.|.*\.\.)", line):
            lines[at] = line.replace(b".", b"-")
    return b"\r\n".join(lines)


def _without_false_close(head):
    lines = head.split(b"\r\n")
    for at, line in enumerate(lines):
        if re.match(rb"(?i)connection:", line):
            options = line.partition(b":")[2].split(b",")
            if not any(option.strip(b" \t").lower() == b"close" for option in options):
                lines[at] = re.sub(rb"(?i)close", b"cl--e", line)
    return b"\r\n".join(lines)


def _without_expectations(head):
    if not head.partition(b"\r\n")[0].endswith(b" HTTP/1.0"):
        return head
    return re.sub(rb"(?im)^expect:", b"X-Expect:", head)


def _with_one_line_of_expectations(head):
    lines = head.split(b"\r\n")
    expect = [line for line in lines if re.match(rb"(?i)expect:", line)]
    if len(expect) < 2:
        return head
    values = b",".join(line.partition(b":")[2] for line in expect)
    lines = [line for line in lines if line not in expect]
    return b"\r\n".join([*lines, b"Expect:" + values])


KNOWN = (
    Known("tabs around a value are blanks (RFC 9110, 5.6.3)", _without_tabs),
    Known("escapes in a path are the handler's, not framing (RFC 9112, 3.2)", _without_bad_escapes),
    Known("dots beyond the root stay there (RFC 3986, 5.2.4)", _without_dots),
    Known("OPTIONS takes an asterisk, or a host alone (RFC 9112, 3.2.4)", _with_a_path),
    Known("a name is not only letters and digits (RFC 3986, 3.2.2)", _with_a_plain_host),
    Known("a name may begin with a dot, or have two (RFC 3986, 3.2.2)", _without_dots_in_host),
    Known("close is a whole option (RFC 9110, 7.6.1)", _without_false_close),
    Known("HTTP/1.0 has no expectations, so no two (RFC 9110, 10.1.1)", _without_expectations),
    Known("lines of a list are one list (RFC 9110, 5.3)", _with_one_line_of_expectations),
)


def difference(coir, nginx):
    """Why these views do not go together and at which request, or None.

    What coir takes must be what nginx takes. It may stop earlier, with an error or where it has said that
    it closes; but not because it waits for more of a request that nginx has seen whole.
    """
    if coir.ending == "hung":
        return "coir neither answers nor closes", len(coir.taken)
    if coir.ending == "lost":
        return "coir has reset the connection, or said what is no HTTP", len(coir.taken)
    for at, request in enumerate(coir.taken):
        if at >= len(nginx.taken):
            if request.body is None and at == len(coir.taken) - 1 and nginx.ending != "closed":
                return None  # coir has not looked at the body, and nothing follows
            return "coir takes what nginx does not", at
        other = nginx.taken[at]
        for name in ("method", "target", "body"):
            ours, theirs = getattr(request, name), getattr(other, name)
            if ours is not None and ours != theirs:
                return f"another {name}", at
    knows_bodies = all(request.body is not None for request in coir.taken)
    waits = coir.ending in ("incomplete", "silent") and knows_bodies
    if waits and len(nginx.taken) > len(coir.taken):
        return "coir waits for more where nginx sees a request", len(coir.taken)
    return None


def front_difference(answers, nginx):
    """The same for requests that nginx has sent to coir: each gets the answer to itself."""
    for number, echoed, request in answers:
        at = int(number.split(b"-")[1]) - 1
        if at >= len(nginx.taken):
            return "nginx has sent what it does not take"
        sent = nginx.taken[at]
        if request is None:
            if KNOWN_PATH.fullmatch(sent.target):
                return f"coir says that there is no {sent.target}"
        elif number != echoed:
            return f"the answer to {echoed} for {number}"
        elif request.method != sent.method or request.body != sent.body:
            return "coir has got another request than nginx has sent"
    return None


def rewritten(stream, nginx, at):
    """(Known, the stream with the request `at` in other words) for each that has other words for it."""
    if nginx.ending == "closed" and at == len(nginx.taken):
        at -= 1  # the one after which nginx has closed
    begin = 0
    for request in [*nginx.taken[:at], None]:
        while stream[begin : begin + 1] in (b"\r", b"\n"):
            begin += 1
        if request:
            if not stream.startswith(request.method + b" ", begin):
                raise RuntimeError(f"nginx does not see {request} at {begin} of {stream!r}")
            begin += request.octets
    head, end, rest = stream[begin:].partition(b"\r\n\r\n")
    for known in KNOWN:
        other = known.rewrite(head)
        if other != head:
            yield known, stream[:begin] + other + end + rest
