"""leave_out: how far would a new system move, because it did not contribute to the pool?

Each run (or team) in turn is treated as new: the pairs that it alone brought to the pool are taken from the human qrels, every
run is scored by what is left, and the new one's rank and score are laid beside those by the full qrels. What was taken away is
a hole, which counts as 0, or is filled from a set of labels. Zobel 1998; Büttcher, Clarke, Yeung & Soboroff 2007.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from qrelkit.core.errors import InputError, UnknownName
from qrelkit.core.qrels import Qrels
from qrelkit.core.run import Run
from qrelkit.formats.tables import read_table
from qrelkit.measures.parse import Measure, parse_measure
from qrelkit.measures.rank import Floats, Ints, Judged, Ranked
from qrelkit.steps.evaluate import different
from qrelkit.steps.left_out import ZERO, LeftOut

KEY = ["query_id", "doc_id"]
SEE_ALL = ("Judged", "bpref")  # to all others a document of grade 0 is as if it had not been retrieved


def leave_out(
    measure: str | Measure,
    runs: Sequence[Run],
    human: Qrels,
    *,
    filled: Mapping[str, Qrels] | None = None,
    teams: Mapping[str, str] | None = None,
    depth: int = 20,
) -> LeftOut:
    """Every run's rank and score with the pairs that only it, or its team, had in the first `depth` documents, and without.

    `teams` is tag → team; a run without one is a team of its own. `filled` gives label sets by name: beside holes as 0, each
    fills the holes with its grades (a pair that it does not grade stays a hole). The queries are those of the full qrels
    throughout; one that a run misses counts 0.

    Raises InputError for fewer than two runs or teams, and for qrels that grade nothing; UnknownName for a team of no run.
    """
    asked = parse_measure(measure) if isinstance(measure, str) else measure
    different(runs)
    team = teams_of(runs, teams or {})
    names = sorted(set(team))
    if len(names) < 2:
        raise InputError(f"leaving one {'team' if teams else 'run'} out needs at least two of them, not {len(names)}")
    judged = Judged(human)
    if not judged.n:
        raise InputError(f"qrels {human.name!r} have no graded pair")
    table = _Table(asked, runs, judged)
    only = brought_alone(runs, team, judged, depth)
    labels = {name: _labels(judged, qrels) for name, qrels in (filled or {}).items()}
    before = table.scores(judged.grade, judged.expected)
    shown = np.stack([before, *np.empty((1 + len(labels), len(runs)))])
    ranks = np.stack([ranked(before)] * len(shown))
    for name in names:
        mine = np.array([one == name for one in team])
        for i, given in enumerate([None, *labels.values()], 1):
            after = table.scores(*_without(judged, only.get(name), given))
            shown[i, mine], ranks[i, mine] = after[mine], ranked(after)[mine]
    return LeftOut(
        measure=str(asked),
        human=human.name,
        depth=depth,
        by_team=bool(teams),
        frame=_frame(runs, team, {name: len(pairs) for name, pairs in only.items()}, [ZERO, *labels], shown, ranks),
    )


def teams_of(runs: Sequence[Run], teams: Mapping[str, str]) -> list[str]:
    """The team of every run, its tag where it has none. UnknownName for a tag that no run has."""
    for tag in teams:
        if tag not in [run.tag for run in runs]:
            raise UnknownName("run in the teams", tag, [run.tag for run in runs])
    return [teams.get(run.tag, run.tag) for run in runs]


def read_teams(values: Sequence[str]) -> dict[str, str]:
    """Teams from `TAG=TEAM`, or from a table of two columns, tag and team."""
    out: dict[str, str] = {}
    for value in values:
        tag, equals, team = value.partition("=")
        if Path(value).exists() or not equals:
            frame = read_table(value)
            if frame.width != 2:
                raise InputError(f"{value}: needs two columns, tag and team; it has {', '.join(frame.columns)}")
            out |= dict(frame.select(pl.all().cast(pl.String)).iter_rows())
        elif not tag or not team:
            raise InputError(f"teams are written TAG=TEAM, or as a file of two columns, tag and team; found {value!r}")
        else:
            out[tag] = team
    return out


def ranked(scores: Floats) -> Ints:
    """Ranks, 1 the best; equal scores (to 10 decimals) share the best rank."""
    rounded = np.round(scores, 10)
    better: Ints = (rounded[None, :] > rounded[:, None]).sum(axis=1)
    return better + 1


def brought_alone(runs: Sequence[Run], team: Sequence[str], judged: Judged, depth: int) -> dict[str, Ints]:
    """The graded pairs (their places in `judged`) that one team alone had in its first `depth`."""
    if depth < 1:
        raise InputError(f"depth must be at least 1, not {depth}")
    parts = [run.cut(depth).frame.select(KEY).with_columns(team=pl.lit(name)) for run, name in zip(runs, team, strict=True)]
    alone = pl.concat(parts).unique().filter(~pl.struct(KEY).is_duplicated())
    places = judged.frame.select(KEY).with_row_index("place").join(alone, on=KEY, how="inner")
    return {str(name): part["place"].to_numpy().astype(np.int64) for (name,), part in places.group_by("team")}


class _Table:
    """All runs under one measure at once: query q of run i is query i · n + q of one long run. Joined with the qrels once; then
    grades are changed in place, which is all that leaving out takes."""

    def __init__(self, measure: Measure, runs: Sequence[Run], judged: Judged) -> None:
        self.measure, self.judged, self.runs = measure, judged, len(runs)
        place = judged.frame.select(KEY).with_row_index("place")
        q, rank, pair, retrieved = [], [], [], []
        for i, run in enumerate(runs):
            own = Ranked(run, judged)
            met = run.frame.select(*KEY, "rank").join(place, on=KEY, how="inner", maintain_order="left")
            near = own.within(measure.cutoff if isinstance(measure.cutoff, int) else None)  # nothing deeper counts
            q.append(own.q[near] + i * judged.n)
            rank.append(own.rank[near])
            pair.append(met["place"].to_numpy().astype(np.int64)[near])
            retrieved.append(own.retrieved)
        self.q, self.rank, self.pair, self.retrieved = map(np.concatenate, (q, rank, pair, retrieved))

    def scores(self, grade: Ints, expected: Floats | None) -> Floats:
        """The mean of every run, had the graded pairs these grades; a pair with a negative one is a hole."""
        gainless = self.measure.name in SEE_ALL or expected is not None
        counts = grade >= (0 if gainless else 1)
        there = np.flatnonzero(counts[self.pair])
        pair = self.pair[there]
        many = _Many(self.judged, grade, expected, self.runs)
        long = _Long(many, self.q[there], self.rank[there], grade[pair], self.retrieved)
        long.expected = None if expected is None else expected[pair]
        values: Floats = self.measure.of(long).reshape(self.runs, -1)
        out: Floats = values.sum(axis=1) if self.measure.total else values.mean(axis=1)
        return out


class _Many(Judged):
    """The same judged documents for each of several runs: counted once, and repeated."""

    def __init__(self, judged: Judged, grade: Ints, expected: Floats | None, runs: int) -> None:
        there = grade >= 0
        self.name, self.query_ids, self.n, self.runs = judged.name, judged.query_ids, judged.n, runs
        self.q, self.grade = judged.q[there], grade[there]
        self.expected = None if expected is None else expected[there]
        self.top_grade = max(judged.top_grade, int(self.grade.max(initial=0)))
        self.known: dict[Hashable, Floats] = {}

    def count(self, low: int, below: int | None = None) -> Ints:
        return np.tile(super().count(low, below), self.runs)

    def highest(self, least: int) -> Ints:
        return np.tile(super().highest(least), self.runs)

    def once(self, key: Hashable, make: Callable[[], Floats]) -> Floats:
        return np.tile(super().once(key, make), self.runs)


class _Long(Ranked):
    """The runs behind one another."""

    def __init__(self, judged: _Many, q: Ints, rank: Ints, grade: Ints, retrieved: Ints) -> None:
        self.judged, self.n = judged, judged.n * judged.runs
        self.q, self.rank, self.grade, self.retrieved = q, rank, grade, retrieved


Grades = tuple[Ints, Floats | None]


def _labels(judged: Judged, qrels: Qrels) -> Grades:
    """The grades that a label set gives to the judged pairs, -1 where it gives none; and its means."""
    wanted = [c for c in ("grade", "expected") if c in qrels.frame.columns]
    found = judged.frame.select(KEY).join(qrels.graded.select(*KEY, *wanted), on=KEY, how="left", maintain_order="left")
    grade = found["grade"].fill_null(-1).to_numpy().astype(np.int64)
    if "expected" not in wanted or found["expected"].null_count() == found.height:
        return grade, None
    return grade, found["expected"].fill_null(pl.Series(grade.astype(np.float64))).to_numpy().clip(0)


def _without(judged: Judged, pairs: Ints | None, given: Grades | None) -> Grades:
    """The grades where `pairs` are holes, or have the grades `given`."""
    grade, means = judged.grade.copy(), judged.expected
    if pairs is None:
        return grade, means
    grade[pairs] = -1 if given is None else given[0][pairs]
    if given is not None and (means is not None or given[1] is not None):
        means = (judged.grade.astype(np.float64) if means is None else means).copy()
        means[pairs] = (given[0].astype(np.float64) if given[1] is None else given[1])[pairs]
    return grade, means


def _frame(
    runs: Sequence[Run], team: Sequence[str], taken: Mapping[str, int], forms: Sequence[str], shown: Floats, ranks: Ints
) -> pl.DataFrame:
    """One row per run and form, best run first."""
    rows: list[dict[str, Any]] = [
        {
            "tag": run.tag,
            "team": team[i],
            "pairs": taken.get(team[i], 0),
            "holes": form,
            "value": shown[0, i],
            "rank": ranks[0, i],
            "value_left_out": shown[j, i],
            "rank_left_out": ranks[j, i],
        }
        for i, run in sorted(enumerate(runs), key=lambda item: (ranks[0, item[0]], item[0]))
        for j, form in enumerate(forms, 1)
    ]
    return pl.DataFrame(rows, infer_schema_length=None)
