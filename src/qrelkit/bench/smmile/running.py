"""A run: every problem asked once in one way, through the driver, the ledger and the budget of judging; and what it will cost.

    problems ─▶ flows (`Asking`) ─▶ drive ─▶ rows ─▶ Answers, with a manifest

Running it twice asks nothing: the ledger answers. A run that was stopped goes on; problems that nobody was asked about have no
row. A request that failed is asked again by the next run, since only replies are kept.
"""

from __future__ import annotations

import platform
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from importlib.metadata import version
from pathlib import Path
from typing import Any

import polars as pl

from qrelkit.bench.smmile.answers import MODES, SCHEMA, STATUSES, WHOSE, Answers
from qrelkit.bench.smmile.choice import with_choice_score
from qrelkit.bench.smmile.exact import COMPLETED, with_exact
from qrelkit.bench.smmile.flows import Asking
from qrelkit.bench.smmile.manifest import FORMAT
from qrelkit.bench.smmile.problems import Problem, Problems
from qrelkit.core.doors import Model, Store
from qrelkit.core.errors import InputError
from qrelkit.core.files import write_whole
from qrelkit.core.wire import Request, Round
from qrelkit.formats.sidecars import read_sidecar, write_sidecar
from qrelkit.models.estimates import ROUNDS
from qrelkit.models.prices import measured
from qrelkit.steps.drive import drive
from qrelkit.steps.stages import SEEN, Asked, Means, Stage, first_rounds, part
from qrelkit.steps.tally import Tally
from qrelkit.steps.terms import Terms

ROW: Mapping[str, Any] = {
    **SCHEMA,
    "error": pl.String,
    "image_of": pl.String,
}  # what failed, and for wrong-image whose image was shown


@dataclass(frozen=True, kw_only=True)
class Ran:
    """What a run brought: `answers`, one row per problem that was asked, in the order of the problems; `missing` were not."""

    answers: Answers
    problems: Problems
    asking: Asking
    missing: int
    tally: Tally

    @property
    def statuses(self) -> dict[str, int]:
        """How many problems ended how, only what occurred."""
        counts = dict(self.answers.frame["status"].value_counts().iter_rows())
        return {status: counts[status] for status in STATUSES if status in counts}

    @property
    def counts(self) -> dict[str, Any]:
        """How many are right, as integers: over all rows, where what is no answer is wrong, and over the `completed` ones."""
        frame, choice = self.answers.frame, self.asking.form == "choice"
        scored = with_choice_score(frame) if choice else with_exact(frame)
        named = {"correct": "choice_correct"} if choice else {"exact_flexible": "exact_flexible", "exact_strict": "exact_strict"}
        named |= {"extraction_failed": "extraction_failed"} if choice else {}

        def of(rows: pl.DataFrame) -> dict[str, int]:
            return {"n": rows.height, **{name: int(rows[column].sum()) for name, column in named.items()}}

        return {**of(scored), "completed": of(scored.filter(COMPLETED))}

    def manifest(self) -> dict[str, Any]:
        """How the answers came about, for the file beside them."""
        return {
            "format": FORMAT,
            "dataset": self.problems.name,
            "revision": self.problems.revision,
            "problems_digest": self.problems.digest,
            "problems": len(self.problems),
            "missing": self.missing,
            "statuses": self.statuses,
            "counts": self.counts,
            "asking": self.asking.settings,
            "key": self.asking.key,
            "served": sorted(self.tally.served.get(self.asking.model, ())),
            "made": dict(self.problems.notes),
            "tally": self.tally.numbers(),
            "versions": {name: version(name) for name in ("qrelkit", "polars", "pillow")} | {"python": platform.python_version()},
        }

    def __repr__(self) -> str:
        ended = ", ".join(f"{count:,} {status}" for status, count in self.statuses.items()) or "nothing"
        what = f"{self.problems.name}, {self.asking.mode}, {self.asking.form} by {self.asking.model}"
        return f"Ran({what}: {ended}{f', {self.missing:,} missing' if self.missing else ''})"


def run(
    problems: Problems,
    asking: Asking,
    *,
    store: Store,
    models: Mapping[str, Model],
    at_once: int | None = 16,
    budget_usd: float | None = None,
    terms: Terms = Terms(),
    progress: Callable[[Tally], None] | None = None,
) -> Ran:
    """Asks every problem that was not answered yet. Raises Mismatch where the mode shows images that are not there, ModelError
    where no request can succeed."""
    asking = asking.about(problems)
    rows: dict[str, dict[str, Any]] = {}

    def done(row: dict[str, Any]) -> None:
        rows[row["problem_id"]] = row

    tally = Tally()
    dials: dict[str, Any] = {"at_once": at_once, "budget_usd": budget_usd, "progress": progress, "tally": tally}
    dials["terms"] = replace(terms, what=f"bench {asking.key}")
    try:
        drive(map(asking.flow, problems.problems), models=models, store=store, done=done, **dials)
    finally:  # however it ends: what it cost is kept
        store.add_spending("bench", asking.key, tally.numbers())
    ordered = [(problem, rows[problem.problem_id]) for problem in problems.problems if problem.problem_id in rows]
    frame = answers_frame(problems, ordered)
    return Ran(answers=Answers(frame=frame), problems=problems, asking=asking, missing=len(problems) - frame.height, tally=tally)


