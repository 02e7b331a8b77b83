"""Our values against trec_eval's: through pytrec_eval on random runs, its own test files, and published results."""

from __future__ import annotations

import csv
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from qrelkit.core.errors import InputError
from qrelkit.core.qrels import Qrels
from qrelkit.core.run import Run
from qrelkit.formats.trec import read_qrels, read_run, read_runs
from qrelkit.measures.parse import parse_measure
from qrelkit.steps.evaluate import evaluate

# pytrec_eval is trec_eval 9: iprec_at_recall differs from 10 and is compared with its files only; rbp is not in it
NAMES = [
    *("ndcg", "ndcg_cut_5", "ndcg_cut_10", "ndcg_cut_100", "map", "map_cut_5", "recip_rank", "P_5", "P_100", "recall_5"),
    *("success_1", "success_5", "bpref", "Rprec", "set_P", "set_recall", "set_F", "set_map", "num_ret", "num_rel", "num_rel_ret"),
]

Compare = Callable[..., None]


def random_case(seed: int, grades: list[int]) -> tuple[dict[str, dict[str, float]], dict[str, dict[str, int]]]:
    """Runs with many ties (scores are halves), queries of several sizes, and a relevant document for every query."""
    rng = np.random.default_rng(seed)
    run: dict[str, dict[str, float]] = {}
    qrels: dict[str, dict[str, int]] = {}
    for query in range(25):
        documents = [f"d{i}" for i in rng.permutation(60)]
        run[f"q{query}"] = {d: float(rng.integers(-8, 8)) / 2 for d in documents[: rng.integers(1, 50)]}
        judged = [f"d{i}" for i in rng.permutation(60)][: rng.integers(1, 40)]
        qrels[f"q{query}"] = {d: int(rng.choice(grades)) for d in judged} | {"d0": 3}
    return run, qrels


def frames(run: Mapping[str, Mapping[str, float]], qrels: Mapping[str, Mapping[str, int]]) -> tuple[Run, Qrels]:
    rows = [(q, d, s) for q, documents in run.items() for d, s in documents.items()]
    judged = [(q, d, g) for q, documents in qrels.items() for d, g in documents.items()]
    return (
        Run.of(pl.DataFrame(rows, schema=["query_id", "doc_id", "score"], orient="row"), "r"),
        Qrels.of(pl.DataFrame(judged, schema=["query_id", "doc_id", "grade"], orient="row"), "x"),
    )


@pytest.mark.parametrize("level", [1, 2])
@pytest.mark.parametrize(
    "grades", [[0, 1], [0, 0, 1, 2, 3], [-1, -2, 0, 1, 3], [0, 5, 9, 40]], ids=["binary", "graded", "negative", "high"]
)
def test_random_runs_have_the_values_of_pytrec_eval(grades: list[int], level: int) -> None:
    pytrec_eval = pytest.importorskip("pytrec_eval")
    run, qrels = random_case(7, grades)
    asked = {name for name in pytrec_eval.supported_measures if name not in ("runid", "relstring")}
    theirs = pytrec_eval.RelevanceEvaluator(qrels, asked, relevance_level=level).evaluate(run)
    measures = {name: at_level(name, level) for name in NAMES}
    ours = evaluate(measures.values(), [frames(run, qrels)[0]], frames(run, qrels)[1], resamples=0)
    found = {(m, q): v for m, q, v in ours.per_query.select("measure", "query_id", "value").iter_rows()}
    for name, measure in measures.items():
        for query, values in theirs.items():
            assert found[str(measure), query] == pytest.approx(values[name], abs=1e-12), (name, query)


def at_level(name: str, level: int) -> object:
    """The measure by trec_eval's name under its option -l, which gains and counts of documents do not heed."""
    measure = parse_measure(name)
    heeds = measure.name not in ("nDCG", "RBP", "NumRet", "Judged")
    return replace(measure, params=(("rel", level),)) if heeds and level > 1 else measure


CASES = {  # expected: qrels, run, -M, -l
    "out.test": ("qrels.test", "results.test", 0, 1),
    "out.test (comments)": ("qrels.test.with-comments", "results.test", 0, 1),
    "out.test.a": ("qrels.test", "results.test", 0, 1),
    "out.test.aq": ("qrels.test", "results.test", 0, 1),
    "out.test.aqc": ("qrels.test", "results.trunc", 0, 1),
    "out.test.aqcM": ("qrels.test", "results.trunc", 100, 1),
    "out.test.aql": ("qrels.rel_level", "results.test", 0, 2),
}
SKIPPED = {  # trec_eval's measures that we do not have
    *("runid", "num_q", "gm_map", "gm_bpref", "infAP", "utility", "11pt_avg", "binG", "G", "ndcg_rel", "Rndcg", "rbp_resid"),
    *("set_relative_P", "num_nonrel_judged_ret", "relstring", "relstring_20"),
    *(f"Rprec_mult_{i / 5:.2f}" for i in range(1, 11)),
    *(f"relative_P_{k}" for k in (5, 10, 15, 20, 30, 100, 200, 500, 1000)),
}


