"""The run sorted by the judge's own labels: how it is built, what is said of it, and families of models."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import polars as pl
import pytest

from qrelkit.core.errors import InputError, UnknownName
from qrelkit.core.qrels import Qrels
from qrelkit.core.run import Run
from qrelkit.formats.trec import read_qrels
from qrelkit.steps.choose import choose
from qrelkit.steps.correction import correct
from qrelkit.steps.families import families_of, family_warnings, models_of
from qrelkit.steps.probe import probe, sorted_by


def qrels(grades: str, name: str) -> Qrels:
    """`q1:a2 b0; q2:…` as qrels."""
    rows = [
        (q.strip(), d[0], int(d[1:])) for part in grades.split(";") for q, _, docs in [part.partition(":")] for d in docs.split()
    ]
    return Qrels.of(pl.DataFrame(rows, schema=["query_id", "doc_id", "grade"], orient="row"), name)


def run(ranked: str, tag: str) -> Run:
    rows = [
        (q.strip(), d, rank)
        for part in ranked.split(";")
        for q, _, docs in [part.partition(":")]
        for rank, d in enumerate(docs.split(), 1)
    ]
    return Run.of(pl.DataFrame(rows, schema=["query_id", "doc_id", "rank"], orient="row"), tag)


JUDGE = qrels("q1:a1 b2 c1 d0; q2:a0 b1 c0 d1", "judge")
HUMAN = qrels("q1:a2 b0 c1 d0; q2:a1 b0 c0 d0", "people")
RUNS = [run("q1:a c b; q2:a b c", "good"), run("q1:d b a; q2:d c b", "bad")]


def test_the_sorted_run_has_the_judges_order_and_breaks_ties_by_a_seed() -> None:
    docs = [sorted_by(JUDGE, seed=seed).frame.filter(query_id="q1")["doc_id"].to_list() for seed in range(8)]
    assert {tuple(one) for one in docs} == {("b", "a", "c", "d"), ("b", "c", "a", "d")}
    assert docs == [sorted_by(JUDGE, seed=seed).frame.filter(query_id="q1")["doc_id"].to_list() for seed in range(8)]
    assert sorted_by(JUDGE).tag == "sorted-by-judge"


def test_fused_ranks_break_ties_by_what_the_systems_think() -> None:
    """c: 1/(60+2), once; a: 1/61 + 1/63."""
    found = sorted_by(JUDGE, RUNS, ties="fused").frame
    assert found.filter(query_id="q1")["doc_id"].to_list() == ["b", "a", "c", "d"]
    with pytest.raises(UnknownName, match="way of breaking ties 'none'"):
        sorted_by(JUDGE, ties="none")
    with pytest.raises(InputError, match="give their runs"):
        sorted_by(JUDGE, ties="fused")


def test_what_judge_and_people_say() -> None:
    """P@1. The judge: sorted 1, good (1 + 0) / 2, bad (0 + 1) / 2. People: sorted 0 (b, and b or d, are no good), good 1."""
    found = probe("P@1", RUNS, JUDGE, HUMAN)
    assert (found.judge.value, found.judge.rank, found.judge.of) == (1, 1, 3)
    assert (found.best, found.claimed) == ("good", 0.5)
    assert found.people is not None
    assert (found.people.value, found.people.rank) == (0, 2)
    assert found.lead is not None
    assert found.lead.value == pytest.approx(-1)
    assert (found.excluded, found.wins, found.labels) == (True, False, 8)
    assert "people's grades notice the trick" in found.text()


def test_a_judge_who_is_right_is_not_excluded() -> None:
    found = probe("nDCG@3", RUNS[1:], HUMAN, HUMAN)
    assert (found.excluded, found.wins) == (False, True)


def test_without_people_nobody_notices() -> None:
    found = probe("nDCG@3", RUNS, JUDGE)
    assert (found.people, found.lead, found.excluded, found.wins) == (None, None, None, None)
    assert found.json()["corrected"] is None
    assert "Nobody but the judge has looked" in found.text()
    with pytest.raises(InputError, match="give their runs"):
        probe("nDCG@3", [], JUDGE)


def test_on_dl19_the_sorted_run_is_first_for_the_judge_and_eleventh_for_people(data: Path) -> None:
    """Issue 4: 1.000 and .713, eleventh of 38. Ties in the order of chance give .714 on average (seeds 0 to 5: .699 to .731)."""
    human = read_qrels(data / "trec_dl19" / "qrels.human.txt")
    judge = read_qrels(data / "trec_dl19" / "llm_labels" / "gpt-4o_umbrela.txt", duplicates="first")
    judge = Qrels(judge.frame.join(human.frame, on=["query_id", "doc_id"], how="semi"), "gpt-4o")
    names = ["run", "query_id", "doc_id", "rank", "score"]
    kinds = {"query_id": pl.String, "doc_id": pl.String}
    path = data / "trec_dl19" / "runs_top20.tsv.gz"
    table = pl.read_csv(path, separator="\t", has_header=False, new_columns=names, schema_overrides=kinds)
    table = table.join(human.frame, on="query_id", how="semi")
    runs = [Run.of(frame.select("query_id", "doc_id", "score"), str(tag)) for (tag,), frame in table.group_by("run")]
    values = []
    for seed in range(6):
        found = probe("nDCG@10", runs, judge, human, seed=seed)
        assert found.people is not None
        assert (found.judge.rank, found.best) == (1, "idst_bert_p1")
        assert found.judge.value == pytest.approx(1)
        assert (found.people.rank, found.people.of) in {(11, 38), (12, 38)}
        assert (found.excluded, found.wins) == (True, False)
        values.append(found.people.value)
    assert np.mean(values) == pytest.approx(0.714, abs=0.005)


# families


@pytest.mark.parametrize(
    ("name", "families"),
    [
        ("openai:gpt-4o-mini", {"GPT"}),
        ("openai:llama3.2", {"Llama"}),  # `openai:` is how it is reached
        ("openai:o3-mini", {"GPT"}),
        ("openrouter:openai/gpt-4.1", {"GPT"}),
        ("anthropic:claude-sonnet-4", {"Claude"}),
        ("gemini:gemini-2.5-flash", {"Gemini"}),
        ("my_monoT5_rerank", {"T5"}),
        ("gte-Qwen2", {"Qwen"}),
        ("e5-mistral-7b", {"Mistral"}),
        ("deepseek-r1", {"DeepSeek"}),
        ("labels:flan-t5.qrels", {"T5"}),
        ("bm25", set()),
        ("idst_bert_p1", set()),
        ("best50", set()),
        ("lexical", set()),
    ],
)
def test_a_family_is_known_by_the_name(name: str, families: set[str]) -> None:
    assert families_of(name) == families


def test_a_system_of_the_judges_family_is_warned_of() -> None:
    noted = Run(RUNS[0].frame, "dense", {"model": "gpt-embedding"})
    systems = models_of([noted, RUNS[1], run("q1:a", "rank-claude")], {"bad": "openai:gpt-4.1"})
    assert systems == {"dense": "gpt-embedding", "bad": "openai:gpt-4.1", "rank-claude": "rank-claude"}
    first, second = family_warnings(systems, ["openai:gpt-4o"])
    assert first.startswith("dense is of a judge's own model family (GPT: gpt-embedding, judged by openai:gpt-4o)")
    assert second.startswith("bad is of a judge's own")
    assert family_warnings(systems, ["lexical", "gemini:gemini-2.5-pro"]) == []
    with pytest.raises(UnknownName, match="unknown run 'worse'"):
        models_of(RUNS, {"worse": "openai:gpt-4o"})
    assert len(probe("P@1", [noted], JUDGE, judge_models=["openai:gpt-4o"]).warnings) == 1


# grades that were there before anything was drawn


def test_round_0_counts_as_known_and_takes_no_weight_from_what_was_drawn() -> None:
    """With the same drawn labels, adding round 0 as `probability 1, round 0` leaves the drawn labels' intervals open."""
    rng = np.random.default_rng(1)
    ids = [(f"q{q}", f"d{d:02}") for q in range(12) for d in range(20)]
    frame = pl.DataFrame(ids, schema=["query_id", "doc_id"], orient="row")
    truth = frame.with_columns(grade=pl.Series(rng.integers(0, 2, len(ids))))
    judge = Qrels.of(frame.with_columns(grade=pl.Series(rng.integers(0, 2, len(ids)))), "judge")
    runs = [Run.of(frame.with_columns(score=pl.Series(rng.random(len(ids)))), tag) for tag in ("a", "b")]
    old = truth.filter(pl.col("doc_id") < "d05").with_columns(probability=pl.lit(1.0), round=pl.lit(0, pl.Int32))
    known = Qrels.of(old, "people")
    drawn = choose(judge, 30, human=known, runs=runs, measure="P@10", seed=3)
    assert drawn["round"].unique().to_list() == [1]
    assert not drawn.join(old, on=["query_id", "doc_id"], how="semi").height
    both = Qrels.of(pl.concat([old, drawn.join(truth, on=["query_id", "doc_id"]).select(old.columns)]), "people")
    (found,) = correct("P@10", runs, judge, both)
    row = found.differences.row(0, named=True)
    assert row["corrected_sd"] > 0.01
    with pytest.raises(InputError, match="no grade of people was drawn by chance"):
        correct("P@10", runs, judge, known)
