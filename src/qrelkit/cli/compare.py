"""compare: significant differences between systems, the correlation of two rankings, or a decision from few human grades."""

from __future__ import annotations

import typer

from qrelkit.cli.context import COLLAPSE, COLUMNS, JSON, PARENTS, PROJECT, open_project, refuse_without_files


def compare(
    names: list[str] = typer.Argument(None, metavar="[MEASURE] [TAG]...", help="For example nDCG@10; in a project systems too."),
    runs: list[str] = typer.Option([], "--runs", metavar="FILE...", help="Two or more runs."),
    qrels: list[str] = typer.Option([], "--qrels", metavar="FILE", help="One: differences. Two: correlation of the rankings."),
    judge: str = typer.Option("", "--judge", metavar="FILE", help="A judge's grades of all pairs, to be corrected by --human."),
    human: str = typer.Option("", "--human", metavar="FILE", help="People's grades of some; FILE.prob.tsv: how they were drawn."),
    settle: bool = typer.Option(False, "--settle", help="Verdicts that stay valid however often one looks."),
    plan: bool = typer.Option(False, "--plan", help="Say how many labels and minutes settling takes."),
    estimand: str = typer.Option(
        "these", "--estimand", help="The mean over these queries (these), or queries like these (like)."
    ),
    most: int = typer.Option(1000, "--most", min=1, help="Further labels beyond which settling is not worth it."),
    seconds: float = typer.Option(None, "--seconds-per-label", min=0.1, help="A label's pace (the measured one, or 20)."),
    next_pairs: str = typer.Option("", "--next", metavar="FILE", help="Write the pairs to grade next, if anything is undecided."),
    n: int = typer.Option(20, "-n", min=1, help="How many pairs --next writes."),
    tops: str = typer.Option("10,20", "--tops", help="The k of top-k tau."),
    leave_out_empty: bool = typer.Option(False, "--leave-out-empty", help="Leave out queries without a relevant document."),
    queries: str = typer.Option("", "--queries", metavar="FILE", help="A table of queries with further columns."),
    by: str = typer.Option("", "--by", metavar="COLUMN", help="Also within each value of a column of --queries."),
    weight: str = typer.Option("", "--weight", metavar="COLUMN", help="Weight the queries by a column of --queries."),
    collapse: bool = COLLAPSE,
    parents: str = PARENTS,
    columns: str = COLUMNS,
    seed: int = typer.Option(0, "--seed", help="Seed of the randomisation test, of the intervals and of --next."),
    form: str = typer.Option("", "--format", help="text (in a terminal), tsv (in a pipe), csv, latex or json."),
    project: str = PROJECT,
    as_json: bool = JSON,
) -> None:
    """Compare systems (randomisation and t-test, Holm), two rankings of them, or correct a judge by few human grades and decide.

    Without --runs: the project's systems under its human judgments, or its judge's where there are none; with --settle or --plan
    its judge corrected by what people graded.
    """
    from qrelkit.cli.deciding import Asked, put_decision
    from qrelkit.cli.output import in_a_pipe, put_json, put_statistics, put_text, say, warn
    from qrelkit.core.errors import InputError
    from qrelkit.formats.files import column_map, distinct_runs, group_of, named_qrels, read_any_qrels, weight_of
    from qrelkit.formats.samples import read_sample
    from qrelkit.project.deciding import decision_of, split_names
    from qrelkit.project.line import line_of
    from qrelkit.project.review import sample
    from qrelkit.steps.compare import compare as contrast
    from qrelkit.steps.families import family_warnings, models_of
    from qrelkit.steps.run import decided, known

    try:
        ks = [int(k) for k in tops.split(",")]
    except ValueError:
        raise InputError(f"--tops takes numbers such as 10,20; found {tops!r}") from None
    renamed, weights = column_map(columns), weight_of(queries, weight)
    named = list(named_qrels(qrels, columns=renamed).values())
    systems = distinct_runs(runs, collapse=collapse, parents=parents, columns=renamed)
    measure, tags = split_names(names or [], [run.tag for run in systems] if runs else None)
    form = "json" if as_json else form
    split = {"by": group_of(queries, by), "weights": weights}
    asked = {"settle": settle, "plan": plan, "estimand": estimand, "most": most, "next_pairs": next_pairs, "n": n, "seed": seed}
    if judge or human:
        if not (judge and runs and measure) or qrels:
            raise InputError("--judge (and --human, once people graded) go with a measure and --runs, and without --qrels")
        graded = read_sample(human, columns=renamed) if human else None
        told = Asked(measure=measure, seconds=seconds, **asked)  # type: ignore[arg-type]
        grader = read_any_qrels(judge, columns=renamed)
        families = family_warnings(models_of(systems), [grader.name])
        put_decision(told, systems, grader, graded, form, warnings=families, **split)
        return
    if not qrels and not runs:
        refuse_without_files(collapse=collapse, parents=parents, columns=columns)
        with open_project(project) as opened:
            if next_pairs:
                raise InputError("in a project people grade sheets: `qrelkit review --to SHEET.csv --choose decision -n 20`")
            if settle or plan:
                found = decision_of(opened, measure, tags)
                told = Asked(measure=found.measure, seconds=seconds or found.seconds, **asked)  # type: ignore[arg-type]
                further = {
                    "levels": found.levels,
                    "warnings": found.warnings,
                    "weights": weights or found.weights,
                    "by": split["by"],
                }
                if put_decision(told, found.runs, found.judge, found.human, form, **further):
                    between = f" --between {' '.join(tags)}" if tags else ""
                    say(f"next: qrelkit review --to next.csv --choose decision{between} --measure {told.measure} -n {n}")
                return
            people, told_of = sample(opened)
            done = decided(known(line_of(opened)), people, warnings=told_of)
            split["weights"] = weights or opened.weights()
        systems = [run for run in done.line.runs if not tags or run.tag in tags]
        named, measure = list(done.views.values())[:1], measure or str(done.line.measures[0])
    elif settle or plan or next_pairs:
        raise InputError("--settle, --plan and --next need --judge (and --human, once people graded), or a project")
    elif not (qrels and runs and measure):
        raise InputError("compare needs a measure, --runs and --qrels; in a project it needs none of them")
    result = contrast(measure, systems, named, tops=ks, leave_out_empty=leave_out_empty, seed=seed, **split)  # type: ignore[arg-type]
    form = form or ("tsv" if in_a_pipe() else "text")
    if form == "json":
        put_json(result.json())
        return
    if form != "text":
        warn(result.warnings)
    if form == "tsv" and len(named) == 2:
        put_statistics(result.json())
    else:
        put_text(result, form)
