"""leave_out: one run or team at a time. The oracle is the plain way: smaller qrels, and every run evaluated anew."""

from __future__ import annotations

import gzip
import json
from collections.abc import Mapping

import numpy as np
import polars as pl
import pytest

from qrelkit.core.errors import InputError, UnknownName
from qrelkit.core.qrels import Qrels
from qrelkit.core.run import Run
from qrelkit.formats.trec import read_qrels
from qrelkit.steps.evaluate import evaluate
from qrelkit.steps.leave_out import leave_out, read_teams

KEY = ["query_id", "doc_id"]


def run_of(tag: str, **ranked: str) -> Run:
    rows = [(q, d, -float(rank)) for q, docs in ranked.items() for rank, d in enumerate(docs)]
    return Run.of(pl.DataFrame(rows, ["query_id", "doc_id", "score"], orient="row"), tag)


def qrels(name: str, **graded: int) -> Qrels:
    """Grades of q_d pairs: q1_a=2."""
    rows = [(*pair.split("_"), grade) for pair, grade in graded.items()]
    return Qrels.of(pl.DataFrame(rows, ["query_id", "doc_id", "grade"], orient="row"), name)


def test_what_one_run_alone_brought_is_a_hole_or_filled() -> None:
    runs = [run_of("old", q="ab"), run_of("new", q="ca"), run_of("other", q="ba")]
    people, judge = qrels("people", q_a=1, q_b=0, q_c=1), qrels("judge", q_a=0, q_b=0, q_c=0)
    found = leave_out("P@1", runs, people, filled={"judge": judge, "people": people}, depth=2)
    # P@1: old a 1, new c 1, other b 0: ranks 1, 1, 3. Only c is of one run, `new`: without it new has 0, behind old (rank 2).
    # The judge grades c 0, which is the same; people's own grades change nothing.
    assert found.systems.select("tag", "pairs", "rank", "rank_0", "rank_judge", "rank_people").rows() == [
        ("old", 0, 1, 1, 1, 1),
        ("new", 1, 1, 2, 2, 1),
        ("other", 0, 3, 3, 3, 3),
    ]
    zero = found.shifts["0"]
    assert (zero.rank_mean, zero.rank_max, zero.value_mean, zero.value_max, zero.n) == (pytest.approx(1 / 3), 1, 1 / 3, 1, 3)
    assert found.json()["holes"]["people"] == {"rank_shift": {"mean": 0, "max": 0}, "value_shift": {"mean": 0, "max": 0}, "n": 3}
    assert json.dumps(found.json(), allow_nan=False)
    assert "rank moves by 0.33 on average, 1 at most" in found.text()
    assert found.csv().splitlines()[0] == "tag,team,pairs,holes,value,rank,value_left_out,rank_left_out"
    assert r"\begin{tabular}{lrrrrrrrrr}" in found.latex()


def test_a_team_takes_what_its_runs_share_with_it() -> None:
    runs = [run_of("x1", q="ab"), run_of("x2", q="ac"), run_of("y", q="ca")]
    people = qrels("people", q_a=1, q_b=1, q_c=1)
    alone = leave_out("P@2", runs, people, depth=1)  # x1 and x2 both have a on top
    assert dict(alone.systems.select("tag", "pairs").rows()) == {"x1": 0, "x2": 0, "y": 1}
    teams = leave_out("P@2", runs, people, depth=1, teams={"x1": "x", "x2": "x"})
    assert dict(teams.systems.select("tag", "pairs").rows()) == {"x1": 1, "x2": 1, "y": 1}
    assert (teams.unit, teams.json()["runs"][0]["team"]) == ("team", "x")


@pytest.mark.parametrize("name", ["nDCG@5", "nDCG", "AP", "RR", "R@5", "bpref", "RBP(gain=graded)", "Judged@5", "SetF", "NumRel"])
@pytest.mark.parametrize("teams", [{}, {"r0": "t", "r1": "t", "r4": "u", "r5": "u"}])
def test_it_is_what_evaluating_anew_says(name: str, teams: dict[str, str]) -> None:
    rng = np.random.default_rng(8)
    docs = [f"d{i:02}" for i in range(25)]
    runs = [
        run_of(f"r{i}", **{f"q{q}": list(rng.permutation(docs)[: rng.integers(3, 14)]) for q in range(4)})  # type: ignore[arg-type]
        for i in range(6)
    ]
    pairs = pl.DataFrame([(f"q{q}", d) for q in range(4) for d in docs], KEY, orient="row")
    people = Qrels.of(pairs.with_columns(grade=rng.choice([0, 0, 1, 2], pairs.height)).sample(fraction=0.8, seed=1), "people")
    judge = Qrels.of(pairs.with_columns(grade=rng.choice([0, 1, 2], pairs.height)).sample(fraction=0.9, seed=2), "judge")
    found = leave_out(name, runs, people, filled={"judge": judge}, teams=teams, depth=4).systems
    for form, labels in {"0": None, "judge": judge}.items():
        values, ranks = plainly(name, runs, people, labels, teams, 4)
        assert dict(found.select("tag", f"value_{form}").rows()) == pytest.approx(values, abs=1e-12)
        assert dict(found.select("tag", f"rank_{form}").rows()) == ranks


