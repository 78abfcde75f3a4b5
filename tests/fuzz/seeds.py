#!/usr/bin/env python3
"""What the fuzzers begin with: the wire cases, and what earlier runs have found (corpus/NAME.txt, an input on
each line, escaped as in the wire cases).

seeds.py unpack DIRECTORY       writes all of it below DIRECTORY, a file each, as libFuzzer wants it
seeds.py pack NAME DIRECTORY    makes the files in DIRECTORY the corpus of the fuzzer NAME
"""

import pathlib
import re
import sys

HERE = pathlib.Path(__file__).parent
WIRE = HERE.parent / "http" / "wire"
CORPUS = HERE / "corpus"
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


def escaped(data):
    special = {ord(escape[1]): f"\\{escape[0]}" for escape in SIMPLE.items()}
    line = "".join(
        special.get(byte) or (chr(byte) if 0x20 <= byte < 0x7F and byte != ord("{") else f"\\x{byte:02x}")
        for byte in data
    )
    return line[:-1] + "\\x20" if line.endswith(" ") else line


def wire_cases():
    for page in sorted(WIRE.glob("*.txt")):
        case = b""
        for line in page.read_text().splitlines() + ["==="]:
            if line.startswith("> "):
                case += unescaped(line[2:])
            elif line.startswith("===") and case:
                yield case
                case = b""


def from_wire_cases():
    seeds = {"head": [], "connection": [], "chunks": [], "target": []}
    for number, case in enumerate(wire_cases()):
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
    return seeds


def unpack(root):
    seeds = {f"{name}/wire": found for name, found in from_wire_cases().items()}
    for page in CORPUS.glob("*.txt"):
        seeds[f"{page.stem}/corpus"] = [unescaped(line) for line in page.read_text().split("\n")[:-1]]
    for prefix, inputs in seeds.items():
        (root / prefix).parent.mkdir(parents=True, exist_ok=True)
        for number, data in enumerate(inputs):
            (root / f"{prefix}-{number:03}").write_bytes(data)


def pack(name, directory):
    inputs = {escaped(path.read_bytes()) for path in directory.iterdir()}
    CORPUS.mkdir(exist_ok=True)
    lines = sorted(inputs, key=lambda line: (len(line), line))
    (CORPUS / f"{name}.txt").write_text("".join(line + "\n" for line in lines))


def main(arguments):
    if len(arguments) == 2 and arguments[0] == "unpack":
        unpack(pathlib.Path(arguments[1]))
    elif len(arguments) == 3 and arguments[0] == "pack":
        pack(arguments[1], pathlib.Path(arguments[2]))
    else:
        sys.exit(__doc__.strip())


if __name__ == "__main__":
    main(sys.argv[1:])
