"""What a table of answers comes to, as integers: one summary per file, dataset, model, mode and form.

    open     n, exact_flexible, exact_strict, judge {by, judged, correct, unreadable, violations}
    choice   n, correct, extraction_failed, not_among_options, options {…}, reread {…}
    both     api_error (an error stands for the reply; `statuses` tells refusals and images that were too large apart), empty,
             completed (the same counts over the rows that have an answer)

Counts over all rows take what is no answer as wrong, as the publication does; `completed` leaves it out.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import polars as pl

from qrelkit.bench.smmile.answers import Answers
from qrelkit.bench.smmile.choice import Choice, choices, with_choice_score, with_choices
from qrelkit.bench.smmile.exact import COMPLETED, with_exact
from qrelkit.bench.smmile.judged import unjudged, violations
from qrelkit.bench.smmile.letters import agreement, letters, rule_of
from qrelkit.bench.smmile.printed import unfounded
from qrelkit.bench.smmile.problems import Problems
from qrelkit.bench.smmile.published import read_published, read_published_folder
from qrelkit.bench.smmile.transcripts import problems_beside
from qrelkit.core.errors import InputError
from qrelkit.core.records import counted

_STORED = pl.col("choice_correct").cast(pl.Int64)
_RIGHT = (pl.col("letter") == pl.col("rebuilt_gold")).fill_null(False).cast(pl.Int64)
KEYS = ("source", "dataset", "revision", "model", "mode", "form")


@dataclass(frozen=True, kw_only=True)
class Imported:
    """Published files with what is known of their problems: `problems` by dataset and revision, rebuilt from transcripts."""

    answers: Answers
    problems: Mapping[tuple[str, str], Problems]
    single: bool

    def json(self) -> dict[str, Any]:
        """A single file's summary with its corrections; of a folder `files` (one each), `problems`, `totals`, `corrections`."""
        frame = scored(self.answers, self.problems)
        files = summaries(frame)
        corrections = [*self.answers.corrections, *letter_corrections(frame), *unfounded(frame)]
        if self.single:
            return {**files[0], "corrections": corrections}
        totals = {"files": len(files), "answers": frame.height, "statuses": _statuses(frame)}
        rebuilt = [_rebuilt(found) for found in self.problems.values()]
        return {"files": files, "problems": rebuilt, "totals": totals, "corrections": [*corrections, *mixtures(self.answers)]}


def import_published(path: str | Path) -> Imported:
    """A published file, or all of a folder. Problems are rebuilt from the transcripts in its folder, where there are some."""
    path = Path(path)
    if not path.exists():
        raise InputError(f"{path}: there is no such file or folder")
    single = not path.is_dir()
    answers = read_published(path) if single else read_published_folder(path)
    return Imported(answers=answers, problems=problems_beside(answers, path.parent if single else path), single=single)


def scored(answers: Answers, problems: Mapping[tuple[str, str], Problems]) -> pl.DataFrame:
    """Every answer with all its scores: exact_flexible, exact_strict, choice_correct, extraction_failed, not_among, and the
    options of the problems that are known and were asked as a multiple choice."""
    asked = set(answers.frame.filter(form="choice").select("dataset", "revision").unique().iter_rows())
    made = {key: choices(found) for key, found in problems.items() if key in asked}
    parts = [_with_options(part, made) for part in answers.frame.partition_by("dataset", "revision", maintain_order=True)]
    return with_choice_score(with_exact(pl.concat(parts)))


def summaries(frame: pl.DataFrame) -> list[dict[str, Any]]:
    """A summary per file of scored answers, sorted by its name."""
    parts = frame.partition_by(*KEYS, as_dict=True)
    return [summary(part) for _, part in sorted(parts.items(), key=lambda item: [str(k) for k in item[0]])]


def summary(frame: pl.DataFrame) -> dict[str, Any]:
    """The summary of one scored model, mode and form; `file` is where its answers came from."""
    first = frame.row(0, named=True)
    named = {"file": first["source"], **{name: first[name] for name in KEYS[1:]}}
    counts = _open(frame) if first["form"] == "open" else _choice(frame)
    statuses = _statuses(frame)
    errors = frame["error"].count() if "error" in frame.columns else statuses.get("api_error", 0)
    shared = {"api_error": errors, "empty": statuses.get("empty", 0), "statuses": statuses}
    done = frame.filter(COMPLETED)
    return {**named, **counts, **shared, "completed": _completed(done, first["form"])}


