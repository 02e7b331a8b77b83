"""Generators: SMMILE++ by rule against the published one, noise, order; each with its manifest, none with hidden chance."""

from __future__ import annotations

from collections import Counter
from itertools import permutations
from pathlib import Path
from typing import Any

import pytest

from bench.smmile.small_benchmark import problem, three
from qrelkit.bench.smmile.noise import noise
from qrelkit.bench.smmile.ordering import order
from qrelkit.bench.smmile.plusplus import orders, plusplus
from qrelkit.bench.smmile.problems import Problem, Problems
from qrelkit.bench.smmile.transcripts import problems_from
from qrelkit.core.errors import InputError, Mismatch, UnknownName


def answers(made: Problem) -> str:
    return " ".join(t.answer for t in made.demonstrations)


def texts(made: Problem) -> list[tuple[str, str]]:
    return [(t.question.strip(), t.answer.strip()) for t in made.demonstrations]


@pytest.fixture(scope="module")
def smmile(data: Path) -> Problems:
    return problems_from(data / "smmile" / "SMMILE" / "result_llava_7b_ICL.csv")


@pytest.fixture(scope="module")
def published(data: Path) -> Problems:
    return problems_from(data / "smmile" / "SMMILE++" / "result_qwen7B_ICL_open.csv")


# permutations


def test_up_to_four_demonstrations_have_all_orders_and_more_have_24_drawn_ones() -> None:
    assert list(orders(3, 0, "p")) == list(permutations(range(3)))
    drawn = list(orders(6, 0, "p"))
    assert len(set(drawn)) == 24
    assert drawn == list(orders(6, 0, "p"))
    assert drawn != list(orders(6, 1, "p"))
    assert all(sorted(one) == list(range(6)) for one in drawn)


def test_permutations_keep_the_base_and_say_what_they_are() -> None:
    made = plusplus(three())
    assert [p.problem_id for p in made.problems if p.base_id == "a"] == ["a_perm_1", "a_perm_2"]
    assert [answers(p) for p in made.problems if p.base_id == "a"] == ["no yes", "yes no"]
    assert made.problems[1].changes == {"permutation": 2, "order": [1, 0]}
    assert (made.name, made.revision) == ("three++", made.digest[:12])
    manifest: Any = made.notes["made"]
    assert (manifest["rule"], manifest["seed"]) == ("permutations", 0)
    assert manifest["from"] == {"name": "three", "revision": "r1", "digest": three().digest, "problems": 3}


def test_smmile_plus_plus_has_the_published_size(smmile: Problems) -> None:
    """Published: 86 of 111 problems, 1,038 permutations, 5,994 rows; 27 × 2 + 24 × 6 + 35 × 24."""
    made = plusplus(smmile)
    manifest: Any = made.notes["made"]
    assert (len(made), sum(len(p.triplets) for p in made.problems)) == (1038, 5994)
    assert Counter(Counter(p.base_id for p in made.problems).values()) == {2: 27, 6: 24, 24: 35}
    assert len(manifest["left_out"]) == 25
    assert [len(v) for v in manifest["demonstrations_left_out"].values()] == [1]


def test_where_all_orders_are_taken_they_are_the_published_ones(smmile: Problems, published: Problems) -> None:
    """Of the 62 bases with at most four demonstrations in SMMILE++ every permutation k, text by text."""
    ours = {p.problem_id: texts(p) for p in plusplus(smmile).problems}
    theirs = {p.problem_id: texts(p) for p in published.problems}
    assert ours.keys() == theirs.keys()
    few = [i for i in theirs if len(theirs[i]) <= 4]
    assert len({i.partition("_perm_")[0] for i in few}) >= 62
    assert [i for i in few if ours[i] != theirs[i]] == []
    assert all(sorted(ours[i]) == sorted(theirs[i]) for i in theirs)


# noise


def test_noise_comes_from_other_problems_and_stands_where_it_is_told() -> None:
    for where, place in (("first", 0), ("last", 2), (1, 1)):
        made = noise(three(), 1, where=where).problems[0]  # type: ignore[arg-type]
        ((at, base, of_it),) = made.changes["noise"]  # type: ignore[attr-defined]
        assert (at, made.problem_id, made.query) == (place, "a", three().problems[0].query)
        donor = next(p for p in three().problems if p.base_id == base)
        assert made.demonstrations[at] == donor.triplets[of_it]
        assert base != "a"


