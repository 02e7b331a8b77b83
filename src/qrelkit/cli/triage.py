"""triage: how much to send to a dearer judge, or to people."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import typer

from qrelkit.cli.context import JSON, PROJECT, open_project

if TYPE_CHECKING:
    from qrelkit.steps.triaged import Triage

SHARES = "0,0.01,0.02,0.05,0.1,0.15,0.2,0.3,0.4,0.5,0.75,1"


def triage(
    measure: str = typer.Argument("", metavar="[MEASURE]", help="For example nDCG@10."),
    runs: list[str] = typer.Option([], "--runs", metavar="FILE...", help="Two or more runs."),
    judge: str = typer.Option("", "--judge", metavar="FILE", help="The judge's labels, which every pair has."),
    dear: str = typer.Option("", "--dear", metavar="FILE", help="A dearer judge's labels; without it, pairs are sent to people."),
    human: str = typer.Option("", "--human", metavar="FILE", help="People's grades, all or a sample (with its .prob.tsv)."),
    panel: list[str] = typer.Option([], "--panel", metavar="FILE...", help="Instead: several judges' labels, and their votes."),
    votes: list[str] = typer.Option([], "--votes", metavar="RULE", help="With --panel: majority, median, mean."),
    rule: str = typer.Option("decision", "--rule", help="Which go first: decision, uncertainty, label or uniform."),
    shares: str = typer.Option(SHARES, "--shares", help="The shares of the pairs to send."),
    corrected: bool = typer.Option(False, "--corrected", help="Also as many drawn by chance, and the judge corrected by them."),
    target: float = typer.Option(None, "--target", help="The tau-b that is wanted with sending all."),
    price: list[str] = typer.Option(
        [], "--price", metavar="PRICE", help="The judge's, per label: 0.002, 0.002EUR, gpt-4o:900+60"
    ),
    dear_price: str = typer.Option("", "--dear-price", metavar="PRICE", help="The dearer judge's per label."),
    prices: str = typer.Option("", "--prices", metavar="FILE", help="The price file with models and currencies."),
    seconds: float = typer.Option(None, "--seconds", help="What a label takes a person."),
    hourly: str = typer.Option("", "--hourly", metavar="AMOUNT", help="What an hour of a person costs: 40 or 40EUR."),
    duplicates: str = typer.Option("error", "--duplicates", metavar="RULE", help="first, last, max, min, or votes."),
    seed: int = typer.Option(0, "--seed", help="Seed of ties, drawings and intervals."),
    form: str = typer.Option("", "--format", help="text (in a terminal), tsv (in a pipe), csv, latex or json."),
    project: str = PROJECT,
    as_json: bool = JSON,
) -> None:
    """What to send to a dearer judge or to people: cost, agreement, order and verdicts for every share; the one to choose.

    Without --runs and --judge: the project's systems, judge and people.
    """
    from qrelkit.cli.output import in_a_pipe, put_json, put_text, warn
    from qrelkit.core.errors import InputError
    from qrelkit.formats.files import distinct_runs
    from qrelkit.formats.samples import read_sample
    from qrelkit.formats.votes import read_labels
    from qrelkit.models.prices import Prices, read_prices
    from qrelkit.steps.label_price import dollars, label_price, of_people
    from qrelkit.steps.triage import Dials

    try:
        asked = [float(share) for share in shares.split(",")]
    except ValueError:
        raise InputError(f"--shares takes numbers such as 0,0.05,1; found {shares!r}") from None
    table = read_prices(prices) if prices else Prices()
    paid = [label_price(one, table) for one in price]
    given: dict[str, Any] = {
        "measure": measure,
        "runs": distinct_runs(runs),
        "judge": read_labels(judge, duplicates) if judge else None,
        "human": read_sample(human) if human else None,
    }
    if not runs and not judge and not panel:
        given = in_project(project, given)
    if not (given["measure"] and given["runs"]):
        raise InputError("triage needs a measure, --runs, and --judge or --panel; in a project it needs none of them")
    if panel:
        members = [read_labels(path, duplicates) for path in panel]
        found = panelled(given, members, rules=votes or ("majority", "mean"), prices=paid, seed=seed)
    else:
        dearer = read_labels(dear, duplicates) if dear else None
        people = of_people(seconds, dollars(hourly, table) if hourly else None)
        costs = {"dear_price": label_price(dear_price, table) if dear_price else people}
        costs |= {"price": paid[0]} if paid else {}
        dials = Dials(shares=asked, rule=rule, corrected=corrected, target=target, seed=seed)
        found = sent(given, dear=dearer, dials=dials, **costs)
    form = "json" if as_json else form or ("tsv" if in_a_pipe() else "text")
    if form == "json":
        put_json(found.json())
        return
    if form != "text":
        warn(found.warnings)
    put_text(found, form)


def sent(given: dict[str, Any], **options: Any) -> Triage:
    """A cascade, or pairs sent to people."""
    from qrelkit.core.errors import InputError
    from qrelkit.steps.triage import triage as send

    if given["judge"] is None:
        raise InputError("--judge FILE says whose labels every pair has")
    return send(given["measure"], given["runs"], given["judge"], human=given["human"], **options)


def panelled(given: dict[str, Any], members: list[Any], **options: Any) -> Triage:
    """A panel beside its members."""
    from qrelkit.core.errors import InputError
    from qrelkit.steps.panels import panel

    if given["human"] is None:
        raise InputError("a panel is compared with its members beside people: name their grades with --human FILE")
    if options["prices"] and len(options["prices"]) != len(members):
        raise InputError(f"--price is said once for each of the {len(members)} members, in their order, or not at all")
    return panel(given["measure"], given["runs"], members, given["human"], **options)


def in_project(path: str, given: dict[str, Any]) -> dict[str, Any]:
    """What the project says where the command line does not: measure, systems, judge's labels so far, people."""
    from qrelkit.core.errors import InputError
    from qrelkit.project.line import line_of
    from qrelkit.steps.run import judged_so_far

    with open_project(path) as opened:
        line = line_of(opened)
        judged = judged_so_far(line)
        if judged is None:
            raise InputError("nothing is judged yet: `qrelkit judge` comes first")
        human = given["human"] or next(iter(line.human.values()), None)
        return {
            "measure": given["measure"] or line.measures[0],
            "runs": list(line.runs),
            "judge": judged.qrels(),
            "human": human,
        }
