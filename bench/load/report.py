"""Turns rounds into the lines that a person reads."""

from dataclasses import asdict, dataclass
from statistics import median

import spread

DISTURBED_SHARE = 0.05


@dataclass
class Round:
    """One contender under load once."""

    server: str
    requests: int
    seconds: float
    cpu_seconds: float
    user_share: float
    others_share: float  # of the serving CPUs' time, used by somebody else
    connections: int

    @property
    def rate(self):
        return self.requests / self.seconds

    @property
    def cpu_microseconds(self):
        return self.cpu_seconds * 1e6 / self.requests

    @property
    def disturbed(self):
        return self.others_share > DISTURBED_SHARE

    @property
    def user_microseconds(self):
        return self.cpu_microseconds * self.user_share

    def as_dict(self):
        return asdict(self) | {
            "requests_per_second": self.rate,
            "cpu_microseconds_per_request": self.cpu_microseconds,
            "user_microseconds_per_request": self.user_microseconds,
        }


def print_heading(title):
    print(f"\n{title}")
    print("round  server       requests/s   CPU us/request     user us   busy   others", flush=True)


def print_round(number, measured, cpus):
    busy = measured.cpu_seconds / measured.seconds / cpus
    disturbed = "  disturbed" if measured.disturbed else ""
    print(
        f"{number:5}  {measured.server:8} {measured.rate:14,.0f} {measured.cpu_microseconds:16.4f}"
        f" {measured.user_microseconds:11.4f} {busy:6.0%} {measured.others_share:8.1%}{disturbed}",
        flush=True,
    )


def ratios(ours, yardstick):
    """Per round: ours by the yardstick's, of CPU per request and of requests per second."""
    return {
        "cpu": [a.cpu_microseconds / b.cpu_microseconds for a, b in zip(ours, yardstick)],
        "rate": [a.rate / b.rate for a, b in zip(ours, yardstick)],
    }


def print_ratios(ours, yardstick):
    latest = {name: values[-1] for name, values in ratios(ours[-1:], yardstick[-1:]).items()}
    print(f"       ratio    {latest['rate']:14.3f} {latest['cpu']:16.3f}", flush=True)


def print_summary(profile, rounds, aim):
    """`rounds`: {server: [Round]}, ours first and the yardstick second. True if `aim` is certainly missed."""
    (our_name, ours), (yardstick_name, yardstick) = rounds.items()
    disturbed = sum(measured.disturbed for measured in ours + yardstick)
    print(
        f"\n{profile}, {len(ours)} rounds: {spread.HEADING};"
        f" {disturbed} of {2 * len(ours)} measurements disturbed"
    )
    for server, measured in rounds.items():
        print(
            f"  {server:6} CPU us/request {spread.text([m.cpu_microseconds for m in measured], '.4f')}"
            f"   user {median(m.user_microseconds for m in measured):.4f}"
            f"   requests/s {median(m.rate for m in measured):,.0f}"
        )
    found = ratios(ours, yardstick)
    title = f"  {our_name}/{yardstick_name}: "
    print(f"{title}CPU per request {spread.text(found['cpu'], '.3f')}")
    quiet = [(a, b) for a, b in zip(ours, yardstick) if not (a.disturbed or b.disturbed)]
    if quiet and len(quiet) < len(ours):
        found_quiet = ratios(*zip(*quiet))["cpu"]
        print(f"{title}the same of {len(quiet)} rounds without others {spread.text(found_quiet, '.3f')}")
    print(f"{title}requests per second {spread.text(found['rate'], '.3f')}", flush=True)
    if aim is None:
        return False
    verdict = spread.verdict(found["cpu"], aim)
    print(f"{title}at most {aim:g}: {verdict}", flush=True)
    return verdict == "missed"


def print_syscalls(server, requests, rates):
    text = ", ".join(f"{kind} {rate:.4f}" for kind, rate in rates)
    print(f"  {server:6} system calls per request over {requests:,} requests: {text}", flush=True)
