"""How commands speak: JSON on request, a table for people, TSV in a pipe; words and progress on stderr."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from qrelkit.steps.tally import Tally


def put_json(value: Any) -> None:
    """A value as JSON on stdout. NaN is written as null by orjson."""
    import orjson

    text = orjson.dumps(value, option=orjson.OPT_INDENT_2 | orjson.OPT_NON_STR_KEYS).decode()
    _write(text)


def put_table(columns: Sequence[str], rows: Sequence[Sequence[Any]], *, to_stderr: bool = False) -> None:
    """Rows on stdout (or among the words on stderr): aligned for a terminal, TSV in a pipe."""
    out = sys.stderr if to_stderr else sys.stdout
    if not out.isatty() and not to_stderr:
        _write("\n".join(["\t".join(columns), *("\t".join(map(_plain, row)) for row in rows)]))
        return
    from rich import box
    from rich.console import Console
    from rich.table import Table

    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    for name in columns:
        numbers = bool(rows) and all(isinstance(row[list(columns).index(name)], int | float) for row in rows)
        table.add_column(name, justify="right" if numbers else "left", overflow="fold")
    for row in rows:
        table.add_row(*map(_readable, row))
    Console(file=out, width=None if out.isatty() else 120).print(table)


def put(text: str) -> None:
    """Text that is the command's data."""
    _write(text.rstrip("\n"))


def _write(text: str) -> None:
    """A line or more on stdout. A reader that has gone (head) is no failure."""
    try:
        sys.stdout.write(text + "\n")
        sys.stdout.flush()
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # what is still buffered goes nowhere
        raise SystemExit(0) from None


class Rendered(Protocol):
    """A result that can say itself."""

    def text(self) -> str: ...
    def csv(self) -> str: ...
    def latex(self) -> str: ...


def put_text(result: Rendered, form: str) -> None:
    """A result as text, tsv, csv or latex on stdout."""
    from qrelkit.core.errors import UnknownName

    forms = {"text": result.text, "tsv": lambda: _tabbed(result.csv()), "csv": result.csv, "latex": result.latex}
    if form not in forms:
        raise UnknownName("format", form, [*forms, "json"])
    put(forms[form]())


def put_statistics(tree: Mapping[str, Any]) -> None:
    """The statistics of a result's JSON as a table: tau, top.10, cuts.1 …, one per line."""
    named = [(name, value) for name, value in tree.items() if isinstance(value, dict)]
    inner = [(f"{name}.{key}", v) for name, value in named if "value" not in value for key, v in value.items()]
    found = [(name, v) for name, v in [*named, *inner] if isinstance(v, dict) and {"value", "low", "high", "n"} <= v.keys()]
    columns = ("value", "low", "high", "n", "reason")
    put_table(("statistic", *columns), [(name, *(v.get(c) for c in columns)) for name, v in found])


def in_a_pipe() -> bool:
    """Whether no person but a program reads our data."""
    return not sys.stdout.isatty()


def say(text: str) -> None:
    """Words for people, on stderr."""
    sys.stderr.write(text.rstrip("\n") + "\n")
    sys.stderr.flush()


def warn(warnings: Sequence[str]) -> None:
    """What a reader of the data must know, where the data do not say it themselves."""
    for warning in warnings:
        say(f"warning: {warning}")


def _tabbed(text: str) -> str:
    """CSV as TSV."""
    import csv

    return "\n".join("\t".join(map(_plain, row)) for row in csv.reader(text.splitlines()))


def _plain(value: Any) -> str:
    return "" if value is None else str(value).replace("\t", " ").replace("\n", " ")


def _readable(value: Any) -> str:
    return f"{value:,}" if isinstance(value, int) and not isinstance(value, bool) else "" if value is None else str(value)


def money(usd: float | None, unpriced: int = 0) -> str:
    """Dollars; what has no known price is said to be unknown, never 0."""
    if unpriced:
        from qrelkit.core.records import counted

        known = f"${usd:.4f} + " if usd else ""
        return f"{known}price unknown for {counted(unpriced, 'reply')}"
    return "price unknown" if usd is None else f"${usd:.4f}" if usd < 1 else f"${usd:,.2f}"


@contextmanager
def progress(what: str, total: int, quiet: bool = False) -> Iterator[Callable[[Tally], None] | None]:
    """A callback for the driver: a bar with rate, time left and money on a terminal, a line every ten seconds elsewhere."""
    if quiet or total == 0:
        yield None
        return
    if not sys.stderr.isatty():
        yield _lines(what, total)
        return
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("{task.fields[note]}"),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=Console(stderr=True)) as bar:
        task = bar.add_task(what, total=total, note="")
        started = time.monotonic()

        def show(tally: Tally) -> None:
            rate = tally.done / max(time.monotonic() - started, 1e-6)
            failed = f" · {tally.failed:,} failed" if tally.failed else ""
            spent = money(tally.cost_usd, tally.unpriced) + _to_go(tally, total)
            waits = f"waits until {tally.waits_for} · " if tally.waits_for else ""
            bar.update(task, completed=tally.done, note=f"{waits}{rate:,.0f}/s · {spent}{failed}")

        yield show


def _lines(what: str, total: int) -> Callable[[Tally], None]:
    started = said = time.monotonic()
    shown, waited = 0, ""

    def show(tally: Tally) -> None:
        nonlocal said, shown, waited
        now = time.monotonic()
        if tally.waits_for != waited:
            waited = tally.waits_for
            say(f"{what}: waits until {waited}" if waited else f"{what}: goes on")
        if tally.done > shown and (now - said >= 10 or tally.done == total):
            said, shown = now, tally.done
            rate = tally.done / max(now - started, 1e-6)
            to_go = _to_go(tally, total, now - started)
            say(f"{what}: {tally.done:,} of {total:,} · {rate:,.0f}/s · {money(tally.cost_usd, tally.unpriced)}{to_go}")

    return show


def _to_go(tally: Tally, total: int, seconds: float | None = None) -> str:
    """What the rest takes at the rate of what is done in so many `seconds` (None: money alone); nothing before it can be said."""
    from qrelkit.models.estimates import outlook
    from qrelkit.reports.words import duration

    left = outlook(tally.done, total, tally.cost_usd, seconds or 0.0)
    if left is None or tally.done >= total:
        return ""
    parts = [] if seconds is None else [duration(left[1])]
    parts += [money(left[0])] if left[0] and not tally.unpriced else []
    return f" · about {' and '.join(parts)} to go" if parts else ""
