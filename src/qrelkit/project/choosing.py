"""What a project's people should grade next: drawn from what its judge said, for the systems in question."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import polars as pl

from qrelkit.core.errors import InputError, UnknownName
from qrelkit.core.qrels import Qrels
from qrelkit.project.drawing import Drawing, seed_of
from qrelkit.project.line import line_of
from qrelkit.project.project import Project
from qrelkit.project.review import known_to_people
from qrelkit.steps.choose import choose
from qrelkit.steps.forgotten import without_forgotten
from qrelkit.steps.judge import Judged
from qrelkit.steps.run import judged_so_far

PAIR = ["query_id", "doc_id"]


def draw(
    project: Project, sheet: Path, *, rule: str, n: int, between: Sequence[str] = (), measure: str = "", seed: int = 0
) -> Drawing:
    """`n` pairs of the pool that people have not graded, by a rule of `choose`, for a sheet of that name.

    `between` are the tags of the systems in question, all by default; `measure` is the project's first by default. Raises
    InputError while nothing is judged, UnknownName for a system, and what `choose` raises.
    """
    line = line_of(project)
    judged = judged_so_far(line)
    if judged is None:
        raise InputError("nothing is judged yet, so there is nothing to draw by: `qrelkit judge` comes first")
    systems = {run.tag: run for run in line.runs}
    for tag in between:
        if tag not in systems:
            raise UnknownName("system", tag, systems)
    model = judged.qrels()
    frame = choose(
        Qrels(without_forgotten(model.frame, project.store), model.name),
        n,
        rule=rule,
        human=known_to_people(project),
        runs=[systems[tag] for tag in between] or list(line.runs),
        measure=measure or line.measures[0],
        panel=panel_of(project, judged) if rule == "spread" else (),
        levels=project.scale.values,
        seed=seed_of(seed, sheet, rule, n),
    )
    return Drawing(rule=rule, frame=frame)


def panel_of(project: Project, judged: Judged) -> list[Qrels]:
    """The votes of the members of the project's panel, as the qrels of each. Empty where the judge is no panel."""
    members = [member.name for member in getattr(judged.judge, "judges", ())]
    rows = project.store.judgments(judged.judge.key).unique(PAIR, keep="last", maintain_order=True)
    told = pl.when(pl.col("details") != "").then(pl.col("details"))
    votes = [
        rows.select(*PAIR, grade=told.str.json_path_match(f"$.votes[{_quoted(name)}]").cast(pl.Int32, strict=False))
        for name in members
    ]
    return [Qrels.of(frame, name) for frame, name in zip(votes, members, strict=True) if frame["grade"].count()]


def _quoted(name: str) -> str:
    return "'" + name.replace("\\", "\\\\").replace("'", "\\'") + "'"
