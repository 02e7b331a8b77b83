"""How ways of pooling are compared on the command line. (No verb of its own: `pool --compare`, and the numbers after `-n`.)"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from qrelkit.project.project import Project
    from qrelkit.steps.pooled import Pooled


def budgets_of(given: Sequence[str], *, several: bool) -> list[int]:
    """The numbers of `-n 500 -n 1000` or `-n 500,1000`; at most one unless `several`, and then at least one."""
    from qrelkit.core.errors import InputError

    try:
        numbers = [int(number) for value in given for number in value.split(",")]
    except ValueError:
        raise InputError(f"-n takes numbers of labels such as 500 (500,1000 with --compare); found {' '.join(given)!r}") from None
    if several and not numbers:
        raise InputError("--compare needs numbers of labels, such as -n 500,1000")
    if not several and len(numbers) > 1:
        raise InputError(f"a pool has one number of pairs, and -n names {len(numbers)}; --compare takes several")
    return numbers


def refuse_for(want: str, **options: object) -> None:
    """Raises InputError for the first option given that is of no use here; `want` says where it would be."""
    from qrelkit.core.errors import InputError

    for name, value in options.items():
        if value:
            raise InputError(f"--{name.replace('_', '-')} {want}")


def compared(opened: Project, budgets: Sequence[int], *, measure: str, qrels: str, method: str, **options: Any) -> Pooled:
    """The ways of `--method` (all of them where none is named) at every budget, on `qrels` or the project's people."""
    from qrelkit.core.errors import InputError
    from qrelkit.formats.files import read_any_qrels
    from qrelkit.steps.adjudicate import METHODS
    from qrelkit.steps.pooling import compare

    config = opened.config
    if qrels:
        people = read_any_qrels(qrels)
    elif not (config.qrels or config.collection) or not (human := opened.human()):
        raise InputError("--compare takes the labels that there are: name them with --qrels FILE")
    else:
        people = next(iter(human.values()))
    methods = method.split(",") if method else METHODS
    return compare(measure or config.measures[0], opened.runs(), people, budgets, methods, **options)


def show_compared(found: Pooled, form: str) -> None:
    """The comparison as text (in a terminal), tsv (in a pipe), csv, latex or json."""
    from qrelkit.cli.output import in_a_pipe, put_json, put_text, warn

    form = form or ("tsv" if in_a_pipe() else "text")
    if form == "json":
        put_json(found.json())
        return
    if form != "text":
        warn(found.warnings)
    put_text(found, form)
