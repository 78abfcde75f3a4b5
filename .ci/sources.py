#!/usr/bin/env python3
"""Every source is listed by exactly the CMakeLists.txt that compiles it, and stays short.

A .cpp that no list names is an error, and so is a name without a file; a long file is a warning.
"""

import os
import pathlib
import re
import sys

TOPS = ("include", "lib", "server", "tests", "bench", "examples")
LONG = 500  # lines; near that, look for the second idea


def sources():
    for top in TOPS:
        yield from sorted(p for p in pathlib.Path(top).rglob("*.[hc]pp"))


def listed():
    """Yields (source, list file, line) for every .cpp that a CMakeLists.txt names."""
    for top in TOPS:
        for cmake in sorted(pathlib.Path(top).rglob("CMakeLists.txt")):
            for number, line in enumerate(cmake.read_text(encoding="utf-8").splitlines(), 1):
                line = line.split("#")[0].replace("${CMAKE_CURRENT_SOURCE_DIR}/", "")
                line = line.replace("${PROJECT_SOURCE_DIR}/", os.path.relpath(".", cmake.parent) + "/")
                for name in re.findall(r"[\w./+-]+\.cpp\b", line):
                    yield pathlib.Path(os.path.normpath(cmake.parent / name)), cmake, number


def main():
    errors = 0
    names = set()
    for source, cmake, number in listed():
        names.add(source)
        if not source.exists():
            print(f"{cmake}:{number}: {source} does not exist")
            errors += 1
    for source in sources():
        if source.suffix == ".cpp" and source not in names:
            print(f"{source}: no CMakeLists.txt lists it")
            errors += 1
        lines = source.read_bytes().count(b"\n")
        if lines > LONG:
            print(f"{source}: warning: {lines} lines, look for the second idea")
    return 1 if errors else 0


if __name__ == "__main__":
    sys.exit(main())
