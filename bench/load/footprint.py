"""What a process holds as the kernel counts it: memory, page tables, descriptors."""

import os
import re
import time
from dataclasses import dataclass


@dataclass
class Memory:
    resident: int  # bytes
    page_tables: int

    def since(self, earlier):
        return Memory(self.resident - earlier.resident, self.page_tables - earlier.page_tables)

    @property
    def total(self):
        return self.resident + self.page_tables


def _kilobytes(path, name):
    with open(path, encoding="ascii", errors="replace") as file:
        return int(re.search(rf"^{name}:\s+(\d+) kB$", file.read(), re.MULTILINE)[1]) * 1024


def memory(pid):
    # VmRSS in /proc/PID/status lags behind by some pages for each thread; this is counted anew.
    return Memory(
        _kilobytes(f"/proc/{pid}/smaps_rollup", "Rss"), _kilobytes(f"/proc/{pid}/status", "VmPTE")
    )


def peak_resident(pid):
    """Since the process started; may lag behind by some pages for each thread."""
    return _kilobytes(f"/proc/{pid}/status", "VmHWM")


def open_descriptors(pid):
    return len(os.listdir(f"/proc/{pid}/fd"))


def wait_until(holds, seconds):
    """Whether it came to hold in time."""
    deadline = time.monotonic() + seconds
    while not holds():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.01)
    return True
