"""A judge corrected by people on the page: the corrected table, verdicts and words, and a headline that claims no more."""

from __future__ import annotations

from typing import Any

from qrelkit.reports.decisions import corrects
from qrelkit.reports.headline import corrected, headline
from qrelkit.reports.html import figures, html
from qrelkit.reports.report import Report
from qrelkit.reports.sections import outline
from qrelkit.reports.tables import BEST, Section, Table
from qrelkit.reports.text import text
from report.example_report import stat

HEADING = "AP, mean over these queries (40); 60 of 800 pairs graded by people (sampled pairs)"
CONCLUSIONS = {
    "may": ["that x is better than z (+0.2000 [+0.1000, +0.3000]), by AP over these queries"],
    "may_not": [
        "which of x and y is better, nor that they are equal (-0.0100 [-0.0600, +0.0400])",
        "that it would be so elsewhere",
    ],
}


def comparison(a: str, b: str, diff: float, verdict: str = "undecided", more: int | None = 0, **judged: Any) -> dict[str, Any]:
    sides = {"judge_only": judged or stat(diff), "human_only": stat(diff), "corrected": stat(diff)}
    minutes = None if more is None else more / 3
    return {"a": a, "b": b, **sides, "verdict": verdict, "labels": 60, "labels_more": more, "minutes_more": minutes}


def decision(*comparisons: dict[str, Any], **change: Any) -> dict[str, Any]:
    """Three systems; by the judge y is first, corrected x is."""
    values = {"y": (0.62, 0.49, 0.49), "x": (0.60, 0.48, 0.50), "z": (0.40, 0.31, 0.30)}
    systems = {
        tag: {"judge_only": stat(judge), "human_only": stat(people), "corrected": stat(both), "shrunk": both - 0.01}
        for tag, (judge, people, both) in values.items()
    }
    default = (
        comparison("y", "x", -0.01, more=90, value=0.02, low=-0.01, high=0.05),
        comparison("x", "z", 0.2, "x is better"),
        comparison("y", "z", 0.19, "y is better"),
    )
    said = {"measure": "AP", "estimand": "these queries", "design": "by pair", "heading": HEADING, "judge": "gpt", "human": "ann"}
    said |= {"queries": 40, "labels": 60, "pairs_judged": 800, "trust": 0.6, "bend": 0.012, "systems": systems}
    said |= {"comparisons": list(comparisons or default), "sequential": True, "conclusions": CONCLUSIONS, "warnings": ["a word"]}
    return said | change


def section(key: str = "decision", **sections: Any) -> Section:
    return next(s for s in outline(Report.of(**sections)) if s.key == key)


def row(table: Table, name: str) -> list[str]:
    return next([str(cell).replace("\N{NO-BREAK SPACE}", " ") for cell in r.cells] for r in table.rows if r.name == name)


def test_the_corrected_table_names_estimand_and_design_and_is_in_the_order_to_rank_by() -> None:
    found = section(decision=decision())
    systems, _ = found.tables
    assert systems.caption == HEADING
    assert systems.head == ("system", "judge only", "people only", "corrected", "to rank by")
    assert [r.name for r in systems.rows] == ["x", "y", "z"]  # .49, .48, .29
    assert row(systems, "x") == ["0.6000 [0.550, 0.650]", "0.4800 [0.430, 0.530]", "0.5000 [0.450, 0.550]", f"0.4900 {BEST}"]
    assert found.plot is not None
    assert found.plot.lanes == ("judge only", "people only", "corrected")
    assert list(found.notes) == [
        "Ranked with 60\N{NO-BREAK SPACE}% of the correction; sampled pairs may leave a bias of about 0.0120 in a value.",
        "a word",
    ]


