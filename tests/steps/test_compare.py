"""compare: rankings under two qrels, differences under one."""

from __future__ import annotations

import csv
import io
import json
import math

import polars as pl
import pytest

from qrelkit.core.errors import InputError, Mismatch
from qrelkit.core.qrels import Qrels
from qrelkit.core.run import Run
from qrelkit.formats.trec import read_qrels, read_runs
from qrelkit.steps.compare import compare
from qrelkit.steps.comparison import Differences, Ranking


def run(tag: str, **queries: str) -> Run:
    """Each query's documents, one letter each, best first."""
    rows = [(q, d, -float(i)) for q, docs in queries.items() for i, d in enumerate(docs)]
    return Run.of(pl.DataFrame(rows, ["query_id", "doc_id", "score"], orient="row"), tag)


def qrels(name: str, **queries: str) -> Qrels:
    """Each query's relevant documents; x, y, z are judged and not relevant."""
    rows = [(q, d, int(d in docs)) for q, docs in queries.items() for d in sorted({*docs, *"xyz"})]
    return Qrels.of(pl.DataFrame(rows, ["query_id", "doc_id", "grade"], orient="row"), name)


# RR under PEOPLE (a is relevant in every query):  one: 1 1 1 → 1;  two: 1 1/2 1/3 → 11/18;  three: 0.
ONE = run("one", q1="axy", q2="axy", q3="axy")
TWO = run("two", q1="axy", q2="xay", q3="xya")
THREE = run("three", q1="xyz", q2="xyz", q3="xyz")
PEOPLE = qrels("people", q1="a", q2="a", q3="a")


def test_one_qrels_gives_the_differences_of_every_two_systems():
    found = compare("RR", [ONE, TWO, THREE], [PEOPLE])
    assert isinstance(found, Differences)
    assert found.means == pytest.approx({"one": 1, "two": 11 / 18, "three": 0})
    assert found.pairs.select("a", "b").rows() == [("one", "two"), ("one", "three"), ("two", "three")]
    assert found.pairs["diff"].to_list() == pytest.approx([7 / 18, 1, 11 / 18])
    # one − two: 0, 1/2, 2/3. Of 8 sign patterns ±½ ± ⅔ is as far as 7/6 in 4 (the 0 may flip): p = .5.
    # one − three: 1, 1, 1: only +++ and −−−: p = .25, and two − three likewise.
    assert found.pairs["p_rand"].to_list() == [0.5, 0.25, 0.25]
    assert found.pairs["p_holm"].to_list() == [0.75, 0.75, 0.75]
    # t of 1, 1/2, 1/3: mean 11/18, sd .3469, t = 3.0505 with 2 degrees of freedom: p = .0927.
    assert found.pairs["p_t"].to_list()[1:] == pytest.approx([0, 0.0927], abs=1e-4)
    low, high = found.pairs.select("low", "high").row(2)
    assert 1 / 3 <= low < 11 / 18 < high <= 1


def test_the_json_form_of_differences():
    found = compare("RR", [ONE, TWO], [PEOPLE]).json()
    assert json.loads(json.dumps(found, allow_nan=False)) == found
    assert list(found["pairs"][0]) == ["a", "b", "diff", "low", "high", "p_t", "p_rand", "p_holm"]
    alone = compare("RR", [run("one", q1="axy"), run("two", q1="xay")], [qrels("people", q1="a")]).json()["pairs"][0]
    assert (alone["diff"], alone["low"], alone["p_t"]) == (0.5, None, None)
    assert alone["reason"]


def test_a_query_that_a_run_left_out_counts_0():
    found = compare("RR", [ONE, run("half", q1="axy")], [PEOPLE])
    assert isinstance(found, Differences)
    assert found.means["half"] == pytest.approx(1 / 3)
    assert found.queries == 3


def test_queries_without_a_relevant_document_can_be_left_out():
    # Without q3 one − two is 0 and 1/2: means 1 and 3/4.
    holes = qrels("people", q1="a", q2="a", q3="")
    counted = compare("RR", [ONE, TWO], [holes])
    assert (counted.queries, counted.means["one"]) == (3, pytest.approx(2 / 3))
    assert any("q3" in w for w in counted.warnings)
    found = compare("RR", [ONE, TWO], [holes], leave_out_empty=True)
    assert found.queries == 2
    assert found.means == {"one": 1, "two": 0.75}
    assert found.pairs["p_rand"].to_list() == [1]
    assert compare("RR", [ONE, TWO], [PEOPLE, holes], leave_out_empty=True).queries == 2
    with pytest.raises(InputError, match="no query is left"):
        compare("RR", [ONE, TWO], [qrels("people", q1="")], leave_out_empty=True)


def test_what_evaluate_warns_of_is_told():
    assert any("half" in w and "2 of 3" in w for w in compare("RR", [ONE, run("half", q1="axy")], [PEOPLE]).warnings)
    judge = qrels("judge", q1="x", q2="x", q3="x", q4="x")
    assert any(w.startswith("judge: ") for w in compare("RR", [ONE, TWO], [PEOPLE, judge]).warnings)


