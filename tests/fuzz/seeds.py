#!/usr/bin/env python3
"""Seeds for the fuzzers, made from the wire cases: seeds.py DIRECTORY."""

import pathlib
import re
import sys

WIRE = pathlib.Path(__file__).parent.parent / "http" / "wire"
TOKEN = re.compile(r"\{(\d+)\*([^}]*)\}|\\x([0-9a-fA-F]{2})|\\(.)|(.)", re.DOTALL)
SIMPLE = {"r": "\r", "n": "\n", "t": "\t", "0": "\0", "\\": "\\"}


def unescaped(text):
    out = bytearray()
    for count, repeated, byte, escaped, plain in TOKEN.findall(text):
        if count:
            out += unescaped(repeated) * int(count)
        elif byte:
            out.append(int(byte, 16))
        elif escaped:
            out += SIMPLE.get(escaped, escaped).encode()
        else:
            out += plain.encode()
    return bytes(out)


def inputs():
    for page in sorted(WIRE.glob("*.txt")):
        case = b""
        for line in page.read_text().splitlines() + ["==="]:
            if line.startswith("> "):
                case += unescaped(line[2:])
            elif line.startswith("===") and case:
                yield case
                case = b""


def main():
    root = pathlib.Path(sys.argv[1])
    seeds = {"head": [], "connection": [], "chunks": [], "target": []}
    for number, case in enumerate(inputs()):
        if len(case) > 4096:
            continue
        pieces = bytes([number % 256])  # the last byte says how the rest is cut; see pieces.hpp
        seeds["head"].append(case + pieces)
        seeds["connection"].append(case + pieces)
        if b"chunked\r\n" in case:
            seeds["chunks"].append(case.partition(b"\r\n\r\n")[2] + pieces)
        words = case.split(b"\r\n")[0].split(b" ")
        if len(words) == 3:
            seeds["target"].append(words[1])
    for name, found in seeds.items():
        directory = root / name
        directory.mkdir(parents=True, exist_ok=True)
        for number, seed in enumerate(found):
            (directory / f"wire-{number:03}").write_bytes(seed)


main()
