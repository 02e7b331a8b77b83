"""Pooling at a budget: each way's order derived by hand, the bandit replayed by a plain loop, and the ways compared."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence

import numpy as np
import polars as pl
import pytest

from qrelkit.core.errors import InputError, Mismatch, UnknownName
from qrelkit.core.pool import Pool
from qrelkit.core.qrels import Qrels
from qrelkit.core.run import Run
from qrelkit.formats.trec import read_qrels, read_runs
from qrelkit.steps.adjudicate import METHODS, MaxMean, Offered, by_depth, by_fusion
from qrelkit.steps.pool import pool
from qrelkit.steps.pooling import choose, compare

SEEDS = range(10)


def run(tag: str, **rankings: str) -> Run:
    rows = [(q, d, -float(r)) for q, docs in rankings.items() for r, d in enumerate(docs.split())]
    return Run.of(pl.DataFrame(rows, ["query_id", "doc_id", "score"], orient="row"), tag)


def qrels(name: str = "people", **grades: dict[str, int | None]) -> Qrels:
    rows = [(q, d, g) for q, docs in grades.items() for d, g in docs.items()]
    return Qrels.of(pl.DataFrame(rows, {"query_id": pl.String, "doc_id": pl.String, "grade": pl.Int32}, orient="row"), name)


def docs(pooled: Pool) -> set[str]:
    return set(pooled.frame["doc_id"])


def in_order(offered: Offered, order: np.ndarray) -> str:
    return " ".join(offered.frame["doc_id"].gather(order))


# h is second of all three runs of q1, 3/62 = .0484; a, b, c are first of one, 1/61 = .0164, as x of q2; y is second, 1/62
CONSENT = (run("A", q1="a h", q2="x y"), run("B", q1="b h"), run("C", q1="c h"))


def test_depth_goes_rank_by_rank_and_within_a_rank_by_fusion():
    # Rank 1: a, b, c, x with 1/61 each, in the order of query and document. Rank 2: h with 3/62, then y with 1/62.
    offered = Offered.of(CONSENT)
    assert in_order(offered, by_depth(offered)) == "a b c x h y"
    assert docs(choose(CONSENT, 5)) == set("abcxh")


def test_depth_k_is_the_plain_pool_wherever_that_fits_exactly():
    runs = shuffled_runs()
    for depth in (1, 2, 3, 5):
        plain = Pool.of(runs, depth)
        chosen = choose(runs, len(plain), "depth")
        assert chosen.depth == depth
        assert chosen.frame.drop("tags").equals(plain.frame.drop("tags"))  # `tags` are all runs that have it, to any depth


def test_fused_takes_what_many_runs_have_and_serves_queries_alike():
    # Within q1: h, then a, b, c; within q2: x, y. In turn: h x | a y | b | c.
    offered = Offered.of(CONSENT)
    assert offered.fused().max() == pytest.approx(3 / 62)
    assert in_order(offered, by_fusion(offered)) == "h x a y b c"
    assert docs(choose(CONSENT, 2, "fused")) == {"h", "x"}


STREAK = (run("A", q="r1 r2 n1 r3"), run("B", q="m1 m2 m3"))
TRUE = qrels(q={"r1": 2, "r2": 1, "n1": 0, "r3": 1, "m1": 0, "m2": 0, "m3": 0})


@pytest.mark.parametrize("method", ["mtf", "bandit"])
def test_a_run_is_read_on_while_it_finds_something(method):
    # A first: r1, r2, n1, and A has failed; so B: m1. B first: m1, and B has failed; so A: r1, r2, n1. The same four.
    for seed in SEEDS:
        assert docs(choose(STREAK, 4, method, feedback=TRUE, seed=seed)) == {"r1", "r2", "n1", "m1"}


@pytest.mark.parametrize("method", ["mtf", "bandit"])
def test_relevant_from_is_what_counts_as_finding_something(method):
    # From 2 on, r2 fails. A first: r1, r2, then B: m1. B first: m1, then A: r1, r2.
    for seed in SEEDS:
        assert docs(choose(STREAK, 3, method, feedback=TRUE, relevant_from=2, seed=seed)) == {"r1", "r2", "m1"}


def test_moved_to_the_front_is_the_run_with_most_points():
    # Every pair fails, so whoever was read falls behind the other: n1 m1 or m1 n1, then n2 m2 or m2 n2, never three of one.
    runs = (run("A", q="n1 n2 n3 n4"), run("B", q="m1 m2 m3 m4"))
    nothing = qrels(q=dict.fromkeys(["n1", "n2", "n3", "n4", "m1", "m2", "m3", "m4"], 0))
    for seed in SEEDS:
        assert docs(choose(runs, 4, "mtf", feedback=nothing, seed=seed)) == {"n1", "n2", "m1", "m2"}


def test_a_judged_pair_counts_for_every_run_that_has_it_and_the_last_one_alone():
    policy = MaxMean(1, 3, np.random.default_rng(0))
    ready = np.ones((1, 3), bool)
    one = np.array([0])
    policy.learn(one, one, np.array([[True, True, False]]), np.array([1.0]))
    assert {int(policy.pick(ready)[0]) for _ in range(50)} == {0, 1}  # (1 + 1)/(2 + 1) = 2/3 twice, and 1/2
    policy.learn(one, one, np.array([[True, False, False]]), np.array([0.0]))
    assert {int(policy.pick(ready)[0]) for _ in range(50)} == {1}  # 1/3, 2/3, 1/2
    assert int(policy.pick(np.array([[True, False, True]]))[0]) == 2  # where nothing of run 1 is left
    policy.learn(one, one, np.array([[True, True, True]]), np.array([math.nan]))
    assert (policy.hits.tolist(), policy.plays.tolist()) == ([[0, 1, 0]], [[1, 1, 0]])


def test_a_stationary_bandit_forgets_nothing():
    policy = MaxMean(1, 1, np.random.default_rng(0), rate=1.0)
    for relevant in (1.0, 0.0, 1.0):
        policy.learn(np.array([0]), np.array([0]), np.array([[True]]), np.array([relevant]))
    assert (policy.hits.item(), policy.plays.item()) == (2, 3)


@pytest.mark.parametrize("method", ["mtf", "bandit"])
def test_a_pair_without_a_grade_teaches_nothing(method):
    # v1 fails and puts B behind; u1 and u2 have no grade and keep A where it is. v1 u1 u2, u1 v1 u2 or u1 u2 v1.
    runs = (run("A", q="u1 u2"), run("B", q="v1 v2"))
    known = qrels(q={"u1": None, "v1": 0, "v2": 0})
    for seed in SEEDS:
        assert docs(choose(runs, 3, method, feedback=known, seed=seed)) == {"u1", "u2", "v1"}


def shuffled_runs(queries: int = 4, runs: int = 5, length: int = 12) -> list[Run]:
    chance = np.random.default_rng(5)
    drawn = {i: {f"q{q}": chance.permutation(30)[: length - q] for q in range(queries)} for i in range(runs)}
    return [run(f"r{i}", **{q: " ".join(f"d{d:02}" for d in row) for q, row in by.items()}) for i, by in drawn.items()]


def grades_of(runs: Sequence[Run]) -> Qrels:
    pairs = Pool.of(runs, 99).frame.select("query_id", "doc_id")
    return Qrels.of(pairs.with_columns(grade=pl.col("doc_id").str.slice(1).cast(pl.Int32) % 3), "made")


def test_the_bandit_always_plays_a_run_of_the_highest_mean():
    """A plain loop goes along: what is chosen next must be the first unjudged pair of a run that stands best."""
    runs = shuffled_runs()
    truth = {(q, d): g >= 2 for q, d, g in grades_of(runs).frame.select("query_id", "doc_id", "grade").iter_rows()}
    asked: list[tuple[str, str]] = []

    def answer(pairs: pl.DataFrame) -> list[int]:
        asked.extend(pairs.iter_rows())
        return [2 * truth[pair] for pair in pairs.iter_rows()]

    rankings = {(r.tag, q[0]): part["doc_id"].to_list() for r in runs for q, part in r.frame.group_by("query_id")}
    choose(runs, 90, "bandit", feedback=answer, relevant_from=2)
    last: dict[tuple[str, str], bool] = {}
    seen: set[tuple[str, str]] = set()
    for query, doc in asked:
        ahead = {}
        for (tag, q), ranking in rankings.items():
            if q == query and (left := [d for d in ranking if (q, d) not in seen]):
                ahead[tag] = (left[0], {None: 1 / 2, True: 2 / 3, False: 1 / 3}[last.get((tag, q))])
        best = max(mean for _, mean in ahead.values())
        assert doc in {first for first, mean in ahead.values() if mean == best}
        seen.add((query, doc))
        last |= {key: truth[query, doc] for key, ranking in rankings.items() if key[1] == query and doc in ranking}
    assert len(seen) == 90


@pytest.mark.parametrize("method", METHODS)
def test_n_is_met_exactly_and_a_larger_one_goes_on_where_a_smaller_one_ended(method):
    runs = shuffled_runs()
    feedback = grades_of(runs)
    whole = len(Pool.of(runs, 99))
    before: set[tuple[object, ...]] = set()
    for n in (1, 7, 30, whole, whole + 50):
        chosen = choose(runs, n, method, feedback=feedback, seed=3)
        pairs = set(chosen.frame.select("query_id", "doc_id").iter_rows())
        assert len(pairs) == len(chosen) == min(n, whole)
        assert before <= pairs
        before = pairs
    assert choose(runs, 30, method, feedback=feedback, seed=3).frame.equals(
        choose(runs, 30, method, feedback=feedback, seed=3).frame
    )


@pytest.mark.parametrize("method", ["fused", "mtf", "bandit"])
def test_queries_share_the_labels_evenly_and_what_one_cannot_use(method):
    runs = [run("A", q1="a b", q2="c d e f g", q3="h i j k l"), run("B", q2="m")]
    feedback = qrels(q1={"a": 0}, q2={"c": 1}, q3={"h": 1})
    per_query = Counter(choose(runs, 8, method, feedback=feedback).frame["query_id"])
    assert per_query == {"q1": 2, "q2": 3, "q3": 3}


@pytest.mark.parametrize("method", ["mtf", "bandit"])
def test_feedback_can_be_a_function_that_is_asked_for_n_pairs_and_no_more(method):
    runs = shuffled_runs()
    known = grades_of(runs)
    asked: list[pl.DataFrame] = []

    def answer(pairs: pl.DataFrame) -> list[int]:
        asked.append(pairs)
        return pairs.join(known.frame, on=["query_id", "doc_id"], how="left", maintain_order="left")["grade"].to_list()

    chosen = choose(runs, 30, method, feedback=answer, seed=1)
    assert chosen.frame.equals(choose(runs, 30, method, feedback=known, seed=1).frame)
    assert all(pairs["query_id"].is_unique().all() for pairs in asked)  # a round has one pair of a query
    told = set(pl.concat(asked).iter_rows())
    assert len(told) == sum(map(len, asked)) == 30
    assert told == set(chosen.frame.select("query_id", "doc_id").iter_rows())


def test_only_holes_are_chosen_where_that_is_asked_and_ranks_stay():
    chosen = choose(CONSENT, 3, holes_of=qrels(q1={"a": 1, "b": None, "c": 0}))
    assert chosen.frame.select("doc_id", "best_rank").rows() == [("b", 1), ("h", 2), ("x", 1)]


def test_a_chosen_pool_keeps_why_each_pair_is_there_and_says_what_chose_it():
    chosen = pool(CONSENT, depth=2, n=2, method="fused")
    assert chosen.frame.rows() == [("q1", "h", ["A", "B", "C"], 2), ("q2", "x", ["A"], 1)]
    assert repr(chosen) == "Pool(2 queries, 2 pairs, depth 2, 3 runs, chosen by fused)"
    assert chosen.without(chosen.frame.head(1)).chosen_by == "fused"
    assert docs(pool(CONSENT, depth=1, n=99, method="fused")) == set("abcx")  # of the pool to that depth


def test_what_cannot_be_chosen_is_told():
    with pytest.raises(UnknownName, match="bandit"):
        choose(CONSENT, 2, "bandid")
    with pytest.raises(InputError, match="feedback"):
        choose(CONSENT, 2, "mtf")
    with pytest.raises(InputError, match="at least 1"):
        choose(CONSENT, 0)
    with pytest.raises(InputError, match="at least one run"):
        choose([], 3)
    with pytest.raises(InputError, match="depth"):
        pool(CONSENT, depth=0, n=3)
    with pytest.raises(Mismatch, match="'other'"):
        choose(CONSENT, 2, "bandit", feedback=qrels("other", q9={"a": 1}))


# The ways compared


TWO = (run("A", q1="a", q2="c", q3="e"), run("B", q1="b", q2="d", q3="f z"))
LABELS = qrels(q1={"a": 0, "b": 1, "far": 1}, q2={"c": 1, "d": 0}, q3={"e": 1, "f": 0, "z": -1})


def test_compare_ranks_the_systems_by_the_chosen_labels_and_by_all():
    # P@1 by all labels: A 2/3, B 1/3. The first two of `depth` are a and b, one of three relevant: A 0, B 1/3, reversed.
    # `fused` takes a pair of every query: a, c; A 1/3, B 0, in order. z is pooled and unjudged, far is in no run.
    found = compare("P@1", TWO, LABELS, [2, 6], ["depth", "fused"])
    assert (found.pairs, found.relevant, found.systems, found.queries) == (6, 3, 2, 3)
    first = found.choice("depth", 2)
    assert (first.found, first.tau.value, first.tau_ap.value, first.moved) == (pytest.approx(1 / 3), -1, -1, 1)
    assert (found.choice("fused", 2).tau.value, found.choice("fused", 2).moved) == (1, 0)
    for method in ("depth", "fused"):
        everything = found.choice(method, 6)
        assert (everything.found, everything.tau.value, everything.moved) == (1, 1, 0)


def test_methods_that_draw_are_means_over_their_repeats():
    # Of six pairs one is drawn; P@1 then differs (tau 1 or -1) or all tie (NaN): with all six it cannot differ.
    found = compare("P@1", TWO, LABELS, [6], ["random"], repeats=3)
    assert (found.choice("random", 6).found, found.choice("random", 6).tau.value) == (1, 1)
    assert found.repeats == 3
    drawn = compare("P@1", TWO, LABELS, [3], ["random"], repeats=40).choice("random", 3)
    assert drawn.found == pytest.approx(0.5, abs=0.15)  # three of six pairs find half of the relevant ones on average


def test_a_judge_can_be_what_the_methods_follow_while_people_are_what_counts():
    judge = qrels("judge", q1={"a": 1, "b": 0}, q2={"c": 0, "d": 1}, q3={"e": 0, "f": 1})
    found = compare("P@1", TWO, LABELS, [4], ["bandit"], feedback=judge)
    assert (found.feedback, found.qrels, found.relevant) == ("judge", "people", 3)


def test_a_budget_beyond_the_pool_is_the_pool_and_said():
    found = compare("P@1", TWO, LABELS, [6, 100], ["depth"])
    assert [c.labels for c in found.choices] == [6]
    assert "only 6 pairs" in found.warnings[-1]


def test_the_comparison_says_itself_in_every_form():
    found = compare("P@1", TWO, LABELS, [2, 6], ["depth", "fused"])
    assert found.text().splitlines()[4].split()[:3] == ["2", "depth", "33.3%"]
    assert pl.read_csv(found.csv().encode())["method"].to_list() == ["depth", "depth", "fused", "fused"]
    assert found.latex().count(r"\\") == 5
    assert "33.3" in found.latex()
    tree = found.json()
    assert tree["choices"][0]["tau"]["value"] == -1
    assert set(tree["choices"][0]) == {"method", "labels", "found", "tau", "tau_ap", "moved"}


def test_what_cannot_be_compared_is_told():
    with pytest.raises(InputError, match="two runs"):
        compare("P@1", TWO[:1], LABELS, [2])
    with pytest.raises(InputError, match="at least 1"):
        compare("P@1", TWO, LABELS, [0, 2])
    with pytest.raises(UnknownName, match="fused"):
        compare("P@1", TWO, LABELS, [2], ["fuse"])
    with pytest.raises(Mismatch, match="share no query"):
        compare("P@1", TWO, qrels(q9={"a": 1}), [2])


def test_trec_dl19_finds_more_with_feedback_than_by_chance(data):
    # Pool of the top 20 of 37 runs: 4,926 pairs, of which people graded 3,126 (a join counts them below).
    folder = data / "trec_dl19"
    runs, human = read_runs(folder / "runs_top20.tsv.gz"), read_qrels(folder / "qrels.human.txt", name="people")
    graded = Pool.of(runs, 20).frame.join(human.graded, on=["query_id", "doc_id"], how="semi").height
    found = compare("nDCG@10", runs, human, [860], ["depth", "bandit", "random"], relevant_from=2, repeats=2)
    assert (found.pairs, found.systems, found.queries) == (graded, 37, 43) == (3126, 37, 43)
    depth, bandit, random = (found.choice(method, 860) for method in ("depth", "bandit", "random"))
    assert random.found == pytest.approx(860 / 3126, abs=0.03)
    assert bandit.found > depth.found > random.found
    assert min(bandit.tau.value, depth.tau.value) > random.tau.value
    assert all(tau.low < tau.value < tau.high for c in found.choices for tau in (c.tau, c.tau_ap))
