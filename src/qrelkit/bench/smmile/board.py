"""The board: answers of any origin, published files and our own runs, scored and brought together.

    folders and files ─▶ answers by dataset and revision ─▶ long rows (leaderboard.py) ─▶ numbers, page
                              ▲ problems: rebuilt from transcripts, or given

Answers to several revisions never share a table: each revision has its own, named. Baselines that no file holds are made from
the problems, as controls.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import polars as pl

from qrelkit.bench.smmile.answers import SCHEMA, Answers, Form
from qrelkit.bench.smmile.apart import Run, apart
from qrelkit.bench.smmile.baselines import BASELINES, baseline, expected
from qrelkit.bench.smmile.exact import correct_of
from qrelkit.bench.smmile.judged import unjudged, violations
from qrelkit.bench.smmile.leaderboard import numbers, sections
from qrelkit.bench.smmile.printed import unfounded
from qrelkit.bench.smmile.problems import Problems
from qrelkit.bench.smmile.published import EXTRA, REVISION
from qrelkit.bench.smmile.running import read_answers
from qrelkit.bench.smmile.statistics import facts
from qrelkit.bench.smmile.summary import import_published, letter_corrections, mixtures, scored
from qrelkit.core.errors import InputError
from qrelkit.core.records import counted
from qrelkit.formats.sidecars import read_sidecar
from qrelkit.reports.html import page
from qrelkit.reports.tables import Section

Key = tuple[str, str]  # dataset and revision
FORMS: tuple[Form, ...] = ("open", "choice")
METRICS = {
    "open": {"judge": "verdict", "exact": "exact_flexible", "strict": "exact_strict"},
    "choice": {"choice": "choice_correct"},
}


@dataclass(frozen=True, kw_only=True)
class Board:
    """Answers with what is known of their problems; `seed` is of what chance would do."""

    answers: pl.DataFrame
    problems: Mapping[Key, Problems]
    corrections: Sequence[str]
    seed: int = 0

    @cached_property
    def rows(self) -> pl.DataFrame:
        """The leaderboard's rows."""
        return pl.concat(list(_long(self.answers)))

    @property
    def facts(self) -> dict[str, pl.DataFrame]:
        """What `statistics.facts` says, by the name a dataset has in `rows`."""
        return {named(*key): facts(found) for key, found in self.problems.items()}

    @cached_property
    def numbers(self) -> Mapping[str, Any]:
        return numbers(self.rows, self.facts, self.seed, self.made)

    @property
    def made(self) -> dict[str, str]:
        """Which dataset was made from which, among those that have answers and know it."""
        there = set(self.answers.select("dataset", "revision").unique().iter_rows())
        found = {named(*key): _source(known) for key, known in self.problems.items()}
        return {name: named(*source) for name, source in found.items() if source in there and named(*source) != name}

    @property
    def judges(self) -> list[str]:
        """Whose verdicts count; `published`: those beside the files."""
        return self.answers["verdict_by"].drop_nulls().unique().sort().to_list()

    @property
    def warnings(self) -> list[str]:
        """What is wrong with files, and what these numbers are not about."""
        return list(dict.fromkeys([*self.corrections, *_lacking(self.answers, self.problems), *_judged(self.answers)]))

    def json(self) -> dict[str, Any]:
        """Everything the page says, and `expected`: the exact accuracy of a random answer, by dataset and form asked."""
        forms = set(self.answers.select("dataset", "revision", "form").unique().iter_rows())
        chance = {
            named(*key): {form: expected(found, form) for form in FORMS if (*key, form) in forms}
            for key, found in self.problems.items()
        }
        return {"datasets": self.numbers, "expected": chance, "judges": self.judges, "corrections": self.warnings}

    def sections(self) -> list[Section]:
        return sections(self.numbers)

    def html(self) -> str:
        """The page."""
        opening = f"{self.answers.height:,} answers of {self.answers['model'].n_unique()} models and controls"
        return page(
            self.sections(),
            title="Do models learn from their examples?",
            opening=f"{opening}; judged by {', '.join(self.judges)}" if self.judges else opening,
            said={"warnings": self.warnings},
        )


def board(paths: Sequence[str | Path], problems: Iterable[Problems] = (), *, controls: bool = True, seed: int = 0) -> Board:
    """The answers of published files (CSV, or folders of them) and of our own runs (JSONL or Parquet, or folders of them).

    `problems` are those that our own runs were asked. Runs of one model that were asked in different ways are named apart. Raises
    InputError where a path holds no answers.
    """
    known: dict[Key, Problems] = {(found.name, found.revision): found for found in problems}
    given, asked = dict(known), list[Run]()
    corrections: list[str] = []
    for found in (found for path in map(Path, paths) for found in _read(path)):
        asked += found.runs
        corrections += found.corrections
        known = {**found.problems, **known}
    frame = pl.concat(apart(asked), how="diagonal_relaxed")
    if controls:
        frame = pl.concat([frame, *_controls(frame, known)], how="diagonal_relaxed")
    missing = [pl.lit(None, dtype).alias(name) for name, dtype in EXTRA.items() if name not in frame.columns]
    answers = Answers(frame=frame.with_columns(missing))
    whole = scored(answers, known)
    told = [*corrections, *letter_corrections(whole), *unfounded(whole), *mixtures(answers), *_strangers(frame, given)]
    return Board(answers=whole, problems=known, corrections=told, seed=seed)


