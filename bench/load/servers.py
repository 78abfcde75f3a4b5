"""Starts servers pinned to CPUs, reads what CPU time they have used, and ends them by their id."""

import glob
import os
import resource
import socket
import subprocess
import tempfile
import time
from dataclasses import dataclass

REPOSITORY = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
HOST = "127.0.0.1"
START_SECONDS = 10
STOP_SECONDS = 15  # coir-server has patience for 10


@dataclass
class CpuTime:
    """What a server has used since it started."""

    seconds: float  # user and kernel, exact to the nanosecond
    user_ticks: int  # sampled at the kernel's tick: good for a share over many rounds, not for one
    system_ticks: int

    def since(self, earlier):
        return CpuTime(
            self.seconds - earlier.seconds,
            self.user_ticks - earlier.user_ticks,
            self.system_ticks - earlier.system_ticks,
        )

    def user_share(self):
        ticks = self.user_ticks + self.system_ticks
        return self.user_ticks / ticks if ticks else 0.0


def built(name):
    """The newest program of that name in the repository's build directories, but for those that train and those of
    patched sources. The floor is that of the newest server's build, so that both are built alike."""
    root = os.path.join(REPOSITORY, "build*")
    if name == "coir-floor" and (server := built("coir-server")):
        root = os.path.dirname(os.path.dirname(server))
    found = glob.glob(os.path.join(root, "**", name), recursive=True)
    build = os.path.join(REPOSITORY, "build")
    others = tuple(os.path.join(build, it, "") for it in ("train", "ablation", "ticks"))
    found = (path for path in found if os.path.isfile(path) and not path.startswith(others))
    return max(found, key=os.path.getmtime, default=None)


def free_port():
    with socket.socket() as probe:
        probe.bind((HOST, 0))
        return probe.getsockname()[1]


def share_cpus(workers):
    """The first CPUs that we may use serve, the others load; on too small a machine all load."""
    usable = sorted(os.sched_getaffinity(0))
    serving, loading = usable[:workers], usable[workers:]
    if not loading:
        print(
            "No CPU is left for the load: it shares the servers', and the figures are worth little."
        )
        loading = usable
    elif any(not siblings_of(cpu).isdisjoint(loading) for cpu in serving):
        print(
            "Some of the load's CPUs are the other threads of cores that serve: it takes from the servers what they"
            " share, and a client that spins takes it all the time."
        )
    return serving, loading


def siblings_of(cpu):
    """The CPUs of its core, as far as the kernel says."""
    siblings = set()
    try:
        with open(
            f"/sys/devices/system/cpu/cpu{cpu}/topology/thread_siblings_list", encoding="ascii"
        ) as file:
            for part in file.read().strip().split(","):
                first, _, last = part.partition("-")
                siblings.update(range(int(first), int(last or first) + 1))
    except OSError:
        pass
    return siblings - {cpu}


def busy_seconds(cpus):
    """What all programs together have used of these CPUs."""
    wanted = {f"cpu{cpu}" for cpu in cpus}
    ticks = 0
    with open("/proc/stat", encoding="ascii") as stat:
        for line in stat:
            name, *fields = line.split()
            if name in wanted:
                user, nice, system, _idle, _iowait, irq, softirq = map(int, fields[:7])
                ticks += user + nice + system + irq + softirq
    return ticks / os.sysconf("SC_CLK_TCK")


def cpu_seconds_of_children():
    """What the commands have used that this script has run and that have ended."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def commands(program, workers, port, arguments=()):
    """A floor has one thread, so it takes as many processes as coir-server takes workers."""
    command = [program, "--host", HOST, "--port", str(port)]
    if os.path.basename(program).startswith("coir-floor"):
        return [command] * workers
    return [[*command, "--workers", str(workers), *arguments]]


class Server:
    """One contender: one process, or several that share a port. Ends with its `with` block."""

    def __init__(
        self, name, program, workers, cpus, arguments=(), under=(), start_seconds=START_SECONDS
    ):
        """`under` is a command that runs the program, such as valgrind and its options."""
        self.name = name
        self.cpus = frozenset(cpus)
        self._start_seconds = start_seconds
        self.port = free_port()
        self.processes = []
        self._log = tempfile.TemporaryFile("w+")
        try:
            for index, command in enumerate(commands(program, workers, self.port, arguments)):
                self._start(["taskset", "-c", ",".join(map(str, cpus)), *under, *command])
                self._wait_until_listening(index + 1)
        except BaseException:
            self.stop()
            raise

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.stop()

    @property
    def pids(self):
        return [process.pid for process in self.processes]

    def cpu_time(self):
        # Another process's CPU clock, as clock_getcpuclockid(3) makes it: unlike schedstat in /proc
        # it includes the slice that is running now, and threads that have ended. setpriv and taskset exec,
        # so the id is the server's own.
        seconds = sum(time.clock_gettime((~pid << 3) | 2) for pid in self.pids)
        user = system = 0
        for pid in self.pids:
            with open(f"/proc/{pid}/stat", encoding="ascii", errors="replace") as stat:
                fields = stat.read().rsplit(")", 1)[1].split()
            user += int(fields[11])
            system += int(fields[12])
        return CpuTime(seconds, user, system)

    def log(self):
        """What the processes have said so far."""
        size = os.fstat(self._log.fileno()).st_size
        return os.pread(self._log.fileno(), size, 0).decode(errors="replace")

    def stop(self):
        """Ends the processes, and returns their exit statuses; those that had to be killed are not 0."""
        for process in self.processes:
            process.terminate()
        for process in self.processes:
            try:
                process.wait(STOP_SECONDS)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
        statuses = [process.returncode for process in self.processes]
        self.processes = []
        self._log.close()
        return statuses

    def _start(self, command):
        # A session of its own: Ctrl-C reaches only the script, which then stops its servers. If the script is killed,
        # they are as well.
        self.processes.append(
            subprocess.Popen(
                ["setpriv", "--pdeathsig", "KILL", *command],
                stdin=subprocess.DEVNULL,
                stdout=self._log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        )

    def _wait_until_listening(self, count):
        deadline = time.monotonic() + self._start_seconds
        while True:
            text = self.log()
            if text.count("listening") >= count:
                return
            ended = self.processes[-1].poll() is not None
            if ended or time.monotonic() > deadline:
                trouble = "ended" if ended else f"was not listening after {self._start_seconds} s"
                raise RuntimeError(f"{self.name} {trouble}; it said:\n{text}")
            time.sleep(0.01)
