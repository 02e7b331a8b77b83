"""Cascades, people and panels offline: tiny cases by hand, and DL19 with its published figures."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from qrelkit.core.errors import InputError, Mismatch, UnknownName
from qrelkit.core.qrels import Qrels
from qrelkit.core.records import Estimate
from qrelkit.core.run import Run
from qrelkit.formats.trec import read_qrels, read_runs
from qrelkit.formats.votes import read_labels
from qrelkit.measures.parse import parse_measure
from qrelkit.steps.agree import agree
from qrelkit.steps.completed import chances, completed
from qrelkit.steps.label_price import LabelPrice, of_people
from qrelkit.steps.panels import panel
from qrelkit.steps.population import population
from qrelkit.steps.triage import Dials, triage, urgency
from qrelkit.steps.triaged import Labelled, recommended


def run(tag: str, docs: str) -> Run:
    rows = [(q, d, -float(rank)) for q in ("q1", "q2") for rank, d in enumerate(docs.split())]
    return Run.of(pl.DataFrame(rows, ["query_id", "doc_id", "score"], orient="row"), tag)


def qrels(name: str, **grades: int | None) -> Qrels:
    """The same grades in both queries."""
    rows = [(q, d, g) for q in ("q1", "q2") for d, g in grades.items()]
    return Qrels.of(pl.DataFrame(rows, {"query_id": pl.String, "doc_id": pl.String, "grade": pl.Int32}, orient="row"), name)


# By the judge A is better (P@1 1 and 0), by people B; nobody shows c first, so it decides nothing.
A, B = run("A", "a c"), run("B", "b c")
JUDGE, PEOPLE = qrels("judge", a=1, b=0, c=1), qrels("people", a=0, b=1, c=0)
SHARES = Dials(shares=(0, 2 / 3), resamples=50)


def test_the_pairs_that_decide_go_first() -> None:
    found = triage("P@1", [A, B], JUDGE, human=PEOPLE, price=LabelPrice(0.01), dear_price=of_people(90, 40), dials=SHARES)
    none, some, every = found.rows
    assert [row.name for row in found.rows] == ["0 %", "66.67 %", "100 %"]
    assert [row.tau_people.value for row in found.rows] == [-1, 1, 1]
    # Differences are -1 and 1 in both queries: clear each time, first the wrong way round.
    assert [(row.settled, row.wrong) for row in found.rows] == [(0, 1), (1, 0), (1, 0)]
    # With a and b sent, c is left: people say 0, the judge 1, in both queries. po = 4/6, pe = (4·2 + 2·4) / 36.
    assert some.kappa.value == pytest.approx((4 / 6 - 16 / 36) / (1 - 16 / 36))
    assert every.kappa.value == 1
    # The judge is paid for 6 pairs, people for 4: a dollar each, 90 s each.
    assert (none.usd, some.usd, some.hours, some.sent) == pytest.approx((0.06, 4.06, 0.1, 4))
    assert found.recommended == pytest.approx(2 / 3)
    assert (found.kind, found.graded, found.draws, found.decided) == ("people", 6, 1, 1)


def test_a_cascade_beside_all_dear_labels_with_and_without_people() -> None:
    dear = qrels("dear", a=0, b=1, c=1)
    alone = triage("P@1", [A, B], JUDGE, dear=dear, dials=SHARES)
    assert [row.tau_dear.value for row in alone.rows] == [-1, 1, 1]
    assert all(math.isnan(row.tau_people.value) and math.isnan(row.kappa.value) for row in alone.rows)
    assert (alone.kind, alone.reference, alone.rows[1].settled) == ("cascade", "dear", 1)
    both = triage("P@1", [A, B], JUDGE, dear=dear, human=PEOPLE, dials=SHARES)
    assert (both.reference, both.rows[0].tau_people.value, both.rows[0].wrong) == ("people", -1, 1)
    assert both.rows[0].usd is None  # no price is known


def test_pairs_without_a_dear_label_are_never_sent_and_a_finer_scale_is_said() -> None:
    found = triage("P@1", [A, B], JUDGE, dear=qrels("dear", a=0, b=3, d=1), dials=SHARES)
    assert (found.pairs, found.rows[-1].sent) == (4, 4)
    assert [w[:40] for w in found.warnings] == [
        "dear has no grade for 2 pairs, which are",
        "judge grades to 1, the dearer assessor t",
    ]


def test_pairs_that_the_judge_was_not_asked_about_are_left_out() -> None:
    found = triage("P@1", [A, B], JUDGE, human=qrels("people", a=0, b=1, c=0, d=1), dials=SHARES)
    assert found.pairs == 6
    assert "people has 2 pairs that judge was not asked about: left out" in found.warnings


def test_the_rules_of_urgency() -> None:
    judge = qrels("judge", a=2, b=0, c=1, d=None)
    shares = {"a": (0.0, 0.5, 0.5), "b": (0.9, 0.1, 0.0), "c": (0.4, 0.6, 0.0), "d": (None, None, None)}
    told = pl.DataFrame([(d, *s) for d, s in shares.items()], schema=["doc_id", "p0", "p1", "p2"], orient="row")
    sure = Qrels(judge.frame.join(told, on="doc_id", maintain_order="left"), "judge")
    people = population(sure, levels=(0, 1, 2))
    runs, measure = [A, B], parse_measure("P@1")

    def of(rule: str, labels: Qrels = sure) -> list[float]:
        return list(urgency(people, labels, rule, runs, measure)[:4].round(3))  # q1: a, b, c, d

    assert of("label") == [2, 0, 1, math.inf]
    assert of("uncertainty") == [0.5, 0.1, 0.4, math.inf]  # 1 − the most probable grade's
    assert of("uncertainty", judge)[3] == math.inf
    assert of("uniform") == [0, 0, 0, 0]
    a, b, c, d = of("decision")
    assert min(a, b) > 0
    assert c == d == 0


def test_missing_grades_are_drawn_from_what_people_said_of_such_pairs() -> None:
    # The judge says 1 of a, b, c in q1 and q2. People graded a and b of q1: 1 and 0. With the prior of label 1 on levels 0, 1
    # (.4 and 1, so 2/7 and 5/7) everywhere is (1 + 2/7) / 3 = 3/7 for grade 0. In q1 (1 + 4 · 3/7) / 6 = 19/42; in q2 3/7.
    frame = pl.DataFrame({"query_id": ["q1", "q1"], "doc_id": ["a", "b"], "grade": [1, 0]})
    known = population(qrels("judge", a=1, b=1, c=1), Qrels.of(frame, "some"), levels=(0, 1))
    assert chances(known)[:, 0] == pytest.approx([19 / 42] * 3 + [3 / 7] * 3)
    drawn = completed(known, seed=1)
    assert len(drawn) == 5
    assert all(list(one[:2]) == [1, 0] and set(one) <= {0, 1} for one in drawn)
    assert [list(one) for one in completed(population(JUDGE, PEOPLE), seed=1)] == [[0, 1, 0, 0, 1, 0]]


def test_a_pair_stands_for_as_many_as_its_probability_says() -> None:
    # a was drawn with .25, b with .75: weights 4 and 4/3, over their mean 1.5 and .5. Grade 0: (.5 + 2/7) / 3.
    frame = pl.DataFrame({"query_id": ["q1"] * 2, "doc_id": ["a", "b"], "grade": [1, 0], "probability": [0.25, 0.75]})
    known = population(qrels("judge", a=1, b=1, c=1), Qrels.of(frame, "some"), levels=(0, 1))
    assert chances(known)[3:, 0] == pytest.approx([(0.5 + 2 / 7) / 3] * 3)


def labelled(share: float, tau: float, low: float = math.nan, settled: float = 1.0, wrong: float = 0) -> Labelled:
    nothing = Estimate(value=math.nan)
    figures = {"kappa": nothing, "kappa_quadratic": nothing, "tau_dear": nothing}
    tau_people = Estimate(value=tau, low=low, high=1.0)
    head = {"name": "", "way": "replaced", "share": share, "sent": 0, "usd": None, "hours": None}
    return Labelled(**head, **figures, tau_people=tau_people, settled=settled, wrong=wrong)  # type: ignore[arg-type]


def test_the_share_to_send_is_the_smallest_from_which_on_all_are_good_enough() -> None:
    def best(*rows: Labelled, target: float | None = None) -> float | None:
        return recommended(rows, 0.9, target)[0]

    last = labelled(1, 1, 1)
    assert best(labelled(0, 0.95, 0.91), labelled(0.5, 0.92, 0.89), last) == 1  # 0.5 is not, so 0 was luck
    assert best(labelled(0, 0.95, 0.89), labelled(0.5, 0.99, 0.95), last) == 0.5  # by the lower end
    assert best(labelled(0.5, 0.99, 0.95, settled=0.94), last) == 1
    assert best(labelled(0.5, 0.99, 0.95, wrong=1), last) == 1
    assert best(labelled(0.5, 0.99, 0.95, settled=0.94), last, target=0.95) == 0.5
    assert best(labelled(0, 0.91), last) == 0  # without an interval the value counts
    assert best(labelled(1, 0.8, 0.8)) is None


@pytest.mark.parametrize(
    ("options", "error", "said"),
    [
        ({}, InputError, "name another judge's labels"),
        ({"human": qrels("strange", z=1)}, Mismatch, "strange grades no pair of judge"),
    ],
)
def test_what_cannot_be_triaged(options: dict[str, Qrels], error: type[Exception], said: str) -> None:
    with pytest.raises(error, match=said):
        triage("P@1", [A, B], JUDGE, **options)


def test_wrong_dials_and_one_system_are_refused() -> None:
    with pytest.raises(UnknownName, match="decision"):
        Dials(rule="decide")
    with pytest.raises(InputError, match="from 0 to 1"):
        Dials(shares=(0, 5))
    with pytest.raises(InputError, match="at least two runs"):
        triage("P@1", [A], JUDGE, human=PEOPLE)


def test_a_panel_is_shown_less_its_own_best_member() -> None:
    right, half, wrong = qrels("right", a=0, b=1, c=0), qrels("half", a=0, b=1, c=1), JUDGE
    found = panel("P@1", [A, B], [right, half, wrong], PEOPLE, prices=[LabelPrice(0.01)] * 3, resamples=20)
    *members, majority, mean = found.rows
    assert [row.name for row in found.rows] == ["right", "half", "judge", "majority of 3", "mean of 3"]
    # Votes of a: 0 0 1, of b: 1 1 0, of c: 0 1 1; so the majority is `half`, whose kappa is .4 (see above), and right's 1.
    assert [round(row.kappa.value, 4) for row in members[:2]] == [1.0, 0.4]
    assert majority.kappa.value == pytest.approx(0.4)
    assert majority.over_best["kappa"].value == pytest.approx(-0.6)
    assert majority.over_best["tau_people"].value == 0
    assert (majority.usd, members[0].usd, mean.way) == (pytest.approx(0.18), pytest.approx(0.06), "panel")
    with pytest.raises(InputError, match="two or more label sets"):
        panel("P@1", [A, B], [right, right], PEOPLE)
    drawn = Qrels(PEOPLE.frame.with_columns(probability=pl.lit(0.5)), "people")
    with pytest.raises(InputError, match="people is a sample"):
        panel("P@1", [A, B], [right, half], drawn)


def test_results_say_themselves_in_every_form() -> None:
    found = triage("P@1", [A, B], JUDGE, human=PEOPLE, dear_price=of_people(90, 40), dials=SHARES)
    assert "Send 66.67 % (4 of 6 pairs, 0.1 hours): the smallest from which on" in found.text()
    assert "! a label of judge has no known price, so neither has any total" in found.text()
    told = found.json()
    assert (told["recommended"], told["rows"][0]["usd"], told["rows"][0]["tau_people"]["value"]) == (
        pytest.approx(2 / 3),
        None,
        -1,
    )
    assert told["rows"][0]["tau_dear"]["value"] is None
    assert found.csv().splitlines()[0].startswith("name,way,share,sent,usd,hours,kappa,kappa_low")
    assert found.frame.height == 3
    assert r"66.67 \%" in found.latex()


class Dl19:
    def __init__(self, folder: Path) -> None:
        self.runs: Sequence[Run] = read_runs(folder / "runs_top20.tsv.gz")
        self.people = read_qrels(folder / "qrels.human.txt", name="people")
        self.large = read_qrels(folder / "llm_labels" / "gpt-4o_umbrela.txt", name="GPT-4o")
        self.small = read_labels(str(folder / "llm_labels" / "llama3.2_umbrela_messy.txt"), "votes", name="Llama")


@pytest.fixture(scope="module")
def dl19(data: Path) -> Dl19:
    return Dl19(data / "trec_dl19")


def test_people_on_a_share_of_real_pairs(dl19: Dl19) -> None:
    """GPT-4o alone: kappa .3626, quadratic .5951, tau .916 (data/INDEX.md); 479 pairs of runs are significant (issue 4)."""
    found = triage("nDCG@10", dl19.runs, dl19.large, human=dl19.people, dials=Dials(shares=(0, 0.2), resamples=100))
    first, some, last = found.rows
    assert (round(first.kappa.value, 4), round(first.kappa_quadratic.value, 4)) == (0.3626, 0.5951)
    assert round(first.tau_people.value, 3) == 0.916
    assert (found.decided, last.tau_people.value, last.kappa.value, last.settled, last.wrong) == (479, 1, 1, 1, 0)
    assert first.tau_people.value < some.tau_people.value < 1


def test_a_sample_of_people_forecasts_what_all_of_them_show(dl19: Dl19) -> None:
    dials = Dials(shares=(0, 0.2), resamples=20)
    whole = triage("nDCG@10", dl19.runs, dl19.large, human=dl19.people, dials=dials)
    some = Qrels(dl19.people.frame.sample(800, seed=3), "sample")
    alone = agree(dl19.large, [some], resamples=2).figures.estimates["kappa"].value
    found = triage("nDCG@10", dl19.runs, dl19.large, human=some, dials=dials)
    assert (found.graded, found.draws) == (800, 5)
    assert found.rows[0].kappa.value == pytest.approx(alone, abs=0.02)  # .02 is two sd of five drawings of 8,460 grades
    for forecast, seen in zip(found.rows, whole.rows, strict=True):
        assert forecast.tau_people.value == pytest.approx(seen.tau_people.value, abs=0.05)


def test_a_real_cascade_corrected_by_chance_comes_nearer_to_the_dear_order(dl19: Dl19) -> None:
    dials = Dials(shares=(0, 0.1, 0.2), corrected=True, resamples=2)
    found = triage("nDCG@10", dl19.runs, dl19.small, dear=dl19.large, human=dl19.people, dials=dials)
    tau = {row.name: row.tau_dear.value for row in found.rows}
    assert tau["0 %"] < tau["10 % corrected"] < tau["20 % corrected"] < tau["100 %"] == tau["100 % corrected"] == 1
    assert np.isnan(next(row for row in found.rows if row.way == "corrected").kappa.value)
