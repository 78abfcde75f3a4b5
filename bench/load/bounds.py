"""What is known of the counts (counts.json), and how far what was counted now is from it."""

import json
import os

PATH = os.path.join(os.path.dirname(os.path.abspath(__file__)), "counts.json")
TOLERANCE = 0.03
NEGLIGIBLE = 0.0005  # of a call per request
# Calls that come with time, so how many there are hangs on how slow the machine is.
BY_THE_SECOND = ("alarm", "purge")
BY_THE_CLOCK = ("look", "early look", *BY_THE_SECOND)
ANY_BUILD = "any build"  # system calls do not depend on what the program was built from


def _difference(now, known):
    if abs(now - known) <= max(TOLERANCE * known, NEGLIGIBLE):
        return []
    return [f"DIFFERS by {now / known - 1:+.1%}" if known else "DIFFERS: new"]


def _committed(name, now):
    """Others have limits at most: a few more or less of them are chance."""
    chance = tuple(f"/{kind}" for kind in BY_THE_CLOCK)
    return not name.endswith((*chance, "per 1000", "per s")) and now >= NEGLIGIBLE


class Bounds:
    def __init__(self, path=PATH):
        self._path = path
        with open(path, encoding="utf-8") as file:
            self._all = json.load(file)

    def _known(self, name, key):
        return self._all["figures"].get(key if name.startswith("instructions") else ANY_BUILD, {})

    def report(self, figures, parts, key):
        """Prints all; returns whether every figure is as known and within its limit."""
        limits = self._all["limits"]
        if key and key not in self._all["figures"]:
            print(f"No instructions are known of a build like this one ({key}): only limits hold.")
        print(f"{'per request':44}{'counted':>10}{'known':>10}{'limit':>8}")
        good = True
        for name in [*figures, *self._gone(figures, key)]:
            now, value = figures.get(name, 0), self._known(name, key).get(name)
            verdicts = []
            if self._known(name, key) and _committed(name, max(now, value or 0)):
                verdicts += _difference(now, value or 0)
            if now > limits.get(name, now):
                verdicts.append("OVER THE LIMIT")
            good = good and not verdicts
            line = f"{name:44}{_text(now)}{_text(value)}{_text(limits.get(name), 8)}"
            print("  ".join((line, *verdicts)))
            if shares := parts.get(name.removeprefix("instructions/")):
                print("    " + ", ".join(f"{part} {count:,.0f}" for part, count in shares.items()))
        if not good:
            print(
                "Different from what is known. If that is meant, also if it is less, write it down:"
                " bench/load/counts --write"
            )
        return good

    def _gone(self, figures, key):
        """What is known of the same kind of figure, but was not counted now."""
        kinds = {name.split("/")[0] for name in figures}
        known = {name for kind in kinds for name in self._known(kind, key)}
        return sorted(name for name in known - figures.keys() if name.split("/")[0] in kinds)

    def write(self, figures, key):
        for kind, of in (("calls", ANY_BUILD), ("instructions", key)):
            values = {
                name: _rounded(now)
                for name, now in figures.items()
                if name.startswith(kind) and _committed(name, now)
            }
            if values and of:
                self._all["figures"][of] = values
        with open(self._path, "w", encoding="utf-8") as file:
            json.dump(self._all, file, indent=2)
            file.write("\n")


def _rounded(value):
    return round(value, 4 if value < 100 else 0)


def _text(value, width=10):
    if value is None:
        return " " * (width - 1) + "-"
    return f"{value:>{width},.{4 if value < 100 else 0}f}"