def named(dataset: str, revision: str) -> str:
    """What a dataset of a revision is called where several may stand side by side."""
    return dataset if revision in (REVISION, "") else f"{dataset} @ {revision[:24]}"


@dataclass(frozen=True, kw_only=True)
class _Found:
    """What lies below one path."""

    runs: Sequence[Run]
    corrections: Sequence[str]
    problems: Mapping[Key, Problems] = field(default_factory=dict)


def _read(path: Path) -> Iterator[_Found]:
    """Published results and our own below one path."""
    if not path.exists():
        raise InputError(f"{path}: there is no such file or folder")
    files = [path] if path.is_file() else sorted([*path.rglob("*.jsonl"), *path.rglob("*.parquet")])
    own = [one for one in files if one.suffix in (".jsonl", ".parquet")]
    for one in own:
        answers = read_answers(one)
        settings = (read_sidecar(one) or {}).get("asking")
        yield _Found(runs=[Run(source=one.name, frame=answers.frame, settings=settings)], corrections=answers.corrections)
    if path.suffix == ".csv" or (path.is_dir() and any(path.rglob("result_*.csv"))):
        found = import_published(path)
        parts = found.answers.frame.partition_by("source", maintain_order=True)
        runs = [Run(source=part["source"][0], frame=part) for part in parts]
        yield _Found(runs=runs, corrections=found.answers.corrections, problems=found.problems)
    elif not own:
        raise InputError(f"{path}: holds neither published results (result_MODEL_….csv) nor answers of a run (.jsonl, .parquet)")


def _lacking(answers: pl.DataFrame, known: Mapping[Key, Problems]) -> Iterator[str]:
    """Datasets of which only the answers are there, and runs that some problems are not answered in."""
    by = ("dataset", "revision", "model", "mode", "form")
    for (dataset, revision), part in answers.group_by("dataset", "revision", maintain_order=True):
        found, name = known.get((str(dataset), str(revision))), named(str(dataset), str(revision))
        if found is None:
            yield f"{name}: its problems are not known, so nothing is said of order and kinds; name them (--folder, --hub)"
            continue
        short = part.group_by(by, maintain_order=True).len().filter(pl.col("len") < len(found))
        for _, _, model, mode, form, n in short.iter_rows():
            yield f"{name}: {model}, {mode}, {form} is about {n:,} of {counted(len(found), 'problem')}"


def _judged(answers: pl.DataFrame) -> Iterator[str]:
    """Of answers that were judged: how many have no verdict, and how many exact matches were called wrong."""
    by = ("dataset", "revision", "model", "mode", "verdict_by")
    judged = answers.filter(pl.col("verdict_by").is_not_null())
    for rows, what in (
        (unjudged(judged), "without a verdict, which count neither as right nor as wrong"),
        (violations(judged), "judged wrong in spite of an exact match: this judge makes mistakes"),
    ):
        for dataset, revision, model, mode, judge, n in rows.group_by(by, maintain_order=True).len().iter_rows():
            yield f"{named(dataset, revision)}: {model}, {mode}: {counted(n, 'answer')} {what} ({judge})"


def _source(problems: Problems) -> Key | None:
    """The dataset that a generator made this one from."""
    made = problems.notes.get("made")
    source = made.get("from", {}) if isinstance(made, dict) else {}
    return (source["name"], source["revision"]) if {"name", "revision"} <= source.keys() else None


def _strangers(frame: pl.DataFrame, given: Mapping[Key, Problems]) -> Iterator[str]:
    """Benchmarks that were named and that no answer is about."""
    there = set(frame.select("dataset", "revision").unique().iter_rows())
    for key in sorted(given.keys() - there):
        yield f"{named(*key)}: no answer is about this benchmark"


def _controls(frame: pl.DataFrame, known: Mapping[Key, Problems]) -> Iterator[pl.DataFrame]:
    """The baselines that are not among the answers, for every dataset and form that has answers in context."""
    there = set(frame.filter(mode="icl").select("dataset", "revision", "form", "model").unique().iter_rows())
    for dataset, revision, form in sorted({row[:3] for row in there}):
        found = known.get((dataset, revision))
        for which in BASELINES if found is not None else ():
            if (dataset, revision, form, which) not in there:
                assert found is not None
                yield baseline(found, which, form).frame.select(*SCHEMA)


def _long(frame: pl.DataFrame) -> Iterator[pl.DataFrame]:
    """A row per answer and metric, under the names of the leaderboard."""
    for (dataset, revision, model, mode, form), part in frame.group_by(
        "dataset", "revision", "model", "mode", "form", maintain_order=True
    ):
        for metric, column in METRICS[str(form)].items():
            if part[column].count():
                where = {
                    "dataset": named(str(dataset), str(revision)),
                    "revision": revision,
                    "model": model,
                    "mode": mode,
                    "metric": metric,
                }
                yield correct_of(part, column).select(*(pl.lit(value).alias(name) for name, value in where.items()), pl.all())
