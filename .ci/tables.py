#!/usr/bin/env python3
"""The tests that the tables in docs/ name must exist: [Suite.Test](../tests/file.cpp)."""

import pathlib
import re
import sys

LINK = re.compile(r"\[(\w+)\.(\w+)\]\((\.\./tests/[^)]+)\)")
TEST = re.compile(r"\bTEST(?:_F|_P)?\(\s*(\w+),\s*(\w+)\)")


def main():
    failures = 0
    for page in sorted(pathlib.Path("docs").glob("*.md")):
        for number, line in enumerate(page.read_text().splitlines(), 1):
            for suite, name, target in LINK.findall(line):
                source = (page.parent / target).resolve()
                tests = set(TEST.findall(source.read_text())) if source.is_file() else set()
                if (suite, name) not in tests:
                    print(f"{page}:{number}: {target} has no test {suite}.{name}")
                    failures += 1
    return failures != 0


sys.exit(main())
