"""Instructions in user space, as valgrind's callgrind counts them, of all threads together.

Valgrind translates the program for a processor of its own making, whose features follow the host's,
and libc chooses among its copies by them. So the choice is read from the result: see Profile.libc.
"""

import os
import re
from collections import Counter
from dataclasses import dataclass

from script import Failed

COMMAND = ("valgrind", "--tool=callgrind", "-q", "--compress-strings=no")
_LIBC_COPY = re.compile(r"__(?:mem|str)\w+?_(avx2?|evex|avx512|sse2|sse42|ssse3)_")


class BadProfile(Failed):
    pass


def command(out):
    return (*COMMAND, f"--callgrind-out-file={out}")


@dataclass
class Profile:
    total: int
    by_function: Counter  # (object's file name, function): instructions of its own

    def shares(self):
        """Instructions of llhttp, of libc, of the rest of coir-server, of the other libraries."""
        shares = Counter()
        for (program, function), count in self.by_function.items():
            if program.startswith("coir-server"):
                shares["llhttp" if function.startswith("llhttp_") else "coir"] += count
            elif re.match(r"libc[.-]", program):
                shares["libc"] += count
            else:
                shares["other"] += count
        return shares

    def libc(self):
        """Which copies libc has chosen: avx2, sse2 and the like."""
        marks = (
            _LIBC_COPY.match(function)
            for program, function in self.by_function
            if program.startswith("libc.")
        )
        return "+".join(sorted({mark[1] for mark in marks if mark})) or "plain"


def read(path):
    """What each function has executed itself; raises BadProfile if the sum is not the total."""
    if not os.path.exists(path) or not os.path.getsize(path):
        raise BadProfile("callgrind has written nothing")
    own = Counter()
    total = None
    program = function = ""
    of_callee = False
    with open(path, encoding="utf-8", errors="replace") as file:
        for line in file:
            if line.startswith("ob="):
                program = os.path.basename(line[3:].strip())
            elif line.startswith("fn="):
                function = line[3:].strip()
            elif line.startswith("calls="):
                of_callee = True  # the next line is what the callee took
            elif line.startswith("totals:"):
                total = int(line.split()[1])
            elif re.match(r"[0-9+*-]", line):
                if not of_callee:
                    own[program, function] += int(line.split()[1])
                of_callee = False
    if not total or sum(own.values()) != total:
        raise BadProfile(f"functions executed {sum(own.values())} of {total} instructions")
    return Profile(total, own)


def per_request(few, many, requests):
    """(instructions per request, {part: of them}): what start-up and end took cancels out."""
    before, after = few.shares(), many.shares()
    parts = {part: (after[part] - before[part]) / requests for part in sorted(after)}
    return (many.total - few.total) / requests, parts
