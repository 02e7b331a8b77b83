"""Recorded labels as a judge, and what panels and cascades of real ones are worth beside people."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import polars as pl
import pytest

from judges.talking import answer_each, echo, pairs
from qrelkit.core.doors import Judge
from qrelkit.core.errors import Mismatch
from qrelkit.core.guideline import SCALES
from qrelkit.core.qrels import Qrels
from qrelkit.core.records import Document, Pair, Query
from qrelkit.formats.trec import read_qrels
from qrelkit.judges.cascade import Cascade, Unsure
from qrelkit.judges.labels import Labels
from qrelkit.judges.panel import Panel
from qrelkit.judges.several import gives_probabilities
from qrelkit.steps.agree import agree

TREC = SCALES["trec-0-3"]
PAIR = ["query_id", "doc_id"]


def labels(*grades: int | None, name: str = "file") -> Qrels:
    docs = [f"d{i}" for i in range(1, len(grades) + 1)]
    return Qrels.of(pl.DataFrame({"query_id": ["q1"] * len(docs), "doc_id": docs, "grade": grades}), name)


def test_it_asks_nothing_and_says_what_was_recorded() -> None:
    recorded = Labels(labels(3, 0), TREC, source="labels/file.txt")
    rounds, judged = answer_each(recorded.flow(pairs(3)), echo)
    assert rounds == []
    assert [(j.grade, j.outcome) for j in judged] == [(3, "graded"), (0, "graded"), (None, "failed")]
    assert judged[2].reason == "labels/file.txt has no label for it"
    assert (judged[0].query_key, judged[0].doc_key, judged[0].cost_usd) == ("qk", "k-d1", None)
    assert isinstance(recorded, Judge)
    assert (recorded.name, recorded.models) == ("file", ())


def test_its_key_is_what_the_file_says_whatever_the_order() -> None:
    one, other = labels(3, 0), labels(3, 1)
    turned = Qrels.of(one.frame.reverse(), "turned")
    assert Labels(one, TREC).key == Labels(turned, TREC, name="mine").key
    assert Labels(one, TREC).key != Labels(other, TREC).key
    assert Labels(one, TREC).key != Labels(labels(3, 0, None), TREC).key


def test_labels_off_the_scale_are_refused() -> None:
    with pytest.raises(Mismatch, match=r"labels/x\.txt has grades \[5\] outside scale 'trec-0-3'"):
        Labels(labels(0, 5), TREC, source="labels/x.txt")


def unsure_labels(*shares: tuple[float, ...] | None) -> Qrels:
    """Labels with probabilities; each pair's grade is the most probable one."""
    grades = [None if s is None else s.index(max(s)) for s in shares]
    columns = {f"p{g}": [None if s is None else s[g] for s in shares] for g in range(4)}
    plain = labels(*[0 if g is None else g for g in grades], name="sure")
    return Qrels(plain.frame.with_columns(pl.Series(name, values, pl.Float64) for name, values in columns.items()), "sure")


def test_recorded_probabilities_are_those_of_the_judgment() -> None:
    recorded = Labels(unsure_labels((0.1, 0.2, 0.3, 0.4), None), TREC)
    _, judged = answer_each(recorded.flow(pairs(3)), echo)
    assert [(j.grade, j.probabilities) for j in judged] == [(3, (0.1, 0.2, 0.3, 0.4)), (0, None), (None, None)]
    assert gives_probabilities(recorded.settings)
    assert not gives_probabilities(Labels(labels(3, 0), TREC).settings)


def test_its_key_changes_with_the_probabilities() -> None:
    one, other = unsure_labels((0.0, 0.0, 0.4, 0.6)), unsure_labels((0.0, 0.0, 0.3, 0.7))
    assert len({Labels(q, TREC).key for q in (one, other, labels(3))}) == 3
    assert Labels(one, TREC).key == Labels(Qrels(one.frame, "other"), TREC).key


def test_probabilities_of_grades_that_the_scale_lacks_are_refused_unless_they_are_0() -> None:
    graded = SCALES["product-3"]
    with pytest.raises(Mismatch, match="has probabilities of grade 3, which is not on scale 'product-3'"):
        Labels(unsure_labels((0.1, 0.2, 0.5, 0.2)), graded, source="x.csv")
    _, judged = answer_each(Labels(unsure_labels((0.1, 0.3, 0.6, 0.0)), graded).flow(pairs(1)), echo)
    assert judged[0].probabilities == (0.1, 0.3, 0.6)


