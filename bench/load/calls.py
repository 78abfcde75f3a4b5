"""Every system call of a server, from strace's full record: which, and on which descriptor."""

import os
import re
import subprocess
import tempfile
import time
from collections import Counter
from contextlib import contextmanager

from script import CannotRunHere
from syscalls import ATTACH_SECONDS, KINDS, traced

_STAMPED = re.compile(r"^(\d+) +(\d+\.\d+) (.*)$")
_CALL = re.compile(r"^(\d+) +(\w+)\((\d*)")
_WAIT = r"^(\d+) +(?:epoll_p?wait2?\(|<\.\.\. epoll_p?wait2? resumed)"
_POLL = re.compile(_WAIT)
# SIGSTOP ends a wait; so the client has made this one, not the server.
_ENDED_BY_STOP = re.compile(_WAIT + r".* EINTR ")
_FOUND = re.compile(_WAIT + r".* = (\d+)$")
# A look for events while fibers are ready: after so many of them, which repeats, and at each tick
# of the clock, which does not. It finds nothing here.
_LOOK = re.compile(_WAIT + r".*, 0\) += 0$")
# Memory that goes back to the kernel: when it has not been needed for some time, or after a burst.
_PURGE = re.compile(r"^\d+ +madvise\(.* MADV_DONTNEED\b")
_WAITS_FOR_SIGNALS = "rt_sigtimedwait"  # the main thread, which SIGSTOP wakes as well
_SETS_ALARM = "timerfd_settime"
_KIND_OF = {name: kind for kind, names in KINDS.items() for name in names}

_CLOCK_MONOTONIC_COARSE = 6  # in <linux/time.h>; Python's time module does not name it
# After the wait before it. The clock is asked between two fibers, which may be late for one look and in time for
# the next: then they are less than a tick apart, but not half of one.
EARLY_SECONDS = time.clock_getres(_CLOCK_MONOTONIC_COARSE) / 2


class CannotTrace(CannotRunHere):
    pass


class Counts(Counter):
    """Calls by their kinds, and in how many seconds."""

    seconds = 0.0


class Trace:
    def __init__(self, pid, path):
        self._path = path
        fds = os.listdir(f"/proc/{pid}/fd")
        self._event_fds = {int(fd) for fd in fds if "eventfd" in _target(pid, fd)}
        self._alarm_fds = {int(fd) for fd in fds if "timerfd" in _target(pid, fd)}

    def here(self):
        """A mark between calls, if the server sleeps: strace writes each line out at once."""
        return os.path.getsize(self._path)

    def between(self, begin, end):
        """How many calls of each kind; waking another thread is the kind `wake`, an epoll_wait that
        neither waits nor finds anything is the kind `look`, what sets an alarm or comes of its
        ringing is the kind `alarm`, and giving memory back the kind `purge`. Of the looks, those that
        no tick has brought are counted once more, as the kind `early look`."""
        counts = Counts()
        stamps = []
        polled = {}  # when each thread has done so last
        found = {}  # by each thread's last wait
        with open(self._path, "rb") as file:
            file.seek(begin)
            for line in file.read(end - begin).decode(errors="replace").splitlines():
                # A mark may lie in the middle of a wait, so the first line may be the end of one.
                if stamped := _STAMPED.match(line):
                    thread, stamp, call = stamped.groups()
                    stamps.append(float(stamp))
                    line = f"{thread} {call}"
                if _ENDED_BY_STOP.search(line):
                    counts["epoll_wait"] -= 1
                if _LOOK.search(line):
                    counts["epoll_wait"] -= 1
                    counts["look"] += 1
                    counts["early look"] += float(stamp) - polled.get(thread, 0) < EARLY_SECONDS
                if _POLL.search(line):
                    polled[thread] = float(stamp)
                if wait := _FOUND.search(line):
                    found[wait[1]] = int(wait[2])
                if _PURGE.search(line):
                    counts["purge"] += 1
                elif (call := _CALL.search(line)) and call[2] != _WAITS_FOR_SIGNALS:
                    kind = self._kind(call[2], call[3])
                    counts[kind] += 1
                    if kind == "alarm" and call[2] != _SETS_ALARM and found.get(call[1]) == 1:
                        counts["epoll_wait"] -= 1  # which only the alarm has ended
                        counts["alarm"] += 1
        counts.seconds = stamps[-1] - stamps[0] if stamps else 0.0
        return counts

    def sum(self, marks):
        """All calls between the first and the last mark. Each round between two of them is taken to
        have as many looks as that with the fewest: the clock has ticked in the others."""
        counts = self.between(marks[0], marks[-1])
        rounds = [self.between(*ends) for ends in zip(marks, marks[1:])]
        for kind in ("look", "early look"):
            counts[kind] = min(of[kind] for of in rounds) * len(rounds)
        return counts

    def _kind(self, name, fd):
        if name == _SETS_ALARM or (name == "read" and fd and int(fd) in self._alarm_fds):
            return "alarm"
        kind = _KIND_OF.get(name, name)
        if fd and int(fd) in self._event_fds and kind in ("read", "write"):
            return "wake" if kind == "write" else "woken"
        return kind


def _target(pid, fd):
    try:
        return os.readlink(f"/proc/{pid}/fd/{fd}")
    except OSError:
        return ""


@contextmanager
def tracing(pid):
    """Yields a Trace of the process and all its threads."""
    with tempfile.NamedTemporaryFile("r", prefix="coir-strace-") as record:
        command = ["strace", "-f", "-ttt", "-qq", "-s", "0", "-e", "signal=none"]
        command += ["-o", record.name, "-p", str(pid)]
        strace = subprocess.Popen(
            command, stderr=subprocess.PIPE, text=True, start_new_session=True
        )
        try:
            deadline = time.monotonic() + ATTACH_SECONDS
            tasks = os.listdir(f"/proc/{pid}/task")
            while not all(traced(task) for task in tasks):
                if strace.poll() is not None:
                    raise CannotTrace(f"strace cannot attach: {strace.stderr.read().strip()}")
                if time.monotonic() > deadline:
                    raise CannotTrace("strace does not attach")
                time.sleep(0.01)
            yield Trace(pid, record.name)
        finally:
            strace.terminate()  # Upon which it detaches.
            strace.communicate()
