"""The load generators: which one makes which profile, and what they say afterwards."""

import os
import re
import shutil
import subprocess
from dataclasses import asdict, dataclass

from script import Failed
from servers import HOST

HERE = os.path.dirname(os.path.abspath(__file__))
PROFILES = ("baseline", "pipelined", "limited")
SCRIPTS = {"baseline": "baseline.lua", "pipelined": "pipeline.lua"}
PIPELINE_DEPTH = 16
STEADY_PATIENCE = 120  # to connect all, 256 at a time


class LoadFailed(Failed):
    pass


@dataclass
class LoadResult:
    requests: int
    bytes: int
    microseconds: int
    connect: int
    read: int
    write: int
    status: int
    timeout: int
    connections: int = 0

    @property
    def errors(self):
        return self.connect + self.read + self.write + self.status + self.timeout

    @property
    def requests_per_second(self):
        return self.requests / self.microseconds * 1e6


@dataclass
class SteadyResult:
    """An interval in which all connections were open from beginning to end."""

    requests: int
    connections: int
    served: int  # connections that were answered in it
    microseconds: int
    cpu_nanoseconds: int  # of the servers
    sleeps: int  # of the client

    @property
    def cpu_microseconds_per_request(self):
        return self.cpu_nanoseconds / 1000 / self.requests

    @property
    def busy(self):
        """CPUs that the servers used."""
        return self.cpu_nanoseconds / 1000 / self.microseconds


def missing_programs(profiles, short_lived, strace):
    programs = {"taskset": "util-linux"}
    if set(profiles) & set(SCRIPTS):
        programs["wrk"] = "wrk"
    if strace:
        programs["strace"] = "strace, or say --no-strace"
    missing = [
        f"{name}: install {package}" for name, package in programs.items() if not shutil.which(name)
    ]
    if "limited" in profiles and not (short_lived and os.access(short_lived, os.X_OK)):
        missing.append(
            "coir-short-lived, the limited profile's client: build it, or give --short-lived"
        )
    return missing


def run_load(profile, port, *, seconds, connections, cpus, short_lived, answer_bytes):
    """One run of load; raises LoadFailed on errors, and if the answers' size is not as checked."""
    pin = ["taskset", "-c", ",".join(map(str, cpus))]
    if profile == "limited":
        command = [short_lived, "--host", HOST, "--port", str(port)]
        command += ["--connections", str(connections), "--seconds", str(seconds)]
    else:
        threads = min(len(cpus), connections)
        command = ["wrk", "-t", str(threads), "-c", str(connections), "-d", f"{seconds}s"]
        command += ["-s", os.path.join(HERE, SCRIPTS[profile]), f"http://{HOST}:{port}/"]
    try:
        done = subprocess.run(
            pin + command, capture_output=True, text=True, timeout=seconds + 30, check=False
        )
    except subprocess.TimeoutExpired as error:
        raise LoadFailed(f"{' '.join(command)} did not end in time") from error
    line = re.search(r"^result (.*)$", done.stdout, re.MULTILINE)
    if done.returncode != 0 or not line:
        raise LoadFailed(f"{' '.join(command)}\n{done.stdout}{done.stderr}")
    pairs = (pair.split("=") for pair in line[1].split())
    result = LoadResult(**{name: int(value) for name, value in pairs})

    # wrk's own words as well: it is the one that saw the answers.
    complaint = re.search(r"Socket errors.*|Non-2xx.*", done.stdout)
    if result.errors or complaint or not result.requests:
        raise LoadFailed(f"the load met errors: {complaint[0] if complaint else asdict(result)}")
    # Answers under way when the time is over are counted in bytes but not in requests.
    under_way = connections * (PIPELINE_DEPTH if profile == "pipelined" else 1)
    excess = result.bytes - result.requests * answer_bytes
    if not 0 <= excess <= under_way * answer_bytes:
        raise LoadFailed(
            f"{result.requests} answers of {answer_bytes} bytes came as {result.bytes} bytes"
        )
    return result


def run_steady(
    steady,
    profile,
    server,
    *,
    seconds,
    connections,
    cpus,
    answer_bytes,
    warm_up_seconds=0.5,
    may_spin=True,
):
    """One run of coir-steady, which reads the server's CPU clock itself; raises LoadFailed.

    It sleeps when it has nothing to do where it shares the servers' CPUs, or may not spin."""
    spins = may_spin and server.cpus.isdisjoint(cpus)
    command = ["taskset", "-c", ",".join(map(str, cpus)), steady]
    command += ["--profile", profile, "--host", HOST, "--port", str(server.port)]
    command += ["--connections", str(connections), "--threads", str(min(len(cpus), connections))]
    command += ["--warm-up-ms", str(round(warm_up_seconds * 1000))]
    command += ["--measured-ms", str(round(seconds * 1000)), "--answer-bytes", str(answer_bytes)]
    command += ["--sleep", "0" if spins else "1"]
    for pid in server.pids:
        command += ["--pid", str(pid)]
    try:
        done = subprocess.run(
            command, capture_output=True, text=True, timeout=seconds + STEADY_PATIENCE, check=False
        )
    except subprocess.TimeoutExpired as error:
        raise LoadFailed(f"{' '.join(command)} did not end in time") from error
    line = re.search(r"^result (.*)$", done.stdout, re.MULTILINE)
    if done.returncode != 0 or not line:
        raise LoadFailed(f"{' '.join(command)}\n{done.stdout}{done.stderr}")
    pairs = (pair.split("=") for pair in line[1].split())
    result = SteadyResult(**{name: int(value) for name, value in pairs})
    turns = result.requests / (PIPELINE_DEPTH if profile == "pipelined" else 1)
    # Whoever has had no answer while the others had four each has been forgotten.
    if not result.requests or (result.served < connections and turns >= 4 * connections):
        raise LoadFailed(f"only {result.served} of {connections} connections were answered")
    return result
