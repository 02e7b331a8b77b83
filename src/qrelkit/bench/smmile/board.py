"""The board: answers of any origin, published files and our own runs, scored and brought together.

    folders and files ─▶ answers by dataset and revision ─▶ long rows (leaderboard.py) ─▶ numbers, page
                              ▲ problems: rebuilt from transcripts, or given

Answers to several revisions never share a table: each revision has its own, named. Baselines that no file holds are made from
the problems, as controls.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import polars as pl

from qrelkit.bench.smmile.answers import SCHEMA, Answers
from qrelkit.bench.smmile.baselines import BASELINES, baseline, expected
from qrelkit.bench.smmile.exact import correct_of
from qrelkit.bench.smmile.leaderboard import numbers, sections
from qrelkit.bench.smmile.problems import Problems
from qrelkit.bench.smmile.published import EXTRA, REVISION
from qrelkit.bench.smmile.running import read_answers
from qrelkit.bench.smmile.statistics import facts
from qrelkit.bench.smmile.summary import Imported, import_published, letter_corrections, mixtures, scored
from qrelkit.core.errors import InputError
from qrelkit.reports.html import page
from qrelkit.reports.tables import Section

Key = tuple[str, str]  # dataset and revision
METRICS = {
    "open": {"judge": "verdict", "exact": "exact_flexible", "strict": "exact_strict"},
    "choice": {"choice": "choice_correct"},
}


@dataclass(frozen=True, kw_only=True)
class Board:
    """Answers with what is known of their problems; `rows` are the leaderboard's, `facts` by the name a dataset has there."""

    answers: pl.DataFrame
    problems: Mapping[Key, Problems]
    corrections: Sequence[str]

    @property
    def rows(self) -> pl.DataFrame:
        return pl.concat(list(_long(self.answers)))

    @property
    def facts(self) -> dict[str, pl.DataFrame]:
        return {named(*key): facts(found) for key, found in self.problems.items()}

    def json(self, seed: int = 0) -> dict[str, Any]:
        """Everything the page says, and `expected`: the exact accuracy of a random answer, by dataset and form."""
        chance = {
            named(*key): {form: expected(found, form) for form in ("open", "choice")} for key, found in self.problems.items()
        }
        return {"datasets": numbers(self.rows, self.facts, seed), "expected": chance, "corrections": list(self.corrections)}

    def sections(self, seed: int = 0) -> list[Section]:
        return sections(self.rows, self.facts, seed)

    def html(self, seed: int = 0) -> str:
        """The page."""
        opening = f"{self.answers.height:,} answers of {self.answers['model'].n_unique()} models and controls"
        return page(
            self.sections(seed),
            title="Do models learn from their examples?",
            opening=opening,
            said={"warnings": self.corrections},
        )


def board(paths: Sequence[str | Path], problems: Iterable[Problems] = (), *, controls: bool = True) -> Board:
    """The answers of published files (CSV, or folders of them) and of our own runs (JSONL or Parquet, or folders of them).

    `problems` are those that our own runs were asked. Raises InputError where a path holds no answers.
    """
    known: dict[Key, Problems] = {(found.name, found.revision): found for found in problems}
    frames: list[pl.DataFrame] = []
    corrections: list[str] = []
    for path in map(Path, paths):
        for found in _read(path):
            frames.append(found.answers.frame)
            corrections += found.answers.corrections
            known = {**found.problems, **known}
    frame = pl.concat(frames, how="diagonal_relaxed")
    if controls:
        frame = pl.concat([frame, *_controls(frame, known)], how="diagonal_relaxed")
    missing = [pl.lit(None, dtype).alias(name) for name, dtype in EXTRA.items() if name not in frame.columns]
    answers = Answers(frame=frame.with_columns(missing))
    whole = scored(answers, known)
    told = [*corrections, *letter_corrections(whole), *mixtures(answers)]
    return Board(answers=whole, problems=known, corrections=tuple(dict.fromkeys(told)))


def named(dataset: str, revision: str) -> str:
    """What a dataset of a revision is called where several may stand side by side."""
    return dataset if revision in (REVISION, "") else f"{dataset} @ {revision[:24]}"


def _read(path: Path) -> Iterator[Imported]:
    """Published results and our own below one path."""
    if not path.exists():
        raise InputError(f"{path}: there is no such file or folder")
    files = [path] if path.is_file() else sorted([*path.rglob("*.jsonl"), *path.rglob("*.parquet")])
    own = [one for one in files if one.suffix in (".jsonl", ".parquet")]
    for one in own:
        yield Imported(answers=read_answers(one), problems={}, single=True)
    if path.suffix == ".csv" or (path.is_dir() and any(path.rglob("result_*.csv"))):
        yield import_published(path)
    elif not own:
        raise InputError(f"{path}: holds neither published results (result_MODEL_….csv) nor answers of a run (.jsonl, .parquet)")


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