def plainly(
    name: str, runs: list[Run], people: Qrels, labels: Qrels | None, teams: Mapping[str, str], depth: int
) -> tuple[dict[str, float], dict[str, int]]:
    values, ranks = {}, {}
    for run in runs:
        team = teams.get(run.tag, run.tag)
        mine = [one.cut(depth).frame for one in runs if teams.get(one.tag, one.tag) == team]
        theirs = [one.cut(depth).frame for one in runs if teams.get(one.tag, one.tag) != team]
        only = pl.concat(mine).join(pl.concat(theirs), on=KEY, how="anti")
        taken = people.frame.join(only, on=KEY, how="semi")
        rest = people.frame.join(only, on=KEY, how="anti")
        if labels is not None:
            rest = pl.concat([rest, labels.frame.join(taken, on=KEY, how="semi")])
        scores = evaluate([name], runs, Qrels(rest, "rest"), resamples=0)
        every = {one.tag: scores.estimate(one.tag, name).value for one in runs}
        values[run.tag] = every[run.tag]
        ranks[run.tag] = 1 + sum(round(v, 10) > round(every[run.tag], 10) for v in every.values())
    return values, ranks


def test_means_of_a_label_set_fill_in_as_means() -> None:
    runs = [run_of("old", q="a"), run_of("new", q="b")]
    people = qrels("people", q_a=2, q_b=2)
    judge = Qrels.of(pl.DataFrame({"query_id": ["q"], "doc_id": ["b"], "grade": [2], "expected": [1.5]}), "judge")
    found = leave_out("nDCG(gain=expected)@1", runs, people, filled={"judge": judge})
    assert found.systems.filter(pl.col("tag") == "new")["value_judge"].to_list() == [1.5 / 2]


def test_what_cannot_be_left_out_is_refused() -> None:
    people, runs = qrels("people", q_a=1), [run_of("x", q="a"), run_of("y", q="a")]
    with pytest.raises(InputError, match="one run out needs at least two of them, not 1"):
        leave_out("P@1", runs[:1], people)
    with pytest.raises(InputError, match="one team out needs at least two"):
        leave_out("P@1", runs, people, teams={"x": "t", "y": "t"})
    with pytest.raises(UnknownName, match="run in the teams 'z'"):
        leave_out("P@1", runs, people, teams={"z": "t"})
    with pytest.raises(InputError, match="depth must be at least 1"):
        leave_out("P@1", runs, people, depth=0)


def test_teams_are_named_one_by_one_or_in_a_file(tmp_path) -> None:
    path = tmp_path / "teams.tsv"
    path.write_text("tag\tteam\nx\t007\ny\tb\n", encoding="utf-8")
    assert read_teams([str(path), "z=c"]) == {"x": "007", "y": "b", "z": "c"}
    with pytest.raises(InputError, match="TAG=TEAM"):
        read_teams(["z="])


def test_trec_dl19_teams_move_less_where_gpt4o_fills_the_holes(data) -> None:
    folder = data / "trec_dl19"
    names = ["tag", "query_id", "doc_id", "rank", "score"]
    text = gzip.decompress((folder / "runs_top20.tsv.gz").read_bytes())
    table = pl.read_csv(text, separator="\t", has_header=False, new_columns=names, infer_schema=False)
    scored = table.with_columns(pl.col("score").cast(pl.Float64)).partition_by("tag", as_dict=True, maintain_order=True)
    runs = [Run.of(part, str(tag)) for (tag,), part in scored.items()]
    judge = read_qrels(folder / "llm_labels" / "gpt-4o_umbrela.txt")
    teams = {run.tag: run.tag[:3] for run in runs}
    found = leave_out("nDCG@10", runs, read_qrels(folder / "qrels.human.txt"), filled={"gpt": judge}, teams=teams, depth=10)
    assert found.shifts["gpt"].rank_mean < found.shifts["0"].rank_mean
    assert found.shifts["gpt"].value_mean < found.shifts["0"].value_mean / 2
