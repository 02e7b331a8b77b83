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
