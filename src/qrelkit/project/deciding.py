"""A project's side of a decision: the systems in question, its judge's grades, and what people graded so far."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from qrelkit.core.errors import InputError, UnknownName
from qrelkit.core.qrels import Qrels
from qrelkit.core.run import Run
from qrelkit.measures.parse import parse_measure
from qrelkit.project.judging import each_judge
from qrelkit.project.line import line_of
from qrelkit.project.project import Project
from qrelkit.project.review import pace, sample
from qrelkit.steps.families import family_warnings, models_of
from qrelkit.steps.run import decided, judged_so_far, known


@dataclass(frozen=True, kw_only=True)
class Deciding:
    """What `decide` needs of a project; `human` is None while nobody graded a pair."""

    measure: str
    runs: Sequence[Run]
    judge: Qrels
    human: Qrels | None
    levels: Sequence[int]
    weights: Mapping[str, float] | None
    seconds: float | None
    warnings: Sequence[str]


def split_names(names: Sequence[str], tags: Sequence[str] | None = None) -> tuple[str, list[str]]:
    """The measure ("" where none is named) and the systems among the words of a command line."""
    measure, systems = "", []
    for name in names:
        if not measure and is_measure(name) and not (tags and name in tags):
            measure = name
        else:
            systems.append(name)
    if systems and tags is not None:
        raise InputError(f"{systems[0]!r} is no measure, and with --runs the systems are the files' ({', '.join(tags[:5])})")
    return measure, systems


def is_measure(name: str) -> bool:
    try:
        parse_measure(name)
    except InputError:
        return False
    return True


def decision_of(project: Project, measure: str = "", tags: Sequence[str] = ()) -> Deciding:
    """The project's systems (all, or those named), its judge's grades of the pool, and the grades of people.

    Pairs drawn by `review --choose` count with the probabilities of their drawing. Raises InputError while nothing is judged,
    UnknownName for a system that the project does not have.
    """
    line = line_of(project)
    runs = {run.tag: run for run in line.runs}
    for tag in tags:
        if tag not in runs:
            raise UnknownName("system", tag, runs)
    judged = judged_so_far(line)
    if judged is None:
        raise InputError("nothing is judged yet, so there is no judge to correct: `qrelkit judge` comes first")
    people, told = sample(project)
    chosen = [runs[tag] for tag in tags] or list(line.runs)
    named = {tag: model for tag, model in project.config.systems.items() if tag in {run.tag for run in chosen}}
    families = family_warnings(models_of(chosen, named), [stage.model for stage in each_judge(project.config.judge)])
    return Deciding(
        measure=measure or str(line.measures[0]),
        runs=chosen,
        judge=judged.qrels(),
        human=people,
        levels=project.scale.values,
        weights=project.weights(),
        seconds=pace(project.store),
        warnings=(*told, *families),
    )


def views_of(
    project: Project, measure: str, tags: Sequence[str]
) -> tuple[list[Run], list[Qrels], str, Mapping[str, float] | None]:
    """What a plain comparison takes of a project: its systems, the grades that count (people's where they graded the pool, else
    its judge's), the measure and the weights. UnknownName for a system that it does not have."""
    people, told = sample(project)
    done = decided(known(line_of(project)), people, warnings=told)
    runs = {run.tag: run for run in done.line.runs}
    for tag in tags:
        if tag not in runs:
            raise UnknownName("system", tag, runs)
    chosen = [runs[tag] for tag in tags] or list(runs.values())
    return chosen, list(done.views.values())[:1], measure or str(done.line.measures[0]), project.weights()
