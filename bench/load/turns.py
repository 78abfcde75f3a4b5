"""Several servers measured in turns: what compare and ticks share.

Each round measures all of them in another order, on the first CPU, with coir-steady on the second. It starts all
of them anew: where a process comes to lie in memory is good for a tenth of its user time, for as long as it runs.
"""

import argparse
import random
from contextlib import ExitStack

import answers
import loads
import script
from servers import Server, built, share_cpus

WARM_UP_SECONDS = 0.1


def parser(doc, rounds, milliseconds):
    made = argparse.ArgumentParser(
        description=doc, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    made.add_argument("servers", nargs="+", metavar="NAME=PROGRAM")
    made.add_argument("--steady", default=built("coir-steady"), help="the client")
    made.add_argument("--profile", choices=("baseline", "pipelined"), default="baseline")
    made.add_argument("--connections", type=int, default=64)
    made.add_argument("--rounds", type=int, default=rounds)
    made.add_argument(
        "--milliseconds", type=int, default=milliseconds, help="length of a round"
    )
    made.add_argument(
        "--client-sleeps", action="store_true", help="when it has nothing to do, instead of spinning"
    )
    made.add_argument("--json", metavar="FILE", help="keep the raw results here")
    return made


def parse(made):
    options = made.parse_args()
    if not all("=" in server for server in options.servers):
        made.error("servers are given as NAME=PROGRAM")
    if min(options.connections, options.milliseconds) < 1 or options.rounds < 2:
        made.error("connections and milliseconds are at least 1, rounds 2")
    script.require_programs(made, options, "steady")
    return options


class Contender:
    def __init__(self, name, program, profile, serving):
        self.name = name
        self.server = None  # of the round
        self.values = []  # what take() says of each round
        self._program = program
        self._serving = serving
        with self._start() as server:
            self._answer_bytes = answers.check(server.port)[profile]

    def _start(self):
        return Server(self.name, self._program, 1, self._serving)

    def start(self, stack):
        self.server = stack.enter_context(self._start())

    def load(self, options, cpus):
        return loads.run_steady(
            options.steady,
            options.profile,
            self.server,
            seconds=options.milliseconds / 1000,
            warm_up_seconds=WARM_UP_SECONDS,
            connections=options.connections,
            cpus=cpus,
            answer_bytes=self._answer_bytes,
            may_spin=not options.client_sleeps,
        )


def measure(options, take):
    """All rounds. take(contender, load) calls load(), and returns what it has measured, a dictionary."""
    serving, loading = share_cpus(1)
    results = {"machine": script.machine(), "options": vars(options), "values": {}}
    print(results["machine"])
    contenders = []
    for given in options.servers:
        name, program = given.split("=", 1)
        contenders.append(Contender(name, program, options.profile, serving))
        print(f"{name}: {program}, answers checked", flush=True)
    for _ in range(options.rounds):
        with ExitStack() as stack:
            for contender in contenders:
                contender.start(stack)
            for contender in random.sample(contenders, len(contenders)):
                contender.values.append(
                    take(contender, lambda: contender.load(options, loading[:1]))
                )
        results["values"] = {each.name: each.values for each in contenders}
        script.keep(options.json, results)
    return contenders
