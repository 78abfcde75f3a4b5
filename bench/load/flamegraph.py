"""Draws where a program was when perf looked: stacks that begin alike share a rectangle."""

import re
import zlib
from html import escape

WIDTH = 1200
ROW = 17
MARGIN = 10
HEAD = 46
NARROWEST = 0.4  # pixels: what is thinner is left out, with all that stands on it
LETTER = 6.3  # pixels, of the font below
SHADES = {
    "user": ("#f2b872", "#eda95a", "#f6c78d"),
    "kernel": ("#9cbbe3", "#86abdb", "#b3cbea"),
    "all": ("#d9d9d9",) * 3,
}

_FRAME = re.compile(r"^\s+[0-9a-f]+ (.*) \((.*)\)$")
_KERNEL = re.compile(r"^\[(?!vdso\]|unknown\])|\.ko(\.\w+)?$")
_OFFSET = re.compile(r"\+0x[0-9a-f]+$")


class Node:
    def __init__(self, name, kind):
        self.name = name
        self.kind = kind
        self.samples = 0
        self.children = {}

    def child(self, name, kind):
        return self.children.setdefault((name, kind), Node(name, kind))

    def depth(self, least=0):
        """Of those parts that have at least so many samples."""
        of = [child.depth(least) for child in self.children.values() if child.samples >= least]
        return 1 + max(of, default=0)


def fold(script):
    """The tree of what `perf script -F ip,sym,dso` prints: a stack of lines, innermost first."""
    root = Node("all", "all")
    for block in re.split(r"\n\s*\n", script):
        frames = [found for line in block.splitlines() if (found := _FRAME.match(line))]
        if not frames:
            continue
        node = root
        node.samples += 1
        for frame in reversed(frames):
            kind = "kernel" if _KERNEL.search(frame[2]) else "user"
            name = _OFFSET.sub("", frame[1])
            if name == "[unknown]":
                name = f"[unknown in {frame[2].rsplit('/', 1)[-1]}]"
            node = node.child(name, kind)
            node.samples += 1
    return root


def share(root, kind):
    """How much of the time the innermost frame was of that kind."""

    def leaves(node):
        own = node.samples - sum(child.samples for child in node.children.values())
        return (own if node.kind == kind else 0) + sum(map(leaves, node.children.values()))

    return leaves(root) / root.samples


def _without_arguments(name):
    """A C++ name without what stands in brackets, as far as it is not the name itself."""
    name = name.replace("(anonymous namespace)", "{anonymous}").replace("operator()", "operator{}")
    depth, kept = 0, []
    for letter in name:
        depth += letter in "(<"
        if depth == 0:
            kept.append(letter)
        depth -= letter in ")>" and depth > 0
    return "".join(kept) or name


def _label(name, width):
    room = int((width - 4) / LETTER)
    short = _without_arguments(name)
    if room < 3:
        return ""
    return short if len(short) <= room else short[: room - 1] + "…"


def svg(root, title):
    scale = (WIDTH - 2 * MARGIN) / root.samples
    least = NARROWEST / scale
    height = HEAD + root.depth(least) * ROW + MARGIN
    user, kernel = SHADES["user"][0], SHADES["kernel"][0]
    out = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}"'
        ' font-family="monospace" font-size="10.5">',
        f"<title>{escape(title)}</title>",
        f'<rect width="{WIDTH}" height="{height}" fill="#ffffff"/>',
        f'<text x="{MARGIN}" y="18" font-size="14">{escape(title)}</text>',
        f'<rect x="{MARGIN}" y="26" width="12" height="12" fill="{user}"/>',
        f'<text x="{MARGIN + 17}" y="36">user {share(root, "user"):.0%}</text>',
        f'<rect x="{MARGIN + 85}" y="26" width="12" height="12" fill="{kernel}"/>',
        f'<text x="{MARGIN + 102}" y="36">kernel {share(root, "kernel"):.0%}</text>',
    ]

    def draw(node, left, row):
        width = node.samples * scale
        top = height - MARGIN - (row + 1) * ROW
        shades = SHADES[node.kind]
        fill = shades[zlib.crc32(node.name.encode()) % len(shades)]
        part = node.samples / root.samples
        out.append(
            f"<g><title>{escape(node.name)}: {part:.1%}, {node.samples} samples</title>"
            f'<rect x="{left:.1f}" y="{top}" width="{max(width - 0.4, 0.2):.1f}"'
            f' height="{ROW - 1}" fill="{fill}"/>'
        )
        if label := _label(node.name, width):
            out.append(f'<text x="{left + 3:.1f}" y="{top + 12}">{escape(label)}</text>')
        out.append("</g>")
        for child in sorted(node.children.values(), key=lambda child: (child.kind, child.name)):
            if child.samples >= least:
                draw(child, left, row + 1)
            left += child.samples * scale

    draw(root, MARGIN, 0)
    out.append("</svg>")
    return "\n".join(out) + "\n"