def answers_frame(problems: Problems, rows: Sequence[tuple[Problem, Mapping[str, Any]]]) -> pl.DataFrame:
    """Rows as a table that names the benchmark, its revision, and each problem by its digest."""
    named = {"dataset": problems.name, "revision": problems.revision}
    whole = [{**named, **row, "digest": problem.text_digest if problems.text_only else problem.digest} for problem, row in rows]
    return pl.DataFrame(whole, schema=ROW)


def plan(problems: Problems, asking: Asking, *, store: Store, models: Mapping[str, Model], at_once: int | None = 16) -> Stage:
    """What a run would ask and what it may cost; nothing is asked. Equal requests, which are asked once, count once."""
    asking = asking.about(problems)
    requests: dict[str, Request] = {}
    for (request,) in first_rounds(map(asking.flow, problems.problems)):
        requests.setdefault(request.digest, request)
    known = store.replies(list(requests))
    todo: list[Round] = [[request] for digest, request in requests.items() if digest not in known]
    before: list[Round] = [[request] for digest, request in requests.items() if digest in known]
    stage = Stage(name=f"{asking.mode}, {asking.form}", by=asking.model, items=len(requests), todo=len(todo))
    if not todo:
        return stage
    most = len(todo) / ROUNDS[1]  # nothing is asked a second time here
    asked = Asked(model=models[asking.model], rounds=todo, items=len(todo), todo=(len(todo), most), before=before[:SEEN])
    return replace(stage, parts=(part(asked, Means(store=store, at_once=at_once, size=_sizes())),))


def write_answers(ran: Ran, path: Path) -> None:
    """Writes the answers as JSONL or Parquet, by the suffix, and `PATH.json` beside it, the manifest, last."""
    import io

    out = io.BytesIO()
    if path.suffix == ".parquet":
        ran.answers.frame.write_parquet(out)
    elif path.suffix == ".jsonl":
        ran.answers.frame.write_ndjson(out)
    else:
        raise InputError(f"{path}: answers are written as .jsonl or .parquet")
    write_whole(out.getvalue(), path)
    write_sidecar(path, ran.manifest())


def read_answers(path: Path) -> Answers:
    """Answers that `write_answers` wrote. Where the file is not what its manifest says, `corrections` says so."""
    try:
        frame = pl.read_parquet(path) if path.suffix == ".parquet" else pl.read_ndjson(path, schema=ROW)
        frame = pl.DataFrame(frame.select(*ROW), schema_overrides=ROW)
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror or error})") from None
    except pl.exceptions.PolarsError as error:
        raise InputError(f"{path}: holds no answers as a run writes them ({str(error).splitlines()[0]})") from None
    if frame["problem_id"].null_count() or frame["status"].null_count():
        raise InputError(f"{path}: holds no answers as a run writes them (rows without problem_id or status)")
    if not frame.height:
        raise InputError(f"{path}: holds no answer")
    for column, known in (("mode", MODES), ("form", ("open", "choice")), ("status", STATUSES)):
        if other := frame.filter(~pl.col(column).is_in(known))[column].head(1).to_list():
            raise InputError(f"{path}: {column} {other[0]!r} is none that a run writes; known: {', '.join(known)}")
    if (twice := frame.filter(frame.select(*WHOSE).is_duplicated())).height:
        raise InputError(f"{path}: problem {twice['problem_id'][0]!r} is answered twice by {twice['model'][0]}")
    edited = () if read_sidecar(path) else (f"{path.name}: has no manifest, or was changed after it was written",)
    return Answers(frame=frame, corrections=edited)


def file_name(ran: Ran) -> str:
    """The name of a run's file: benchmark, model, mode, form and the settings' digest, in characters that every name may have.
    Where only the first problems were asked it says how many, so that the file of a whole run stays."""
    benchmark = f"{ran.problems.name}@{ran.problems.revision[:12]}"
    limited = (f"first-{len(ran.problems)}",) if "limit" in ran.problems.notes else ()
    words = (benchmark, ran.asking.model, ran.asking.mode, ran.asking.form, ran.asking.key[:8], *limited)
    return "_".join("".join(c if c.isalnum() or c in "+.-@" else "-" for c in word) for word in words) + ".jsonl"


def _sizes() -> Callable[[Any], tuple[int, int]]:
    from functools import lru_cache

    return lru_cache(maxsize=None)(measured)