def test_two_qrels_give_correlations_with_the_first_as_reference():
    # The judge takes x for relevant: three: 1, one: 1/2, two: (1/2 + 1 + 1) / 3 = 5/6, so the order three, two, one: reversed.
    judge = qrels("judge", q1="x", q2="x", q3="x")
    found = compare("RR", [ONE, TWO, THREE], [PEOPLE, judge], tops=(2, 10))
    assert isinstance(found, Ranking)
    assert (found.tau.value, found.tau_ap.value, found.top[2].value) == (-1, -1, -1)
    assert found.tau.n == 3
    assert found.systems.select("tag", "rank_a", "rank_b").rows() == [("one", 1, 3), ("two", 2, 2), ("three", 3, 1)]
    same = compare("RR", [ONE, TWO, THREE], [PEOPLE, PEOPLE])
    assert isinstance(same, Ranking)
    assert same.tau.value == same.tau_ap.value == 1


def test_the_json_form_of_correlations():
    found = compare("RR", [ONE, TWO, THREE], [PEOPLE, PEOPLE]).json()
    assert json.loads(json.dumps(found, allow_nan=False)) == found
    assert {"value", "low", "high", "n"} <= set(found["tau"])
    assert found["top"]["10"]["value"] is None
    assert found["top"]["10"]["reason"] == "there are only 3 systems"


def test_only_shared_queries_are_compared():
    judge = qrels("judge", q1="a", q9="a")
    found = compare("RR", [ONE, TWO], [PEOPLE, judge])
    assert found.queries == 1
    assert any("3 queries that only one of the qrels has" in w for w in found.warnings)
    with pytest.raises(Mismatch, match="share no query"):
        compare("RR", [run("one", q1="a", q9="a"), run("two", q1="a", q9="a")], [PEOPLE, qrels("judge", q9="a")])


def test_too_few_runs_and_too_many_qrels_are_refused():
    with pytest.raises(InputError, match="two runs"):
        compare("RR", [ONE], [PEOPLE])
    with pytest.raises(InputError, match="one qrels"):
        compare("RR", [ONE, TWO], [PEOPLE] * 3)


def test_forms_for_people_and_papers():
    differences = compare("RR", [run("a_b", q1="axy", q2="axy"), TWO], [PEOPLE])
    assert "p Holm" in differences.text()
    rows = list(csv.DictReader(io.StringIO(differences.csv())))
    assert rows[0]["a"] == "a_b"
    assert r"a\_b & two" in differences.latex()
    assert r"\toprule" in differences.latex()
    ranking = compare("RR", [ONE, TWO, THREE], [PEOPLE, PEOPLE])
    assert "Kendall's tau-b" in ranking.text()
    assert "there are only 3 systems" in ranking.text()
    assert ranking.csv().splitlines()[0] == "tag,a,b,rank_a,rank_b"
    assert r"\begin{tabular}{lrrrr}" in ranking.latex()


# ── real runs ───────────────────────────────────────────────────────────────────────────────────────────────────────


def test_trec_dl19_people_against_gpt4o(data):
    # The figures: tau-b .916, tau-AP .889, top 10 .733, top 20 .832 over 37 runs.
    folder = data / "trec_dl19"
    runs = read_runs(folder / "runs_top20.tsv.gz")
    both = [read_qrels(folder / p) for p in ("qrels.human.txt", "llm_labels/gpt-4o_umbrela.txt")]
    found = compare("nDCG@10", runs, both)
    assert isinstance(found, Ranking)
    assert (found.tau.n, found.queries) == (37, 43)
    values = [found.tau.value, found.tau_ap.value, found.top[10].value, found.top[20].value]
    assert values == pytest.approx([0.916, 0.889, 0.733, 0.832], abs=5e-4)
    assert all(e.low < e.value < e.high for e in (found.tau, found.tau_ap, *found.top.values()))
    with open(folder / "expected_ndcg_cut10.csv", encoding="utf-8", newline="") as file:
        published = {row["runid"]: float(row["ndcg_cut_10"]) for row in csv.DictReader(file) if row["topic"] == "average"}
    assert dict(found.systems.select("tag", "a").iter_rows()) == pytest.approx(published, abs=1e-4)


def test_trec_dl19_two_bm25s(data):
    # The figures: difference .0172, t-test p .33, randomisation p .34 ± .01.
    folder = data / "trec_dl19"
    runs = {r.tag: r for r in read_runs(folder / "runs_top20.tsv.gz")}
    human = read_qrels(folder / "qrels.human.txt")
    found = compare("nDCG@10", [runs["bm25tuned_rm3_p"], runs["bm25base_p"]], [human])
    assert isinstance(found, Differences)
    row = found.pairs.row(0, named=True)
    assert row["diff"] == pytest.approx(0.0172, abs=5e-5)
    assert row["p_t"] == pytest.approx(0.33, abs=0.005)
    assert row["p_rand"] == pytest.approx(0.34, abs=0.01)
    assert row["p_holm"] == row["p_rand"]
    assert row["low"] < 0 < row["high"]
    assert not math.isnan(row["low"])
