"""Turns measurements into the table that a person reads."""

from statistics import median


def _grouped(measurements):
    found = {}
    for one in measurements:
        found.setdefault((one["question"], one["contender"]), []).append(one["ns"])
    return found


def _cell(values):
    if not values:
        return "-"
    middle = median(values)
    by, unit = (1000, " us") if middle >= 100_000 else (1, "")
    digits = 1 if middle / by < 100 else 0
    least, most = (f"{value / by:,.{digits}f}" for value in (min(values), max(values)))
    return f"{middle / by:,.{digits}f}{unit} ({least} .. {most})"


def _label(question):
    return f"{question.what}, {question.workers} CPU{'s' if question.workers > 1 else ''}"


def not_ahead(question, titles, found):
    """Whose median is below coir's, with coir's by theirs; and whether the spreads are apart."""
    ours = found.get((question.name, titles[0]), [])
    lines = []
    for title in titles[1:]:
        theirs = found.get((question.name, title), [])
        if ours and theirs and median(theirs) < median(ours):
            apart = "" if max(theirs) < min(ours) else ", but their spreads overlap"
            lines.append(f"{title} {median(ours) / median(theirs):.2f}{apart}")
    return lines


def lopsided(measurements):
    """Who let one of two rivals do nearly all."""
    shares = {}
    for one in measurements:
        if "rival" in one:
            shares.setdefault((one["question"], one["contender"]), []).append(one["rival"])
    for (question, title), found in shares.items():
        if not 0.1 <= median(found) <= 0.9:
            yield f"{question}: {title}'s rival did {median(found):.1%} of the rounds"


def print_all(questions, titles, measurements):
    found = _grouped(measurements)
    rows = [["ns for each", *titles]]
    for question in questions:
        rows.append(
            [_label(question), *(_cell(found.get((question.name, title))) for title in titles)]
        )
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    print()
    for number, row in enumerate(rows):
        print("| " + " | ".join(text.ljust(width) for text, width in zip(row, widths)) + " |")
        if number == 0:
            print("|" + "|".join("-" * (width + 2) for width in widths) + "|")

    print("\nWhere coir is not ahead (coir's median by theirs):")
    behind = False
    for question in questions:
        if lines := not_ahead(question, titles, found):
            behind = True
            print(f"  {_label(question)} ({question.name}): {'; '.join(lines)}")
    if not behind:
        print("  nowhere")
    for line in lopsided(measurements):
        print(line)
