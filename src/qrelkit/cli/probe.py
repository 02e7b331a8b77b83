"""probe: the run sorted by the judge's own labels, among the systems."""

from __future__ import annotations

import typer

from qrelkit.cli.context import COLLAPSE, COLUMNS, JSON, PARENTS, PROJECT, open_project, refuse_without_files


def probe(
    measure: str = typer.Argument("", metavar="[MEASURE]", help="For example nDCG@10."),
    runs: list[str] = typer.Option([], "--runs", metavar="FILE...", help="The systems."),
    judge: str = typer.Option("", "--judge", metavar="J.qrels", help="The judge's labels of the pool."),
    human: str = typer.Option(
        "", "--human", metavar="H.qrels", help="People's grades; H.prob.tsv beside them where drawn by chance."
    ),
    ties: str = typer.Option("chance", "--ties", help="How equal labels are ordered: chance, or fused (ranks of the systems)."),
    collapse: bool = COLLAPSE,
    parents: str = PARENTS,
    columns: str = COLUMNS,
    seed: int = typer.Option(0, "--seed", help="Seed of the order of equal labels."),
    project: str = PROJECT,
    as_json: bool = JSON,
) -> None:
    """Put the run that is sorted by the judge's own labels among the systems: who believes it?

    Without files: the project's systems, its judge, and what people graded of the pairs drawn by `review --choose`.
    """
    from qrelkit.cli.output import put, put_json, warn
    from qrelkit.core.errors import InputError
    from qrelkit.formats.files import column_map, distinct_runs, read_any_qrels
    from qrelkit.formats.samples import read_sample
    from qrelkit.project.deciding import decision_of
    from qrelkit.project.judging import each_judge
    from qrelkit.steps.probe import probe as examine

    if runs or judge or human:
        if not (measure and runs and judge):
            raise InputError("probe needs a measure, --runs and --judge (and --human); in a project it needs none of them")
        names = column_map(columns)
        systems = distinct_runs(runs, collapse=collapse, parents=parents, columns=names)
        people = read_sample(human, columns=names) if human else None
        found = examine(measure, systems, read_any_qrels(judge, columns=names), people, ties=ties, seed=seed)
    else:
        refuse_without_files(collapse=collapse, parents=parents, columns=columns)
        with open_project(project) as opened:
            asked = decision_of(opened, measure)
            models = opened.config.systems
            judges = [stage.model for stage in each_judge(opened.config.judge)]
        dials = {"levels": asked.levels, "weights": asked.weights, "models": models, "judge_models": judges}
        found = examine(asked.measure, asked.runs, asked.judge, asked.human, ties=ties, seed=seed, **dials)  # type: ignore[arg-type]
        warn([text for text in asked.warnings if text not in found.warnings])
    warn(found.warnings)
    if as_json:
        put_json(found.json())
    else:
        put(found.text())
