"""Tables split by a column of the queries, and weighted: by hand on numbers small enough to check."""

from __future__ import annotations

import polars as pl
import pytest

from qrelkit.core.errors import InputError
from qrelkit.core.qrels import Qrels
from qrelkit.core.run import Run
from qrelkit.steps.agree import agree
from qrelkit.steps.compare import compare
from qrelkit.steps.comparison import Differences
from qrelkit.steps.expand import expand

LANGUAGE = {"q1": "de", "q2": "en", "q3": "en"}
WEIGHT = {"q1": 6.0, "q2": 1.0, "q3": 2.0}


def qrels(name: str, *grades: tuple[str, str, int]) -> Qrels:
    return Qrels.of(pl.DataFrame(grades, schema=["query_id", "doc_id", "grade"], orient="row"), name)


def run(tag: str, **first: str) -> Run:
    """One document per query."""
    return Run.of(pl.DataFrame({"query_id": list(first), "doc_id": list(first.values()), "score": [1.0] * len(first)}), tag)


TRUTH = qrels("truth", *((q, d, int(d == "good")) for q in ("q1", "q2", "q3") for d in ("good", "bad")))
A = run("A", q1="good", q2="bad", q3="good")  # P@1 = 1, 0, 1
B = run("B", q1="bad", q2="good", q3="good")  # P@1 = 0, 1, 1


def difference(found: object) -> float:
    assert isinstance(found, Differences)
    return float(found.pairs["diff"][0])


def test_compare_weighs_the_queries() -> None:
    """(6 · (1 − 0) + 1 · (0 − 1) + 2 · (1 − 1)) / 9 = 5 / 9."""
    assert difference(compare("P@1", [A, B], [TRUTH], weights=WEIGHT)) == pytest.approx(5 / 9)


def test_compare_within_groups_weighs_within_them() -> None:
    """en: (1 · (0 − 1) + 2 · 0) / 3 = −1/3, and −1/2 without weights."""
    assert difference(compare("P@1", [A, B], [TRUTH], by=LANGUAGE, weights=WEIGHT).by["en"]) == pytest.approx(-1 / 3)
    found = compare("P@1", [A, B], [TRUTH], by=LANGUAGE)
    assert difference(found.by["en"]) == pytest.approx(-1 / 2)
    assert list(found.json()["by"]) == ["de", "en"]
    assert "── en" in found.text()


def test_agree_weighs_the_pairs_of_a_query() -> None:
    """Agreement is 2/2 in q1, 0/2 in q2, 1/2 in q3: (6 · 2 + 1 · 0 + 2 · 1) / (9 · 2) = 14/18; unweighted 3/6."""
    flipped = {("q2", "good"), ("q2", "bad"), ("q3", "bad")}
    rows = [(q, d, g ^ ((q, d) in flipped)) for q, d, g in TRUTH.frame.select("query_id", "doc_id", "grade").iter_rows()]
    other = qrels("other", *((q, d, int(g)) for q, d, g in rows))
    assert agree(other, [TRUTH]).json()["exact"]["value"] == pytest.approx(3 / 6)
    weighed = agree(other, [TRUTH], weights=WEIGHT).json()
    assert weighed["exact"]["value"] == pytest.approx(14 / 18)
    assert sum(map(sum, weighed["confusion"]["counts"])) == 6  # counts stay counts


def test_expand_counts_by_group() -> None:
    found = expand(qrels("human", ("q1", "a", 1)), qrels("model", ("q1", "b", 0), ("q2", "a", 1)))
    assert found.by(LANGUAGE) == {
        "de": {"judged": 1, "relevant": 1, "new": 1, "new_relevant": 0, "ungraded": 0},
        "en": {"judged": 0, "relevant": 0, "new": 1, "new_relevant": 1, "ungraded": 0},
    }


@pytest.mark.parametrize("weights", [{"q1": 1.0}, {"q1": -1.0, "q2": 1.0, "q3": 1.0}, dict.fromkeys(LANGUAGE, 0.0)])
def test_weights_that_cannot_be_used_are_refused(weights: dict[str, float]) -> None:
    for call in (lambda: compare("P@1", [A, B], [TRUTH], weights=weights), lambda: agree(TRUTH, [TRUTH], weights=weights)):
        with pytest.raises(InputError, match="weight"):
            call()