@pytest.mark.parametrize("case", CASES)
def test_trec_evals_own_test_files_come_out(data: Path, case: str) -> None:
    folder = data / "trec_eval_tests"
    graded, retrieved, depth, level = CASES[case]
    run, qrels = read_run(folder / retrieved), read_qrels(folder / graded)
    lines = [line.split() for line in (folder / case.split()[0]).read_text(encoding="utf-8").splitlines()]
    names = dict.fromkeys(name for name, _, _ in lines if name not in SKIPPED and not name.startswith("unj_"))
    measures = {name: at_level(name, level) for name in names}
    scores = evaluate(measures.values(), [run.cut(depth) if depth else run], qrels, resamples=0)
    found = {(m, q): v for m, q, v in scores.per_query.select("measure", "query_id", "value").iter_rows()}
    checked = 0
    for name, query, value in lines:
        if name in measures:
            measure = str(measures[name])
            ours = scores.estimate(run.tag, measure).value if query == "all" else found[measure, query]
            assert ours == pytest.approx(float(value), abs=5.01e-5), (name, query)
            checked += 1
    assert checked >= 27


@pytest.mark.parametrize("name", sorted(SKIPPED))
def test_a_measure_of_trec_eval_that_we_do_not_have_is_refused(name: str) -> None:
    with pytest.raises(InputError, match=r"unknown measure|has no cut-off"):
        parse_measure(name)
    pytest.skip(f"trec_eval's {name} is not among our measures")


def test_judged_is_what_trec_eval_does_not_call_unjudged(data: Path) -> None:
    folder = data / "trec_eval_tests"
    scores = evaluate(["Judged@20"], [read_run(folder / "results.test")], read_qrels(folder / "qrels.rel_level"), resamples=0)
    # out.test.aql: unj_20 is 0.2000 on average, and every query has 20 documents
    assert scores.estimate("STANDARD", "Judged@20").value == pytest.approx(1 - 0.2000, abs=5e-5)


def test_two_real_runs_on_cacm_have_the_values_that_trec_eval_printed(data: Path) -> None:
    runs = data / "cacm" / "runs"
    for system in ("trec_cacm", "trec_rocchio"):
        lines = [line.split() for line in (runs / f"{system}_results").read_text(encoding="utf-8").splitlines()]
        expected = {n: float(v) for n, _, v in lines if n not in SKIPPED and not n.startswith("iprec")}
        measures = {name: parse_measure(name) for name in expected}
        scores = evaluate(
            measures.values(), [read_run(runs / f"{system}_searchresults")], read_qrels(runs / "trec_qrels"), resamples=0
        )
        for name, measure in measures.items():
            assert scores.estimate("RUN", str(measure)).value == pytest.approx(expected[name], abs=5.01e-5), (system, name)


def test_the_leaderboard_of_trec_covid_comes_out_for_all_runs(data: Path) -> None:
    folder = data / "trec_covid_r1"
    scores = evaluate(["nDCG@10", "P@5"], read_runs(folder / "runs_top20.tsv.gz"), read_qrels(folder / "qrels.txt"), resamples=0)
    with (folder / "leaderboard.csv").open(encoding="utf-8", newline="") as file:
        board = {row["run"]: row for row in csv.DictReader(file)}
    assert len(board) == len(scores.tags) == 143
    for tag, row in board.items():
        assert scores.estimate(tag, "nDCG@10").value == pytest.approx(float(row["ndcg@10"]), abs=5.01e-5), tag
        assert scores.estimate(tag, "P@5").value == pytest.approx(float(row["p@5"]), abs=5.01e-5), tag


def test_every_query_of_all_dl19_runs_has_its_published_ndcg(data: Path) -> None:
    folder = data / "trec_dl19"
    scores = evaluate(["nDCG@10"], read_runs(folder / "runs_top20.tsv.gz"), read_qrels(folder / "qrels.human.txt"), resamples=0)
    found = {(t, q): v for t, q, v in scores.per_query.select("tag", "query_id", "value").iter_rows()}
    with (folder / "expected_ndcg_cut10.csv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    assert len({row["runid"] for row in rows}) == 37
    for row in rows:
        tag, query = row["runid"], row["topic"]
        ours = scores.estimate(tag, "nDCG@10").value if query == "average" else found[tag, query]
        assert ours == pytest.approx(float(row["ndcg_cut_10"]), abs=5.01e-5), (tag, query)
