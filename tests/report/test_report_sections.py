"""Tables of the report against hand-made numbers."""

from __future__ import annotations

from typing import Any

from qrelkit.reports.report import Report
from qrelkit.reports.sections import opening, outline
from qrelkit.reports.tables import BEST, Section, Table
from qrelkit.reports.text import lines, text
from report.example_report import HOSTILE, agreement, example, pairs, stat


def only(**sections: Any) -> Section:
    (section,) = outline(Report.of(**sections))
    return section


def row(table: Table, name: str) -> list[str]:
    return next([str(cell).replace("\N{NO-BREAK SPACE}", " ") for cell in r.cells] for r in table.rows if r.name == name)


def test_one_view_gives_one_table_of_systems_by_measures() -> None:
    scores = {"human": {"a": {"AP": stat(0.2, 0.1), "P@5": stat(0.5)}, "b": {"AP": stat(0.3, 0.1), "P@5": stat(0.5)}}}
    (table,) = only(scores=scores).tables
    assert table.caption == "Scores by human grades, 40 queries"
    assert table.head == ("system", "AP", "P@5")
    assert [r.name for r in table.rows] == ["b", "a"]  # best first by the first measure
    assert row(table, "a") == ["0.2000 [0.100, 0.300]", f"0.5000 [0.450, 0.550] {BEST}"]  # both share the best P@5


def test_several_views_stand_side_by_side_per_measure() -> None:
    scores = {"human": {"a": {"AP": stat(0.2)}, "b": {"AP": stat(0.3)}}, "model": {"a": {"AP": stat(0.6)}}}
    (table,) = only(scores=scores).tables
    assert table.head == ("system", "human", "model")
    assert row(table, "b") == [f"0.3000 [0.250, 0.350] {BEST}", "n/a"]
    assert BEST not in row(table, "a")[1]  # the only number of its column is not a winner


def test_sizes_that_differ_are_told_as_a_range() -> None:
    scores = {"human": {"a": {"AP": stat(0.2, n=38), "P@5": stat(0.3, n=40)}}}
    assert only(scores=scores).tables[0].caption == "Scores by human grades, 38 to 40 queries"


def test_comparisons_put_the_better_system_first_and_give_a_verdict() -> None:
    (table,) = only(pairs=pairs()).tables
    assert [r.name for r in table.rows] == ["fused-rrf − bm25", "dense-clip − bm25", "fused-rrf − dense-clip"]
    assert row(table, "fused-rrf − bm25") == ["+0.1400 [+0.090, +0.190]", "<0.001", "<0.001", "<0.001", "fused-rrf is better"]
    assert row(table, "fused-rrf − dense-clip")[-1] == "undecided"  # p by Holm .081


def test_hundreds_of_comparisons_are_folded_and_counted() -> None:
    many = [{**pairs()[0], "a": f"s{i}", "b": "t"} for i in range(400)]
    section = only(pairs=many)
    assert [len(t.rows) for t in (*section.tables, *section.more)] == [15, 300]
    assert list(section.notes) == ["85 further differences are only in the report’s JSON."]  # 400 − 15 − 300


def test_of_many_comparisons_the_best_system_and_its_closest_rivals_come_first() -> None:
    tags = [f"s{i}" for i in range(7)]  # 21 comparisons; s6 is best by 0.1, then s5 …
    scores = {"human": {tag: {"AP": stat(0.1 * i)} for i, tag in enumerate(tags)}}
    many = [{"a": a, "b": b, "measure": "AP", "diff": 0.1 * (i - j)} for i, a in enumerate(tags) for j, b in enumerate(tags[:i])]
    section = next(s for s in outline(Report.of(scores=scores, pairs=many)) if s.key == "pairs")
    names = [r.name for r in section.tables[0].rows]
    assert names[:6] == [f"s6 − s{i}" for i in (5, 4, 3, 2, 1, 0)]
    assert "First s6 against its closest rivals" in section.lead


def test_the_confusion_matrix_has_shares_of_its_rows() -> None:
    confusion = {"labels": [0, 1], "rows": "human", "counts": [[30, 10], [0, 0]]}
    section = only(agreement=[{"assessor": "m", "human": "h", "n": 40, "queries": 4, "confusion": confusion}])
    matrix = section.tables[1]
    assert row(matrix, "h 0") == ["30 75 %", "10 25 %", "40"]  # 30 / 40, 10 / 40
    assert row(matrix, "h 1") == ["0 n/a", "0 n/a", "0"]
    assert row(matrix, "all") == ["30", "10", "40"]


def test_agreement_stands_beside_the_constant_guess_and_tells_what_is_left_out() -> None:
    section = only(agreement=[agreement()])
    assert section.title == "Agreement: lexical against human"
    assert row(section.tables[0], "Exact agreement") == ["0.6120 [0.552, 0.672]", "0.4820 [0.432, 0.532]"]
    assert row(section.tables[0], "Cohen’s kappa, 2 and above") == ["0.3800 [0.300, 0.460]", ""]
    assert list(section.notes) == [
        "11 pairs ungraded (4 refused by the model, 7 reply could not be read): left out, not counted as 0.",
        "12 pairs shown to the judge as examples, and left out.",
    ]


def test_systems_under_both_show_a_mean_only_with_its_interval() -> None:
    systems = [
        {"tag": "a", "a": 0.3, "b": 0.6, "rank_a": 1, "rank_b": 2},
        {"tag": "b", "a": 0.2, "b": 0.7, "rank_a": 2, "rank_b": 1},
    ]
    found = {"measure": "AP", "qrels": ["human", "model"], "tau": stat(-1.0), "systems": systems}
    # by the model b has another mean over all queries than over those that both graded, which are the ranking's
    scores = {
        "human": {"a": {"AP": stat(0.3)}, "b": {"AP": stat(0.2)}},
        "model": {"a": {"AP": stat(0.6)}, "b": {"AP": stat(0.65)}},
    }
    correlation = next(s for s in outline(Report.of(scores=scores, correlation=found)) if s.key == "correlation")
    (table,) = correlation.more
    assert table.head == ("system", "human", "rank by human", "model", "rank by model")
    assert row(table, "a") == ["0.3000 [0.250, 0.350]", "1", "0.6000 [0.550, 0.650]", "2"]
    assert row(table, "b") == ["0.2000 [0.150, 0.250]", "2", "n/a", "1"]
    (bare,) = only(correlation=found).more
    assert bare.head == ("system", "rank by human", "rank by model")


def test_the_opening_counts_what_was_measured() -> None:
    said = "demo · 40 queries · 480 documents · 475 images · 3 systems · 1,414 pairs, pooled to depth 20"
    assert opening(example([None])) == said


def test_the_text_holds_the_same_numbers_as_the_page() -> None:
    shown = text(example([None]))
    for words in ("0.6120 [0.552, 0.672]", "at least $1.44", "fused-rrf is better", "301 77 %", "q12  navy dotted dress"):
        assert words in shown
    assert max(map(len, shown.split("\n"))) < 170


def test_the_text_keeps_control_characters_from_the_terminal() -> None:
    shown = text(Report.of(title="red \x1b[31m alert\x07", warnings=[HOSTILE]))
    assert "\x1b" not in shown
    assert "\x07" not in shown


def test_text_tables_are_aligned() -> None:
    scores = {"human": {"a long name": {"AP": {"value": 0.2}}, "b": {"AP": {"value": 0.3}}}}
    assert lines(only(scores=scores).tables[0]) == [
        "Scores by human grades",
        "system             AP",
        "───────────  ────────",
        "b            0.3000 ★",
        "a long name    0.2000",
    ]