def test_the_rest_of_a_problem_is_as_it_was() -> None:
    for made, before in zip(noise(three(), 3, where="random", seed=5).problems, three().problems, strict=True):
        places = {at for at, _, _ in made.changes["noise"]}  # type: ignore[attr-defined]
        assert len(places) == 3
        assert tuple(t for i, t in enumerate(made.demonstrations) if i not in places) == before.demonstrations


def test_noise_of_the_same_kind_has_the_same_tag_and_too_little_of_it_is_an_error() -> None:
    both = Problems(name="two", revision="", problems=three().problems[:2])
    assert {made.changes["noise"][0][1] for made in noise(both, 2, draw="same").problems} == {"a", "b"}  # type: ignore[index]
    with pytest.raises(InputError, match=r"problem 'c': other problems with speciality 'y' have 0 triplets, 1 are wanted"):
        noise(three(), 1, draw="same")
    with pytest.raises(InputError, match="has no field"):
        noise(three(), 1, draw="same", tag="field")


def test_noise_is_drawn_by_the_seed_and_the_problem_alone() -> None:
    assert noise(three(), seed=3).digest == noise(three(), seed=3).digest
    assert len({noise(three(), seed=seed).digest for seed in range(6)}) > 1


def test_variants_of_one_base_never_give_to_each_other() -> None:
    made = noise(plusplus(three()), 2)
    assert all(base != p.base_id for p in made.problems for _, base, _ in p.changes["noise"])  # type: ignore[attr-defined]
    assert made.notes["made"]["from"]["made"]["rule"] == "permutations"  # type: ignore[index]


# order


@pytest.mark.parametrize(
    ("rule", "expected"),
    [
        ("match-first", {"a": "yes no", "b": "cat dog cat"}),
        ("match-last", {"a": "no yes", "b": "cat dog cat"}),
        ("mismatch-first", {"a": "no yes", "b": "dog cat cat"}),
        ("mismatch-last", {"a": "yes no", "b": "cat cat dog"}),
    ],
)
def test_a_demonstration_of_the_kind_is_moved_and_the_others_stay(rule: Any, expected: dict[str, str]) -> None:
    made = order(three(), rule)
    assert {p.problem_id: answers(p) for p in made.problems} == expected  # c has only one kind
    assert made.notes["made"]["left_out"] == 1  # type: ignore[index]


def test_the_order_experiment_of_smmile_is_about_69_problems(smmile: Problems) -> None:
    for rule, first, last in (("match-first", True, None), ("mismatch-first", False, None), ("match-last", None, True)):
        made = order(smmile, rule)  # type: ignore[arg-type]
        assert len(made) == 69
        assert first is None or {p.first_matches for p in made.problems} == {first}
        assert last is None or {p.last_matches for p in made.problems} == {last}


def test_likeness_by_text_looks_at_the_question_and_not_at_the_gold_answer() -> None:
    """Query "q 3?": cosine with "q 0? 3 q" is 2/√(2·3) = .82, with "q 1? x" 1/√6 = .41, with "q 2? …" 1/√(2·5) = .32."""
    made = problem("q", ["3 q", "x", "and so on", "gold"])
    found = order(Problems(name="one", revision="", problems=[made]), "similar-last").problems[0]
    assert answers(found) == "and so on x 3 q"


def test_what_a_generator_does_not_know_is_refused() -> None:
    with pytest.raises(UnknownName, match="likeness"):
        order(three(), "similar-last", by="sound")  # type: ignore[arg-type]
    with pytest.raises(UnknownName, match="draw of noise"):
        noise(three(), draw="some")  # type: ignore[arg-type]
    with pytest.raises(UnknownName, match="place of noise"):
        noise(three(), where="middle")  # type: ignore[arg-type]


def test_likeness_by_image_puts_an_equal_picture_first() -> None:
    from qrelkit.bench.smmile.demo import drawn

    base = drawn().problems[3]
    query = base.demonstrations[2]
    same = Problem(problem_id="s", demonstrations=base.demonstrations, query=query)
    found = order(Problems(name="one", revision="", problems=[same]), "similar-first", by="image").problems[0]
    assert found.demonstrations[0].image == query.image
    with pytest.raises(Mismatch, match="no images"):
        order(three(pictured=False), "similar-first", by="image")
