"""The sections on agreement: one per assessor and reference, with the confusion matrix and what the figures leave out."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from qrelkit.reports import tables, words
from qrelkit.reports.tables import Cell, Row, Said, Section, Table


def agreements(entries: Sequence[Said], said: Said) -> Iterator[Section]:
    """A section for each of `entries`, which are what `qrelkit agree --json` prints."""
    for place, entry in enumerate(entries):
        title = f"Agreement: {entry.get('assessor', 'assessor')} against {entry.get('human', 'human')}"
        lead = f"{words.plural(entry['n'], 'pair')} that both graded" if entry.get("n") is not None else "Pairs that both graded"
        lead += f", of {words.plural(entry['queries'], 'query', 'queries')}" if entry.get("queries") else ""
        made = [_figures(entry)] + ([_confusion(entry)] if "confusion" in entry else [])
        more = [
            _summary(caption, corner, rows)
            for caption, corner, rows in (
                ("Against each", "against", entry.get("against") or {}),
                ("Humans among themselves", "humans", {f"{e['a']} / {e['b']}": e for e in entry.get("humans") or ()}),
                ("By group of queries", "group", entry.get("by") or {}),
            )
            if rows
        ]
        lead += ". Intervals are 95 % by query; beside them, what always giving the most common grade would reach."
        yield Section(key=f"agreement-{place + 1}", title=title, lead=lead, tables=made, more=more, notes=_left_out(entry))


def _figures(entry: Said) -> Table:
    guess = entry.get("constant_guess") or {}
    always = f"always {guess['grade']}" if "grade" in guess else "constant guess"
    same = () if entry.get("against") else ("either", "majority")  # with one human they say what exact agreement says
    names = [name for name in words.STATS if name in entry and name not in same]
    rows = {words.STATS[name]: {"value": entry[name], always: guess.get(name)} for name in names}
    rows |= {f"Cohen’s kappa, {cut} and above": {"value": stat} for cut, stat in (entry.get("cuts") or {}).items()}
    columns = ["value", always] if guess else ["value"]
    table = tables.stats("Agreement", "statistic", columns, rows)
    if not guess:
        return table
    bare = (Row(r.name, tuple(c if c.text != words.NO_NUMBER or c.note else Cell("") for c in r.cells)) for r in table.rows)
    return Table(table.caption, table.head, tuple(bare))  # a guess has no figure of every kind: nothing, not n/a


def _confusion(entry: Said) -> Table:
    """The confusion matrix with shares of each row."""
    found = entry["confusion"]
    labels, counts = [str(label) for label in found["labels"]], found["counts"]

    def line(row: Sequence[int]) -> tuple[Cell, ...]:
        whole = sum(row)
        inner = (Cell(words.count(n), words.share(n, whole), share=n / whole if whole else None) for n in row)
        return (*inner, Cell(words.count(whole)))

    human, assessor = entry.get("human", "human"), entry.get("assessor", "assessor")
    rows = [Row(f"{human} {label}", line(row)) for label, row in zip(labels, counts, strict=True)]
    sums = [sum(column) for column in zip(*counts, strict=True)]
    rows.append(Row("all", (*(Cell(words.count(n)) for n in sums), Cell(words.count(sum(sums)))), total=True))
    note = f"rows: grades of {human}; columns: grades of {assessor}; shares are of the row"
    return Table("Confusion matrix", ("", *labels, "all"), tuple(rows), note, matrix=True)


def _summary(caption: str, corner: str, groups: Said) -> Table:
    """The main figures, one row per group."""
    main = {"exact": "exact", "kappa": "kappa", "kappa_quadratic": "kappa, quadratic", "bias": "bias"}
    shown = {name or "(none)": {title: group.get(key) for key, title in main.items()} for name, group in groups.items()}
    return tables.stats(caption, corner, list(main.values()), shown)


def _left_out(entry: Said) -> list[str]:
    """What the figures do not cover, in sentences."""
    ungraded = {words.OUTCOMES.get(outcome, outcome): n for outcome, n in (entry.get("ungraded") or {}).items() if n}
    out = []
    if ungraded:
        parts = ", ".join(f"{n:,} {what}" for what, n in ungraded.items())
        out.append(f"{words.plural(sum(ungraded.values()), 'pair')} ungraded ({parts}): left out, not counted as 0.")
    told = {
        "excluded": "shown to the judge as examples, and left out",
        "clipped": "with a grade beyond the scale, brought to its end",
        "no_majority": "without a majority",
    }
    out += [f"{words.plural(entry[key], 'pair')} {what}." for key, what in told.items() if entry.get(key)]
    alone = {entry.get(side, side): n for side, n in (entry.get("unmatched") or {}).items() if n}
    out += [f"{words.plural(n, 'pair')} graded only by {name}." for name, n in alone.items()]
    return out + [sentence for sentence in entry.get("warnings") or () if " have no grade from " not in sentence]