def test_verdicts_stand_upright_with_what_they_still_take() -> None:
    _, verdicts = section(decision=decision()).tables
    assert row(verdicts, "x − z")[2:] == ["x is better", "60 were enough"]
    # y − x turned round, the judge's own difference with it
    assert row(verdicts, "x − y") == [
        "+0.0100 [−0.040, +0.060]", "−0.0200 [−0.050, +0.010]", "undecided", "90 more about 30 min",
    ]  # fmt: skip
    far = comparison("x", "y", 0.001, more=None)
    assert row(section(decision=decision(far)).tables[1], "x − y")[3] == "too many not worth it"
    slow = comparison("x", "y", 0.001, more=540)  # 180 minutes
    assert row(section(decision=decision(slow)).tables[1], "x − y")[3] == "540 more about 3 h"


def test_hundreds_of_verdicts_are_folded_and_counted() -> None:
    many = [comparison("x", f"s{i}", 0.001 * i, more=9) for i in range(400)]
    found = section(decision=decision(*many))
    assert [len(t.rows) for t in (*found.tables, *found.more)] == [3, 15, 300]
    assert "85 further differences are only in the report’s JSON." in found.notes  # 400 − 15 − 300
    assert "First x against its closest rivals" in found.lead


def test_the_words_are_on_the_page_and_in_the_text() -> None:
    report = Report.of(decision=decision())
    page, shown = html(report), " ".join(text(report).split())
    assert page.index("<h3>You may conclude</h3>") < page.index("<h3>You may not conclude</h3>")
    assert "(−0.0100 [−0.0600,\N{NO-BREAK SPACE}+0.0400]);</li>" in page
    assert "You may conclude that x is better than z (+0.2000 [+0.1000, +0.3000]), by AP over these queries." in shown
    assert "You may not conclude that it would be so elsewhere." in shown


def test_where_nothing_may_be_concluded_that_is_said() -> None:
    found = section(decision=decision(conclusions={"may": [], "may_not": ["that"]}))
    assert (list(found.may), list(found.may_not)) == ([], ["anything about which system is better", "that"])


def test_words_have_true_minus_signs_and_names_keep_their_hyphens() -> None:
    said = "that bm25-1 is better than t-5 (-0.10 [-0.20, -0.05]), at 95 %, all pairs"
    assert figures(said) == "that bm25-1 is better than t-5 (−0.10 [−0.20,\N{NO-BREAK SPACE}−0.05]), at 95 %, all pairs"


def test_the_headline_claims_of_the_first_two_what_their_verdict_does() -> None:
    def told(**change: Any) -> list[str]:
        return [s.replace("\N{NO-BREAK SPACE}", " ") for s in corrected(decision(**change))]

    assert told() == [
        "x (0.500 [0.450, 0.550]) ranks first in AP, by gpt’s grades corrected with people’s of 60 of 800 pairs.",
        "Whether it is better than y (+0.0100 [−0.040, +0.060]) is undecided; about 90 more labels would settle it. "
        "It is better than 1 of 2 other systems.",
        "By gpt alone, the answer would be another: y (0.620 [0.570, 0.670]).",
    ]

    def duel(**change: Any) -> str:
        pair = comparison("x", "y", 0.01) | change
        said = corrected(decision(pair, comparison("z", "x", -0.2)))
        return said[1].replace("\N{NO-BREAK SPACE}", " ").partition(". ")[0]

    assert duel(verdict="x is better") == "That it is better than y (+0.0100 [−0.040, +0.060]) is settled"
    assert duel(verdict="y is better") == "Yet it is settled that y is better (+0.0100 [−0.040, +0.060])"
    assert duel(labels_more=None).endswith("is undecided, and the difference too small to be worth settling")


def test_where_people_graded_everything_only_the_words_are_left() -> None:
    pair = {"a": "x", "b": "y", "measure": "AP", "diff": 0.1, "low": 0.05, "high": 0.15, "p_holm": 0.01}
    census = decision(design="census")
    assert not corrects(census)
    said = {"pairs": [pair], "conclusions": CONCLUSIONS}
    assert [s.key for s in outline(Report.of(decision=census, **said))] == ["pairs"]
    found = section("pairs", decision=census, **said)
    assert list(found.may) == CONCLUSIONS["may"]
    assert list(found.notes) == ["People graded all 800 pairs, so nothing has to be corrected."]
    why = section("pairs", decision={"reason": "no grade was drawn by chance"}, **said)
    assert list(why.notes) == ["The judge is not corrected by people: no grade was drawn by chance."]


