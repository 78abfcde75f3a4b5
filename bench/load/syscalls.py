"""Counts a server's system calls with strace while a load runs: slow, so never while measuring."""

import re
import subprocess
import tempfile
import time
from contextlib import contextmanager

ATTACH_SECONDS = 5

KINDS = {
    "read": {"read", "readv", "recvfrom", "recvmsg", "recvmmsg"},
    "write": {"write", "writev", "sendto", "sendmsg", "sendmmsg"},
    "epoll_wait": {"epoll_wait", "epoll_pwait", "epoll_pwait2"},
    "epoll_ctl": {"epoll_ctl"},
    "accept": {"accept", "accept4"},
    "close": {"close", "shutdown"},
    "futex": {"futex"},
    "guard": {"madvise", "mprotect"},  # of a new stack; which of the two, the kernel decides
}


def traced(pid):
    with open(f"/proc/{pid}/status", encoding="ascii", errors="replace") as status:
        return not re.search(r"^TracerPid:\s+0$", status.read(), re.MULTILINE)


@contextmanager
def counting(pids):
    """Yields a dictionary that holds, after the block, how often each system call was made."""
    counts = {}
    with tempfile.NamedTemporaryFile("r", prefix="coir-strace-") as report:
        command = ["strace", "-c", "-f", "-o", report.name]
        for pid in pids:
            command += ["-p", str(pid)]
        strace = subprocess.Popen(command, stderr=subprocess.DEVNULL, start_new_session=True)
        try:
            deadline = time.monotonic() + ATTACH_SECONDS
            while not all(traced(pid) for pid in pids):
                if strace.poll() is not None or time.monotonic() > deadline:
                    raise RuntimeError(
                        "strace cannot attach to the server (is ptrace allowed here?);"
                        " --no-strace does without"
                    )
                time.sleep(0.01)
            yield counts
        finally:
            strace.terminate()  # Upon which it detaches and reports.
            strace.wait()
        for line in report:
            fields = line.split()
            if len(fields) >= 5 and fields[3].isdigit() and fields[-1] != "total":
                counts[fields[-1]] = int(fields[3])


def check_allowed(pids):
    """Raises RuntimeError where counting() would."""
    with counting(pids):
        pass


def per_request(counts, requests):
    """[(kind, calls per request)], and what is in no kind by its own name."""
    rates = {kind: 0.0 for kind in KINDS}
    for name, calls in counts.items():
        kind = next((kind for kind, names in KINDS.items() if name in names), name)
        rates[kind] = rates.get(kind, 0.0) + calls / requests
    return [(kind, rate) for kind, rate in rates.items() if rate > 0]
