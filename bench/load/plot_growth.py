#!/usr/bin/env python3
"""Draws what bench/load/growth has measured: plot_growth.py RESULTS.json PLOT.svg. Needs gnuplot.

Exit status: 0 drawn, 1 something went wrong, 77 there is no gnuplot."""

import argparse
import json
import shutil
import subprocess
import sys
from statistics import median

COLORS = {"coir": "#0b62a4", "floor": "#c2571a"}
TITLES = {"baseline": "baseline", "pipelined": "pipelined, bursts of 16"}
AXES = {"connections": "connections, one worker", "workers": "workers"}
SECONDS = 60


class NoGnuplot(Exception):
    pass


def draw(results, path):
    """One row for each profile: by connections, by workers."""
    if not shutil.which("gnuplot"):
        raise NoGnuplot("no plot: there is no gnuplot (Debian: gnuplot-nox)")
    profiles = list(dict.fromkeys(point["profile"] for point in results["connections"]))
    script = [
        # Its own background, for pages may be dark.
        f'set terminal svg size 1000,{60 + 330 * len(profiles)} background rgb "white"'
        ' noenhanced font "sans-serif,14"',
        f'set output "{quoted(path)}"',
        f'set multiplot layout {len(profiles)},2 title "{quoted(title(results))}"',
        "set logscale x 2",
        "set grid ytics",
        "set key top left",
        "set yrange [0:*]",
        "set offsets graph 0.05, graph 0.05, graph 0.25, 0",
        'set ylabel "CPU per request, µs"',
    ]
    for profile in profiles:
        for axis, label in AXES.items():
            points = [point for point in results[axis] if point["profile"] == profile]
            script += panel(profile, axis, label, points)
    script.append("unset multiplot")
    done = subprocess.run(
        ["gnuplot"],
        input="\n".join(script),
        capture_output=True,
        text=True,
        timeout=SECONDS,
        check=False,
    )
    if done.returncode != 0:
        raise RuntimeError(f"gnuplot: {done.stderr}")


def title(results):
    options = results["options"]
    return (
        f"{results['machine']}; median and range of {options['rounds']} rounds"
        f" of {options['seconds']:g} s"
    )


def quoted(text):
    return text.replace("\\", "\\\\").replace('"', '\\"')


def panel(profile, axis, label, points):
    if axis == "workers":
        label += f", {points[0]['connections']} connections"
    script = [
        f'set title "{TITLES[profile]}"',
        f'set xlabel "{label}"',
        "set xtics (" + ", ".join(f'"{p[axis]:,}" {p[axis]}' for p in points) + ")",
    ]
    for name in COLORS:
        script.append(f"${name} << END")
        for point in points:
            values = [each["cpu_microseconds_per_request"] for each in point["rounds"][name]]
            script.append(f"{point[axis]} {median(values)} {min(values)} {max(values)}")
        script.append("END")
    curves = [
        f'${name} with yerrorlines title "coir-{"server" if name == "coir" else name}"'
        f' linecolor rgb "{color}" linewidth 2 pointtype 7 pointsize 0.5'
        for name, color in COLORS.items()
    ]
    return script + ["plot " + ", ".join(curves)]


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("results", help="what growth wrote with --json")
    parser.add_argument("svg")
    options = parser.parse_args()
    with open(options.results, encoding="utf-8") as file:
        draw(json.load(file), options.svg)


if __name__ == "__main__":
    try:
        main()
    except NoGnuplot as reason:
        print(reason, file=sys.stderr)
        sys.exit(77)
    except (RuntimeError, OSError, ValueError, KeyError) as error:
        sys.exit(f"bench/load/plot_growth.py: {error!r}")
