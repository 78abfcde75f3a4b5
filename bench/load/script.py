"""What the scripts that measure have in common: how they end, what they keep, and what machine it was."""

import json
import os
import platform
import re
import signal
import subprocess
import sys

CANNOT_RUN = 77  # exit status, as ctest's SKIP_RETURN_CODE


class CannotRunHere(Exception):
    """Something is missing on this machine."""


class Failed(Exception):
    """A measurement that is worth nothing."""


def run(main):
    """Calls main() and ends the process: by its result, or with a line that says what went wrong."""
    name = os.path.basename(sys.argv[0])
    # As an exception, so that servers are stopped, too.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(f"{name}: terminated"))
    try:
        sys.exit(main())
    except KeyboardInterrupt:
        sys.exit(f"{name}: interrupted")
    except CannotRunHere as reason:
        print(f"{name}: cannot run here: {reason}", file=sys.stderr)
        sys.exit(CANNOT_RUN)
    except (Failed, RuntimeError, OSError) as error:
        sys.exit(f"{name}: {error}")


def require_programs(parser, options, *names):
    """Options that name programs: each must be there."""
    for name in names:
        path = getattr(options, name.replace("-", "_"))
        if not path or not os.access(path, os.X_OK):
            parser.error(f"--{name}: no program at {path}; build it, or give its path")


def keep(path, results):
    """Writes what there is, if `path` is given. Called as a run goes on: an interrupted one keeps what it has."""
    if path:
        with open(f"{path}.new", "w", encoding="utf-8") as file:
            json.dump(results, file, indent=2, default=vars)
        os.replace(f"{path}.new", path)


def machine():
    """Processor, CPUs, kernel, and the sources' commit."""
    with open("/proc/cpuinfo", encoding="utf-8") as info:
        text = info.read()
    # A hypervisor may hide the name, but what the processor is shows in these numbers.
    model = re.search(r"^model name\s*: (.*)$", text, re.MULTILINE)
    numbers = re.findall(r"^(?:cpu family|model|stepping)\s*: (\d+)$", text, re.MULTILINE)[:3]
    processor = f"{model[1]} ({'/'.join(numbers)})" if model else platform.machine()
    return f"{processor}, {os.cpu_count()} CPUs, Linux {platform.release()}, {_commit()}"


def _commit():
    command = ["git", "-C", os.path.dirname(os.path.abspath(__file__)), "describe", "--always", "--dirty"]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=30, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return "commit unknown"
    return f"commit {done.stdout.strip()}" if done.returncode == 0 else "commit unknown"
