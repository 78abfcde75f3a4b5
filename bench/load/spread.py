"""How far measurements lie apart, and what that allows to say about their median."""

from math import comb
from statistics import median, quantiles

CONFIDENCE = 0.95
LEAST_ROUNDS = 6  # of fewer not even the least and the most are so sure


def interval(values):
    """Where the median of what these were drawn from lies, with CONFIDENCE: between two of the values, those that
    the sign test names. It needs no shape of the distribution, only rounds that do not know of each other."""
    ranked, count = sorted(values), len(values)
    outside, cut = 0.0, 0
    while cut < count // 2:
        outside += 2 * comb(count, cut) / 2**count
        if outside > 1 - CONFIDENCE:
            break
        cut += 1
    cut = max(cut - 1, 0)
    return ranked[cut], ranked[count - 1 - cut]


def text(values, form):
    """Median, its interval, and the quartiles of the rounds."""
    low, high = interval(values)
    said = f"{median(values):{form}} [{low:{form}} .. {high:{form}}]"
    if len(values) > 1:
        first, _, third = quantiles(values, n=4)
        said += f" ({first:{form}} .. {third:{form}})"
    return said


HEADING = "median [95 % interval of the median] (quartiles of the rounds)"


def verdict(values, aim):
    """Whether the median keeps to an aim that is a maximum: "met", "missed", or "cannot be told"."""
    low, high = interval(values)
    if len(values) < LEAST_ROUNDS:
        return "cannot be told"
    if high <= aim:
        return "met"
    return "missed" if low > aim else "cannot be told"
