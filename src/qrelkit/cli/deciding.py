"""What `compare --judge --human` prints: a judge corrected by people's grades, verdicts, a plan, and the pairs to grade next."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from qrelkit.core.qrels import Qrels
    from qrelkit.core.run import Run
    from qrelkit.project.project import Project
    from qrelkit.steps.corrected import Estimand


@dataclass(frozen=True, kw_only=True)
class Asked:
    """What was asked for on the command line."""

    measure: str
    settle: bool
    plan: bool
    estimand: str
    most: int
    seconds: float | None
    next_pairs: str
    n: int
    seed: int
    form: str


def decide_files(
    asked: Asked, runs: Sequence[Run], judge: str, human: str, columns: Mapping[str, str], split: Mapping[str, Any]
) -> None:
    """`compare MEASURE --runs … --judge J [--human H]`."""
    from qrelkit.formats.files import read_any_qrels
    from qrelkit.formats.samples import read_sample
    from qrelkit.steps.families import family_warnings, models_of

    people, grader = read_sample(human, columns=columns) if human else None, read_any_qrels(judge, columns=columns)
    put_decision(asked, runs, grader, people, warnings=family_warnings(models_of(runs), [grader.name]), **split)


def decide_project(asked: Asked, project: Project, tags: Sequence[str], split: Mapping[str, Any]) -> None:
    """`compare [MEASURE] [A B] --settle` in a project; says how to have the next pairs graded while anything is undecided."""
    from qrelkit.cli.output import say
    from qrelkit.core.errors import InputError
    from qrelkit.project.deciding import decision_of

    if asked.next_pairs:
        raise InputError("in a project people grade sheets: `qrelkit review --to SHEET.csv --choose decision -n 20`")
    found = decision_of(project, asked.measure, tags)
    told = replace(asked, measure=found.measure, seconds=asked.seconds or found.seconds)
    weights, further = split["weights"] or found.weights, {"levels": found.levels, "warnings": found.warnings}
    if put_decision(told, found.runs, found.judge, found.human, by=split["by"], weights=weights, **further):
        between = f" --between {' '.join(tags)}" if tags else ""
        say(f"next: qrelkit review --to next.csv --choose decision{between} --measure {told.measure} -n {asked.n}")


def put_decision(asked: Asked, runs: Sequence[Run], judge: Qrels, human: Qrels | None, **options: Any) -> bool:
    """Decides, prints, and writes the next pairs to grade where they were asked for and something is undecided, which it says."""
    from qrelkit.cli.output import in_a_pipe, put_json, put_text, warn
    from qrelkit.core.errors import InputError
    from qrelkit.steps.corrected import LIKE
    from qrelkit.steps.decision import decide

    estimand = estimand_of(asked.estimand)
    if asked.settle and estimand == LIKE:
        raise InputError("--settle is about these queries; more labels cannot settle what more queries would say")
    dials = {"sequential": asked.settle, "plan": asked.plan, "estimand": estimand, "most": asked.most, "seconds": asked.seconds}
    if asked.next_pairs:
        refuse_existing(asked.next_pairs)
    found = decide(asked.measure, runs, judge, human, **dials, **options)  # type: ignore[arg-type]
    form = asked.form or ("tsv" if in_a_pipe() else "text")
    if form == "json":
        put_json(found.json())
    else:
        if form != "text":
            warn(found.warnings)
        put_text(found, form)
    undecided = not all(verdict.better for verdict in found.verdicts)
    if asked.next_pairs and undecided:
        write_next(asked, runs, judge, human)
    return undecided


def estimand_of(name: str) -> Estimand:
    """The estimand that `these` or `like` names. UnknownName for another word."""
    from qrelkit.core.errors import UnknownName
    from qrelkit.steps.corrected import LIKE, THESE

    named: dict[str, Estimand] = {"these": THESE, "like": LIKE, THESE: THESE, LIKE: LIKE}
    if name not in named:
        raise UnknownName("estimand", name, ["these", "like"])
    return named[name]


def put_corrected(
    measures: Sequence[str],
    runs: Sequence[Run],
    files: tuple[str, str],
    columns: Mapping[str, str],
    estimand: str,
    form: str,
    **options: Any,
) -> None:
    """Prints every system's measures by the judge alone, by people alone and corrected; and figures of the pool (prevalence,
    kappa)."""
    from qrelkit.cli.output import in_a_pipe, put_json, put_text
    from qrelkit.formats.files import read_any_qrels
    from qrelkit.formats.samples import read_sample
    from qrelkit.steps.corrections import corrections

    judge, human = read_any_qrels(files[0], columns=columns), read_sample(files[1], columns=columns)
    found = corrections(measures, runs, judge, human, estimand=estimand_of(estimand), **options)
    form = form or ("tsv" if in_a_pipe() else "text")
    if form == "json":
        put_json(found.json())
    else:
        put_text(found, form)


def refuse_existing(path: str) -> None:
    """Raises InputError where the pairs to grade next would be written over a file that is there."""
    from pathlib import Path

    from qrelkit.core.errors import InputError
    from qrelkit.formats.samples import probabilities_path

    for file in (Path(path), probabilities_path(path)):
        if file.exists():
            raise InputError(f"{file} exists already, perhaps with grades in it; take another name")


def write_next(asked: Asked, runs: Sequence[Run], judge: Qrels, human: Qrels | None) -> None:
    """Writes the pairs that people should grade next, and beside them the probabilities they were drawn with."""
    from pathlib import Path

    from qrelkit.cli.output import say
    from qrelkit.core.files import write_whole
    from qrelkit.formats.samples import probabilities_path, write_probabilities
    from qrelkit.steps.choose import choose

    target = Path(asked.next_pairs)
    drawn = choose(judge, asked.n, human=human, runs=runs, measure=asked.measure, seed=asked.seed)
    write_probabilities(drawn, probabilities_path(target))
    write_whole(drawn.select("query_id", "doc_id").write_csv(separator="\t").encode("utf-8"), target)
    say(f"{drawn.height} pairs to grade next in {target}; append their grades to the human qrels,")
    say(f"and the rows of {probabilities_path(target)} to the probabilities beside them")