def test_a_cascade_sends_on_what_recorded_labels_are_unsure_of() -> None:
    cheap = Labels(unsure_labels((0.9, 0.1, 0.0, 0.0), (0.4, 0.3, 0.2, 0.1), None), TREC, name="cheap")
    dear = Labels(labels(3, 3, 3), TREC, name="dear")
    _, judged = answer_each(Cascade([cheap, dear], Unsure(below=0.6)).flow(pairs(3)), echo)
    assert [(j.grade, (j.details or {})["stage"]) for j in judged] == [(0, "cheap"), (3, "dear"), (3, "dear")]


def judged(judge: Judge, human: Qrels) -> tuple[Qrels, pl.DataFrame]:
    """What a judge that asks nothing says of people's pairs; and the same with what it keeps besides."""
    rows = []
    for query_id, doc_id in human.frame.select(PAIR).iter_rows():
        pair = Pair(query=Query(query_id=query_id, text=""), document=Document(doc_id=doc_id, text=""))
        asked, (judgment,) = answer_each(judge.flow([pair]), echo)
        assert asked == []
        rows.append((query_id, doc_id, judgment.grade, judgment.outcome, (judgment.details or {}).get("stage")))
    frame = pl.DataFrame(rows, schema=[*PAIR, "grade", "outcome", "stage"], orient="row")
    return Qrels.of(frame, judge.name), frame


def side_by_side(human: Qrels, sets: Mapping[str, Labels]) -> pl.DataFrame:
    frame = human.frame.select(PAIR)
    for name, one in sets.items():
        frame = frame.join(one.qrels.frame.select(*PAIR, pl.col("grade").alias(name)), on=PAIR, how="left", maintain_order="left")
    return frame


def kappas(assessor: Qrels, human: Qrels) -> tuple[float, float]:
    found = agree(assessor, [human], scale=TREC, resamples=2).figures.estimates
    return round(found["kappa"].value, 4), round(found["kappa_quadratic"].value, 4)


def test_a_cascade_of_real_labels(data: Path) -> None:
    """DL19, 9,260 pairs: what Flan-T5 large calls 0 stays so, the rest goes on to GPT-4o (.3626 alone, published)."""
    folder = data / "trec_dl19"
    human = read_qrels(str(folder / "qrels.human.txt"))
    small = Labels(read_qrels(str(folder / "llm_labels" / "dl2019_test_4prompts_flant5large.txt")), TREC, name="small")
    large = Labels(read_qrels(str(folder / "llm_labels" / "gpt-4o_umbrela.txt")), TREC, name="large")
    found, frame = judged(Cascade([small, large], Unsure(grades=(1, 2, 3))), human)

    both = side_by_side(human, {"small": small, "large": large})
    expected = both.select(grade=pl.when(pl.col("small") > 0).then("large").otherwise("small"))
    assert frame["grade"].to_list() == expected["grade"].to_list()
    assert dict(frame["stage"].value_counts().iter_rows()) == {"small": 3945, "large": 5315}
    assert kappas(small.qrels, human) == (0.2272, 0.4477)
    assert kappas(large.qrels, human) == (0.3626, 0.5951)
    assert kappas(found, human) == (0.3728, 0.5961)


def test_a_panel_of_three_real_label_sets(data: Path) -> None:
    """DL23, 4,423 pairs. The medians are computed again by columns."""
    folder = data / "llmjudge_dl23"
    human = read_qrels(str(folder / "qrels.human.test.txt"))
    names = ("Olz-gpt4o", "willia-umbrela1", "h2oloo-fewself")
    sets = {name: Labels(read_qrels(str(folder / "llm_labels" / f"{name}.txt")), TREC) for name in names}
    found, frame = judged(Panel(list(sets.values()), rule="median"), human)

    votes = side_by_side(human, sets).select(pl.concat_list(names).list.sort().list.get(1))
    assert frame["grade"].to_list() == votes.to_series().to_list()
    members = [kappas(one.qrels, human) for one in sets.values()]
    assert members == [(0.2625, 0.5069), (0.2863, 0.5044), (0.2774, 0.5046)]
    assert kappas(found, human) == (0.2907, 0.5118)
