"""Golden counts of real collections: those of the data's INDEX.md, the others counted with wc and json once."""

from __future__ import annotations

from pathlib import Path

import pytest

from qrelkit.core.errors import InputError
from qrelkit.steps.load import facts, load


@pytest.mark.parametrize(
    ("name", "queries", "documents", "pairs", "judged_queries"),
    [
        ("scifact", 300, 5183, 339, 300),
        ("cacm", 64, 3204, 796, 52),
        ("medline", 30, 1033, 696, 30),
        ("cranfield", 225, 1400, 1837, 225),
        ("liveqa_medquad", 104, 1935, 2311, 103),
        ("mediqa2019/train_alexa", 104, 862, 862, 104),
        ("mediqa2019/train_liveqa", 104, 839, 839, 104),
        ("cmirb_mini/MedExamRetrieval", 697, 612, 697, 697),
        ("cmirb_mini/DuBaikeRetrieval", 318, 300, 318, 318),
    ],
)
def test_counts_are_those_of_the_index(
    data: Path, name: str, queries: int, documents: int, pairs: int, judged_queries: int
) -> None:
    told = facts(load(data / name))
    human = told["qrels"]["qrels"]
    assert (told["queries"], told["documents"], human["pairs"], human["queries"]) == (queries, documents, pairs, judged_queries)
    assert (human["unknown_documents"], human["unknown_queries"]) == (0, 0)


def test_cranfield_has_two_empty_documents(data: Path) -> None:
    found = load(data / "cranfield")
    assert found.notes == {"empty_documents": 2, "first_empty_documents": ["471", "995"]}
    assert found.document("471").text == ""


def test_scifact_joins_title_and_text(data: Path) -> None:
    found = load(data / "scifact")
    document = found.document("4983")
    assert document.text.startswith(document.title + " Alterations of the architecture of cerebral white matter")
    assert found.query("1").text == "0-dimensional biomaterials show inductive properties."


def test_r2med_keeps_ids_with_slashes_and_the_columns_of_its_queries(data: Path) -> None:
    found = load(data / "r2med" / "Biology-demo")
    assert "neanderthals_vitamin_C_diet/Neanderthal_0_43.txt" in found.doc_ids
    assert found.query("0").columns.keys() == {"doc_id", "answer", "body_system"}
    assert facts(found)["qrels"]["qrels"]["unknown_documents"] == 2  # a demo: its qrels name documents it does not hold


def test_automir_has_no_corpus_of_its_own(data: Path) -> None:
    with pytest.raises(InputError, match=r"has no corpus.jsonl .* there is qrels.jsonl, query.jsonl, qwen"):
        load(data / "automir" / "DuBaikeRetrieval")


def test_dl19_passages_under_another_name_hold_every_judged_document(data: Path) -> None:
    human = data / "trec_dl19" / "qrels.human.txt"
    found = load(data / "trec_dl19", documents="passages.jsonl", qrels=human)
    fit = facts(found)["qrels"]["qrels.human"]
    assert (len(found), found.queries.height, fit["pairs"], fit["unknown_documents"]) == (9139, 43, 9260, 0)
    assert fit["grades"] == {"0": 5158, "1": 1601, "2": 1804, "3": 697}