def letter_corrections(frame: pl.DataFrame) -> list[str]:
    """For each file, that its gold letters are not those of the options, or its own `is_correct` not what its letters say."""
    said = []
    other = (pl.col("rebuilt_gold") != pl.col("gold_letter")).fill_null(False)
    moved = frame.filter(other).group_by("source", maintain_order=True).agg(n=pl.len(), right=_RIGHT.sum() - _STORED.sum())
    for source, n, right in moved.iter_rows():
        said.append(
            f"{source}: in {counted(n, 'row')} the stored gold letter is not that of the gold answer; by the right letters "
            f"{right:+d} correct"
        )
    if "stored_correct" in frame.columns:
        unequal = frame.filter((pl.col("form") == "choice") & (pl.col("stored_correct") != pl.col("choice_correct")))
        for source, n in unequal.group_by("source", maintain_order=True).len().iter_rows():
            said.append(f"{source}: in {counted(n, 'row')} is_correct is not what the stored letters say; counted by the letters")
    return said


def mixtures(answers: Answers) -> list[str]:
    """For each dataset of several revisions, that its files cannot stand in one table."""
    found = answers.frame.group_by("dataset", "revision", maintain_order=True).agg(pl.col("model").unique().sort())
    said = []
    for (dataset,), part in found.group_by("dataset", maintain_order=True):
        if part.height > 1:
            whose = "; ".join(f"{revision}: {', '.join(models)}" for _, revision, models in part.iter_rows())
            said.append(f"{dataset}: {part.height} revisions, which no table may mix ({whose})")
    return said


def _with_options(part: pl.DataFrame, made: Mapping[tuple[str, str], Mapping[str, Choice]]) -> pl.DataFrame:
    return with_choices(part, made.get((part["dataset"][0], part["revision"][0]), {}))


def _counted(frame: pl.DataFrame, form: str) -> dict[str, int]:
    columns = ("exact_flexible", "exact_strict") if form == "open" else ("choice_correct",)
    return {"n": frame.height, **{name.removeprefix("choice_"): int(frame[name].sum()) for name in columns}}


def _completed(frame: pl.DataFrame, form: str) -> dict[str, int]:
    judged = form == "open" and _is_judged(frame)
    return {**_counted(frame, form), **({"judge_correct": int(frame["verdict"].sum())} if judged else {})}


def _is_judged(frame: pl.DataFrame) -> bool:
    return "verdict_by" in frame.columns and frame["verdict_by"].count() > 0


def _open(frame: pl.DataFrame) -> dict[str, Any]:
    if not _is_judged(frame):
        return {**_counted(frame, "open"), "judge": None}
    verdict = frame["verdict"]
    wrong = violations(frame)["problem_id"].to_list()
    unreadable = unjudged(frame).height
    by = frame["verdict_by"].drop_nulls().first()
    judge = {"by": by, "judged": verdict.count(), "correct": int(verdict.sum()), "unreadable": unreadable, "violations": wrong}
    return {**_counted(frame, "open"), "judge": judge}


def _choice(frame: pl.DataFrame) -> dict[str, Any]:
    known = frame.filter(pl.col("rebuilt_gold").is_not_null())
    options = {
        "known": known.height,
        "gold_letter_same": int((known["rebuilt_gold"] == known["gold_letter"]).sum()),
        "one_option": int(known["one_option"].sum()),
        "equal_after_normalisation": int(known["equal_options"].sum()),
    }
    return {
        **_counted(frame, "choice"),
        "extraction_failed": int(frame["extraction_failed"].sum()),
        "letter_not_among_options": int(frame["not_among"].sum()) if known.height else None,
        "options": options,
        "reread": _reread(frame),
    }


def _reread(frame: pl.DataFrame) -> dict[str, Any] | None:
    """How often letters read from the text again are the stored ones; None where no text, or none but the option's, is kept."""
    said = frame.drop_nulls("output")
    if not said.height or said["output"].eq_missing(said["answer"]).all():
        return None
    rule = rule_of(frame["model"][0])
    strict = with_choice_score(frame.with_columns(letter=letters(frame, "strict")))
    ours = {"correct": int(strict["choice_correct"].sum()), "no_letter": int(strict["extraction_failed"].sum())}
    return {"rule": rule, **agreement(frame, letters(frame, rule)), "strict": None if frame["shown"].null_count() else ours}


def _statuses(frame: pl.DataFrame) -> dict[str, int]:
    return dict(frame["status"].value_counts(sort=True).iter_rows())


def _rebuilt(problems: Problems) -> dict[str, Any]:
    """What was rebuilt of a dataset and revision, counted."""
    every = problems.problems
    return {
        "dataset": problems.name,
        "revision": problems.revision,
        "problems": len(every),
        "base_problems": len({p.base_id for p in every}),
        "triplets": sum(len(p.triplets) for p in every),
        "first_matches": sum(p.first_matches for p in every),
        "last_matches": sum(p.last_matches for p in every),
        "has_both": sum(p.has_both for p in every),
        "digest": problems.digest,
        "text_only": problems.text_only,
        **problems.notes,
    }