def test_too_few_queries_for_the_test_are_not_called_chance() -> None:
    scores = {"human": {"x": {"AP": stat(0.6, n=5)}, "y": {"AP": stat(0.1, n=5)}}}
    pair = {"a": "x", "b": "y", "measure": "AP", "queries": 5, "diff": 0.5, "low": 0.43, "high": 0.6, "p_holm": 0.0625}
    # of 2⁵ = 32 patterns of signs two are as extreme as any: p is 2 / 32 at least
    lead = headline(scores, "AP", [pair])[1].replace("\N{NO-BREAK SPACE}", " ")
    assert lead == (
        "Its lead over y, 0.5000 [0.430, 0.600], is open: 5 queries are too few for the test to tell (p cannot fall below 0.062)."
    )
    found = section("pairs", pairs=[pair])
    assert found.lead.endswith("5 queries are too few for that test: p cannot fall below 0.062.")
    six = {**pair, "queries": 6, "p_holm": 0.03125}  # 2 / 64 is below 0.05
    assert "is hardly chance" in headline(scores, "AP", [six])[1]
    assert "too few" not in section("pairs", pairs=[six]).lead
    # two comparisons of six queries: Holm leaves 2 · 2 / 64 = 0.0625 at least
    both = [six, {**six, "a": "y", "b": "z"}]
    assert "6 queries are too few" in section("pairs", pairs=both).lead


def test_ranges_over_documents_without_a_grade_stand_below_the_interval() -> None:
    scores = {"human": {"x": {"AP": {**stat(0.4), "range": [0.312, 0.85]}}, "y": {"AP": {**stat(0.3), "range": [0.3, 0.3001]}}}}
    found = section("scores", scores=scores)
    assert row(found.tables[0], "x") == [f"0.4000 [0.350, 0.450] holes [0.312, 0.850] {BEST}"]
    assert row(found.tables[0], "y") == ["0.3000 [0.250, 0.350]"]  # nothing could move it as far as is shown
    assert "“holes” is the lowest and the highest" in found.lead
    assert "holes" not in section("scores", scores={"human": {"x": {"AP": stat(0.4)}}}).lead
    assert '<small class="holes">holes' in html(Report.of(scores=scores))


def test_systems_left_out_of_the_pool_are_summarised_and_folded() -> None:
    shift = {"rank_shift": {"mean": 1.5, "max": 2}, "value_shift": {"mean": 0.0123, "max": 0.02}, "n": 2}
    runs = [
        {"tag": tag, "team": "t", "pairs": 1200, "value": 0.5, "rank": 1, "holes": {"0": {"value": 0.4, "rank": 3}}}
        for tag in ("x", "y")
    ]
    left = {"measure": "AP", "human": "ann", "depth": 10, "unit": "run", "holes": {"0": shift}, "runs": runs}
    found = section("holes", expansion={"judged": 3, "leave_out": left})
    table = next(t for t in found.tables if t.caption == "One run left out at a time")
    assert table.note == "AP under ann, had the run not been in the pool of depth 10"
    assert row(table, "holes as 0") == ["0.0123", "0.0200", "1.50", "2"]
    (each,) = found.more
    assert each.head == ("system", "pairs it alone brought", "AP", "rank", "holes as 0", "rank")
    assert row(each, "y") == ["1,200", "0.5000", "1", "0.4000", "3"]
    teams = {**left, "unit": "team", "holes": {"0": shift, "gpt": shift}}
    teams["runs"] = [{**run, "holes": {**run["holes"], "gpt": {"value": 0.45, "rank": 2}}} for run in runs]
    (each,) = section("holes", expansion={"leave_out": teams}).more
    assert row(each, "x") == ["t", "1,200", "0.5000", "1", "0.4000", "3", "0.4500", "2"]
    why = section("holes", expansion={"judged": 3, "leave_out": {"reason": "there is one run"}})
    assert list(why.notes) == ["No system is left out: there is one run."]
