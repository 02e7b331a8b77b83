"""Options by first appearance, the shown order, and the majority and random baselines."""

from __future__ import annotations

import json
import random
from pathlib import Path

import pytest

from qrelkit.bench.smmile.baselines import baseline, expected, majority_answer
from qrelkit.bench.smmile.choice import choice_frame, choice_of, choices, with_choice_score
from qrelkit.bench.smmile.exact import with_exact
from qrelkit.bench.smmile.problems import Problem, Problems, Triplet
from qrelkit.bench.smmile.published import read_published
from qrelkit.bench.smmile.transcripts import problems_from
from qrelkit.core.errors import InputError, UnknownName


def problem(gold: str, *answers: str, problem_id: str = "p") -> Problem:
    shown = tuple(Triplet(question="q?", answer=a) for a in answers)
    return Problem(problem_id=problem_id, demonstrations=shown, query=Triplet(question="q?", answer=gold))


def benchmark(*problems: Problem) -> Problems:
    return Problems(name="own", revision="1", problems=problems, text_only=True)


def test_letters_go_by_first_appearance_and_an_unseen_gold_answer_is_last() -> None:
    seen = choice_of(problem("no", "yes", "no", "yes"))
    assert (seen.options, seen.gold_letter, seen.shown) == (("yes", "no"), "B", "AB")
    unseen = choice_of(problem("maybe", "yes", "no"))
    assert (unseen.options, unseen.gold_letter) == (("yes", "no", "maybe"), "C")


def test_options_are_raw_texts_and_equal_ones_after_normalisation_are_flagged() -> None:
    frame = choice_frame(choices(benchmark(problem("Yes ", "yes", problem_id="a"), problem("x", "x", problem_id="b")), None))
    assert frame["options"].to_list() == [["yes", "Yes "], ["x"]]
    assert frame["equal_options"].to_list() == [True, False]
    assert frame["one_option"].to_list() == [False, True]


def test_the_shown_order_is_one_stream_of_pythons_chance_over_the_problems() -> None:
    """By the standard library: seed once, shuffle the list of letters per problem."""
    problems = benchmark(*(problem("d", "a", "b", "c", problem_id=str(i)) for i in range(5)))
    rng, wanted = random.Random(42), []
    for _ in range(5):
        letters = list("ABCD")
        rng.shuffle(letters)
        wanted.append("".join(letters))
    made = choices(problems)
    assert [c.shown for c in made.values()] == wanted
    assert made["0"].lines == tuple((letter, "abcd"["ABCD".index(letter)]) for letter in wanted[0])
    assert (made["0"].text_of("B"), made["0"].text_of("E"), made["0"].text_of("")) == ("b", None, None)


def test_more_answers_than_letters_are_refused() -> None:
    with pytest.raises(InputError, match="27 different answers"):
        choice_of(problem("gold", *map(str, range(26))))


def test_the_majority_answer_is_the_first_seen_of_equally_frequent_ones() -> None:
    assert majority_answer(problem("x", "b", "a", "a", "b")) == "b"
    assert majority_answer(problem("x", "b", "a", "a")) == "a"
    assert majority_answer(problem("x")) is None


def test_a_problem_without_demonstrations_has_no_baseline_answer_but_a_random_option() -> None:
    bare = benchmark(problem("x"))
    assert baseline(bare, "majority").frame["status"].to_list() == ["empty"]
    assert baseline(bare, "random").frame["answer"].to_list() == [None]
    assert baseline(bare, "random", "choice").frame["letter"].to_list() == ["A"]
    with pytest.raises(UnknownName, match="baseline"):
        baseline(bare, "median")  # type: ignore[arg-type]


def test_the_expectation_of_random_by_hand() -> None:
    """open: ("Yes." among yes, no, no) 1/3 and (none of 2) 0, mean 1/6; choice: 1/3 and 1/3 (yes, no, "Yes." are three texts)."""
    problems = benchmark(problem("Yes.", "yes", "no", "no", problem_id="a"), problem("c", "a", "b", problem_id="b"))
    assert expected(problems) == pytest.approx(1 / 6)
    assert expected(problems, "choice") == pytest.approx(1 / 3)


@pytest.mark.parametrize("dataset", ["SMMILE", "SMMILE++"])
def test_published_baselines_regenerate_row_by_row(data: Path, dataset: str) -> None:
    """The files of the publication, and research/smmile_expected.json where it is at hand."""
    folder = data / "smmile" / dataset
    problems = problems_from(folder / "result_llava_7b_ICL.csv")
    counts = {}
    for which, form in (("majority", "open"), ("majority", "choice"), ("random", "choice")):
        made = with_choice_score(with_exact(baseline(problems, which, form).frame))  # type: ignore[arg-type]
        stored = read_published(folder / f"result_{which}_ICL{'_mcqa' if form == 'choice' else ''}.csv").frame
        column = "answer" if form == "open" else "letter"
        assert made[column].to_list() == stored[column].to_list()
        assert made["problem_id"].to_list() == stored["problem_id"].to_list()
        counts[which, form] = int(made["exact_flexible" if form == "open" else "choice_correct"].sum())
    small = dataset == "SMMILE"
    assert counts[("majority", "open")] == (30 if small else 182)
    assert counts[("majority", "choice")] == (27 if small else 173)
    assert counts[("random", "choice")] == (40 if small else 351)


@pytest.mark.parametrize("dataset", ["SMMILE", "SMMILE++"])
def test_the_expectation_of_random_on_the_real_problems(data: Path, dataset: str) -> None:
    path = data.parent / "research" / "smmile_expected.json"
    if not path.exists():
        pytest.skip(f"no expected numbers at {path}")
    wanted = json.loads(path.read_text(encoding="utf-8"))["baselines_regenerated"]["random_expected_exact"]
    problems = problems_from(data / "smmile" / dataset / "result_llava_7b_ICL.csv")
    assert 100 * expected(problems) == pytest.approx(wanted["open"][dataset], abs=1e-4)
    assert 100 * expected(problems, "choice") == pytest.approx(wanted["mcqa"][dataset], abs=1e-4)
