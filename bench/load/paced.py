"""Runs coir-paced, the client with a timetable, and reads what it says."""

import re
import subprocess
from dataclasses import dataclass

from loads import LoadFailed
from servers import HOST

# Of the rate that was asked for; the rest is time for the last answers. A server or a client that stalls near the end
# is part of what is measured, and half of the answers know nothing of it; in a queue that grows all answers are late.
LEAST_RATE = 0.9
LONGEST_STALL_SECONDS = 0.25
LEAST_STALL_TO_P50 = 10


@dataclass
class Latency:
    """Of one kind of request, in nanoseconds."""

    count: int
    p50: int
    p90: int
    p99: int
    p999: int
    max: int

    def __str__(self):
        values = (self.p50, self.p90, self.p99, self.p999, self.max)
        return "".join(f"{value / 1000:10.1f}" for value in values)


HEADING = "".join(f"{name:>10}" for name in ("p50 us", "p90", "p99", "p99.9", "max"))


@dataclass
class PacedResult:
    requests: int
    bytes: int
    microseconds: int
    latencies: dict  # {kind: Latency}
    note: str = ""

    @property
    def rate(self):
        return self.requests / self.microseconds * 1e6


def run_paced(
    program, port, *, rate, seconds, connections, answer_bytes, before=(), options=()
):
    """One run at `rate` requests/s, or as many as possible if it is 0.

    `before` stands before the command, to pin it. Raises LoadFailed on errors and wrong answers, and
    if the rate was not kept: then latencies are those of a queue that grows.
    """
    command = [*before, program, "--host", HOST, "--port", str(port), "--rate", str(rate)]
    command += ["--seconds", str(seconds), "--connections", str(connections), *options]
    try:
        done = subprocess.run(
            command, capture_output=True, text=True, timeout=seconds + 30, check=False
        )
    except subprocess.TimeoutExpired as error:
        raise LoadFailed(f"{' '.join(command)} does not end") from error
    line = re.search(r"^result (.*)$", done.stdout, re.MULTILINE)
    if done.returncode != 0 or not line:
        raise LoadFailed(f"{' '.join(command)}\n{done.stdout}{done.stderr}")
    found = {name: int(value) for name, value in _pairs(line[1])}
    errors = sum(found[name] for name in ("connect", "read", "write", "status", "timeout"))
    if errors or not found["requests"] or found["requests"] != found["sent"]:
        raise LoadFailed(f"the load met errors: {found}")
    if found["bytes"] != found["requests"] * answer_bytes:
        raise LoadFailed(f"answers are not of {answer_bytes} bytes each: {found}")
    result = PacedResult(found["requests"], found["bytes"], found["microseconds"], {})
    for text in re.findall(r"^latency (.*)$", done.stdout, re.MULTILINE):
        values = dict(_pairs(text))
        kind = values.pop("kind")
        result.latencies[kind] = Latency(**{name: int(value) for name, value in values.items()})
    late = result.microseconds / 1e6 - seconds
    slow = max(latency.p50 for latency in result.latencies.values()) / 1e9
    if result.rate < rate * LEAST_RATE and LEAST_STALL_TO_P50 * slow < late < LONGEST_STALL_SECONDS:
        result.note = f"   ended {late * 1000:.0f} ms late"
    if found["unsent"] or (result.rate < rate * LEAST_RATE and not result.note):
        raise LoadFailed(f"{rate:,.0f} requests/s were too many: {found}")
    return result


def _pairs(text):
    return (pair.split("=") for pair in text.split())
