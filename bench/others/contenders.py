"""Builds and runs the programs that answer: coir-bench, and those for Go and May where these can be built."""

import json
import os
import re
import shutil
import subprocess

import script

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.dirname(os.path.dirname(HERE))
BUILD = os.path.join(ROOT, "build", "others")
BUILD_LIMIT_S = 600


class Failed(script.Failed):
    """A program has failed, hung, or answered wrongly."""


class NotHere(Exception):
    """Why somebody is left out."""


def built(program):
    """The newest program of that name below build*/, if possible of a release, or None."""
    found = []
    for entry in os.scandir(ROOT):
        if entry.is_dir() and entry.name.startswith("build"):
            for folder, _, files in os.walk(entry.path):
                if program in files:
                    found.append(os.path.join(folder, program))
    return max(
        found, key=lambda path: ("/release/" in path, os.path.getmtime(path)), default=None
    )


def _run(command, seconds, cpus):
    limit = 30 + 20 * seconds  # each tries shorter ones first
    try:
        done = subprocess.run(
            command,
            preexec_fn=lambda: os.sched_setaffinity(0, cpus),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=limit,
            check=False,
        )
    except subprocess.TimeoutExpired as error:
        raise Failed(f"{' '.join(command)} did not end within {limit:.0f} s") from error
    if done.returncode != 0:
        wrong = re.search(r'"error_message": "(.*)"', done.stdout)
        why = wrong.group(1) if wrong else done.stderr.strip()
        raise Failed(f"{' '.join(command)} ended with {done.returncode}: {why}")
    return done.stdout


class CoirBench:
    """One column of coir-bench: coir's own answers, or those of a yardstick."""

    is_ours = True

    def __init__(self, title, program, pick, version):
        self.title = title
        self.program = program
        self.pick = pick
        self.version = version

    def name_of(self, question):
        return self.pick(question)

    def measure(self, name, seconds, cpus):
        output = _run(
            [
                self.program,
                f"--benchmark_filter=^{re.escape(name)}(/real_time)?$",
                f"--benchmark_min_time={seconds}",
                "--benchmark_format=json",
            ],
            seconds,
            cpus,
        )
        try:
            (found,) = json.loads(output)["benchmarks"]
            rate = found["items_per_second"]
        except (ValueError, KeyError) as error:
            raise Failed(f"{self.program} gave no single answer to {name}") from error
        result = {"name": found["name"], "iterations": found["iterations"], "ns": 1e9 / rate}
        return result | ({"rival": found["rival"]} if "rival" in found else {})


class Program:
    """A program of ours in another language; it prints one JSON line."""

    is_ours = False  # what it measures is not

    def __init__(self, title, version, listing, command):
        self.title = title
        self.version = version
        self.command = command
        self.names = set(_run(listing, 0, os.sched_getaffinity(0)).split())

    def name_of(self, question):
        return question.name if question.name in self.names else ""

    def measure(self, name, seconds, cpus):
        try:
            found = json.loads(_run(self.command(name, seconds), seconds, cpus))
        except ValueError as error:
            raise Failed(f"{self.title} gave no answer to {name}") from error
        if found["name"] != name or found["operations"] < 1 or found["ns"] <= 0:
            raise Failed(f"{self.title} answered another question than {name}: {found}")
        return found


def _call(command, folder):
    """Runs a step of a build; why it failed, or nothing."""
    try:
        done = subprocess.run(
            command,
            cwd=folder,
            env=os.environ | {"GOTOOLCHAIN": "local"},  # the one that is here, or none
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=BUILD_LIMIT_S,
            check=False,
        )
    except subprocess.TimeoutExpired:
        return f"did not end within {BUILD_LIMIT_S} s"
    return done.stderr.strip() or "failed" if done.returncode != 0 else ""


def _build(command, needs, folder):
    """`needs` succeeds where the build must: if that fails nevertheless, the program is broken."""
    if shutil.which(command[0]) is None:
        raise NotHere(f"there is no {command[0]} here")
    if why := _call(needs, folder):
        raise NotHere(f"{' '.join(needs)}: {why.splitlines()[-1]}")
    if why := _call(command, folder):
        raise Failed(f"{' '.join(command)}: {why}")


def _go():
    program = os.path.join(BUILD, "go-bench")
    folder = os.path.join(HERE, "go")
    _build(["go", "build", "-o", program, "."], ["go", "list", "."], folder)
    version = subprocess.run(["go", "version"], capture_output=True, text=True, check=True).stdout
    return Program(
        "Go",
        version.strip(),
        [program, "-list"],
        lambda name, seconds: [program, "-seconds", str(seconds), name],
    )


def _may():
    target = os.path.join(BUILD, "may")
    program = os.path.join(target, "release", "may-bench")
    folder = os.path.join(HERE, "may")
    command = ["cargo", "build", "--release", "--offline", "--target-dir", target]
    _build(command, ["cargo", "fetch"], folder)
    with open(os.path.join(folder, "Cargo.toml"), encoding="utf-8") as file:
        version = re.search(r'^may = "=(.*)"$', file.read(), re.MULTILINE).group(1)
    rustc = subprocess.run(["rustc", "--version"], capture_output=True, text=True, check=True).stdout
    return Program(
        "May",
        f"{version}, {rustc.strip()}",
        [program, "list"],
        lambda name, seconds: [program, str(seconds), name],
    )


def prepare(coir_bench, without):
    """Who answers, and {who does not: why}."""
    asked = [
        CoirBench("coir", coir_bench, lambda question: question.name, coir_bench),
        CoirBench("Boost.Fiber", coir_bench, lambda question: question.boost, "of coir-bench"),
        CoirBench("std::thread", coir_bench, lambda question: question.thread, "of coir-bench"),
    ]
    skipped = {}
    os.makedirs(BUILD, exist_ok=True)
    for key, title, make in (("go", "Go", _go), ("may", "May", _may)):
        if key in without:
            skipped[title] = "not wanted"
            continue
        try:
            asked.append(make())
        except NotHere as error:
            skipped[title] = str(error)
    return asked, skipped
