#!/usr/bin/env python3
"""The tests that the tables in docs/ name must exist: [Suite.Test](../tests/file_test.cpp), and
[wire case](../tests/http/wire/file.txt)."""

import pathlib
import re
import sys

LINK = re.compile(r"\[([^\]]+)\]\((\.\./tests/[^)]+_test\.cpp|\.\./tests/http/wire/[^)]+)\)")
TEST = re.compile(r"\bTEST(?:_F|_P)?\(\s*(\w+),\s*(\w+)\)")
WIRE_CASE = re.compile(r"^=== (.+)$", re.MULTILINE)


def names_in(source):
    if not source.is_file():
        return set()
    text = source.read_text()
    if source.suffix == ".txt":
        return set(WIRE_CASE.findall(text))
    return {f"{suite}.{name}" for suite, name in TEST.findall(text)}


def main():
    failures = 0
    for page in sorted(pathlib.Path("docs").glob("*.md")):
        for number, line in enumerate(page.read_text().splitlines(), 1):
            for name, target in LINK.findall(line):
                if name not in names_in((page.parent / target).resolve()):
                    print(f"{page}:{number}: {target} has no test {name}")
                    failures += 1
    return failures != 0


sys.exit(main())
