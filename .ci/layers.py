#!/usr/bin/env python3
"""Includes point only down the layers, and foreign things come in only through their doors.

base <- runtime <- { sync, net } <- http <- server. A layer sees the public headers (coir/...) of the
layers below it and the private headers of its own room. Tests and benches may look anywhere.
"""

import pathlib
import re
import sys

# A room, and the rooms whose public headers it may include beside its own.
BELOW = {
    "base": set(),
    "runtime": {"base"},
    "sync": {"base", "runtime"},
    "net": {"base", "runtime"},
    "http": {"base", "runtime", "sync", "net"},
    "server": {"base", "runtime", "sync", "net", "http"},
}

# A foreign header, and the only places that may include it.
DOORS = [
    (r"boost/", r"lib/runtime/", "Boost lives in lib/runtime"),
    (r"sys/epoll\.h", r"lib/runtime/poller\.[hc]pp", "epoll lives in lib/runtime/poller"),
    (r"llhttp", r"lib/http/request_parser\.cpp", "llhttp lives in lib/http/request_parser.cpp"),
    (r"mimalloc", r"server/allocator\.cpp", "the allocator lives in server/allocator.cpp"),
]
ERRNO_DOOR = r"(include/coir|lib)/base/syscall\.[hc]pp"

INCLUDE = re.compile(r'^\s*#\s*include\s*[<"]([^>"]+)[>"]', re.MULTILINE)
COMMENT_OR_TEXT = re.compile(r'//[^\n]*|/\*.*?\*/|"(?:\\.|[^"\\\n])*"', re.DOTALL)


def room_of(path):
    parts = path.split("/")
    if parts[0] == "include":
        return parts[2] if len(parts) > 3 else ""
    return parts[1] if parts[0] == "lib" else "server"


def trouble_with(path, header):
    """Says why the file at path may not include header, or returns None."""
    room = room_of(path)
    for foreign, door, rule in DOORS:
        if re.match(foreign, header):
            return None if re.match(door, path) else rule
    if header.startswith("coir/"):
        other = header.split("/")[1]
        if other == room or other in BELOW[room]:
            return None if pathlib.Path("include", header).exists() else "no such public header"
        return f"{room} may not include from {other}"
    if path.startswith("include/"):
        local = pathlib.Path(path).parent / header
        return "public headers say coir/..." if local.exists() else None
    first = header.split("/")[0]
    if first in BELOW and first != room and pathlib.Path("lib", header).exists():
        return f"{header} is private to {first}"
    if header.startswith(".."):
        return "a path that climbs out of its room"
    return None


def own_header(path):
    """The header that the source at path should include first, if there is one."""
    if not path.startswith("lib/") or not path.endswith(".cpp"):
        return None
    stem = path[len("lib/"):-len(".cpp")]
    if pathlib.Path("include/coir", stem + ".hpp").exists():
        return f"coir/{stem}.hpp"
    return stem + ".hpp" if pathlib.Path("lib", stem + ".hpp").exists() else None


def check(path):
    text = pathlib.Path(path).read_text(encoding="utf-8")
    if room_of(path) not in BELOW:
        yield 1, "in no room: " + ", ".join(BELOW)
        return
    includes = [(text.count("\n", 0, m.start(1)) + 1, m.group(1)) for m in INCLUDE.finditer(text)]
    for line, header in includes:
        trouble = trouble_with(path, header)
        if trouble:
            yield line, f"{header}: {trouble}"
    own = own_header(path)
    if own and (not includes or includes[0][1] not in (own, own.split("/")[-1])):
        yield 1, f"includes its own header first: {own}"
    if path.endswith(".hpp") and "#pragma once" not in text:
        yield 1, "headers say #pragma once"
    if not re.fullmatch(ERRNO_DOOR, path):
        code = COMMENT_OR_TEXT.sub(lambda m: "\n" * m.group().count("\n"), text)
        for match in re.finditer(r"\berrno\b", code):
            yield code.count("\n", 0, match.start()) + 1, "errno is read in base/syscall alone"


def main():
    count = 0
    for top in ("include", "lib", "server"):
        for found in sorted(pathlib.Path(top).rglob("*.[hc]pp")):
            path = found.as_posix()
            for line, message in check(path):
                print(f"{path}:{line}: {message}")
                count += 1
    return 1 if count else 0


if __name__ == "__main__":
    sys.exit(main())
