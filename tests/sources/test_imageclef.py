"""ImageCLEF's layout, whole and broken; figures are read when somebody looks at them, and not before."""

from __future__ import annotations

import hashlib
import os
import re
from pathlib import Path

import polars as pl
import pytest

from cli.calling import call
from qrelkit.core.collection import Collection
from qrelkit.core.errors import InputError
from qrelkit.core.guideline import SCALES, Guideline
from qrelkit.core.pool import Pool
from qrelkit.core.run import Run
from qrelkit.judges.pointwise import Look, Pointwise
from qrelkit.models.scripted import Scripted
from qrelkit.project.judging import described_documents
from qrelkit.steps.describe import images_to_describe
from qrelkit.steps.judge import judge
from qrelkit.steps.load import load
from qrelkit.stores.sql import SqlStore
from qrelkit.text.prompt import read_prompt
from sources.tiny_cases import write_layout

FEVER = "10.1016/S0140-6736(12)60001-2"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return write_layout(tmp_path)


def remembered(found: Collection) -> list[str]:
    """The lines of the file of digests."""
    file = found.folder.parent / "image_digests.jsonl"
    return [line for line in file.read_text(encoding="utf-8").splitlines() if line] if file.exists() else []


def test_an_article_has_its_sections_as_text_and_as_columns(folder: Path) -> None:
    found = load(folder)
    fever = found.document(FEVER)  # a DOI with slash and brackets
    assert fever.title == "Fever and cough"
    assert fever.columns == {
        "authors": "A. One, B. Two",
        "abstract": "Two cases of fever.",
        "fulltext": "First <paragraph>.\nSecond & last.",  # an entity, and CDATA
        "captions": "The lung, α view.\nLost in the post.\nThe lung, later.",
        "missing_figures": "fever-2",
    }
    parts = [fever.title, *(fever.columns[name] for name in ("abstract", "fulltext", "captions"))]
    assert fever.text == " ".join(parts)
    shown = [(image.name, image.caption, image.position) for image in fever.images]
    assert shown == [("a/fever-1.jpg", "The lung, α view.", 0), ("b/fever-3.jpg", "The lung, later.", 2)]


def test_both_ways_to_write_a_description_are_read_and_images_stand_in_order(folder: Path) -> None:
    found = load(folder)
    assert [found.query(q).text for q in "12"] == ["A man of 43 with fever & cough.", "A woman of 60 who fell."]
    assert [image.name for image in found.query("1").images] == [f"CaseQueryImages2013/1_{n}.jpg" for n in (1, 2)]
    assert found.query("1").columns == {}


def test_a_missing_image_of_a_case_stands_in_its_column(folder: Path) -> None:
    case = load(folder).query("3")
    assert case.columns["missing_images"] == "CaseQueryImages2013/3_2.jpg"
    assert len(case.images) == 1


def test_what_cannot_be_used_is_counted_and_listed_by_load(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    found = load(folder)
    assert list(found.doc_ids) == [FEVER, "10.1/fall", "10.1/bare"]
    assert found.document("10.1/fall").title == "A fall"  # of two files the first
    counts = {name: value for name, value in found.notes.items() if not name.startswith("first_")}
    assert counts == {
        "duplicate_articles": 1,
        "missing_figures": 1,
        "articles_without_text": 1,
        "articles_without_doi": 1,
        "unreadable_articles": 2,  # the torn one and the bomb
        "not_articles": 1,
        "missing_images": 1,
    }
    said = call(capsys, "load", folder)
    assert said.code == 0
    told = re.sub(r"\s+", " ", said.out)
    for words in (*(f"article_{n}.xml" for n in (3, 4, 5, 6, 7, 8)), "fever-2 of 10.1016", "declares the entity 'a'"):
        assert words in told


@pytest.mark.parametrize(
    ("topics", "complaint"),
    [
        ("<TOPICS><TOPIC>", "case-based-topics.xml:1: not well-formed XML"),
        ("<TOPICS/>", "has no TOPIC"),
        ("<TOPICS><TOPIC><ID> </ID></TOPIC></TOPICS>", "topic 1 of 1 has no ID"),
        ('<!DOCTYPE t [<!ENTITY a "b">]><TOPICS/>', "declares the entity 'a'"),
    ],
)
def test_topics_that_cannot_be_read_stop_everything(folder: Path, topics: str, complaint: str) -> None:
    (folder / "case-based-topics.xml").write_text(topics, encoding="utf-8")
    with pytest.raises(InputError, match=re.escape(complaint)):
        load(folder)


def test_a_file_outside_is_never_read_by_an_entity(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "secret.txt").write_text("the secret", encoding="utf-8")
    text = f'<!DOCTYPE a SYSTEM "{(tmp_path / "secret.txt").as_uri()}"><article doi="10.1/x"><title>T &beta;</title></article>'
    (folder / "meta-xml" / "one-file-per-article" / "article_9.xml").write_text(text, encoding="utf-8")
    assert load(folder).document("10.1/x").title == "T β"


def test_the_human_grades_are_found(folder: Path) -> None:
    (qrels,) = load(folder).qrels.values()
    assert qrels.graded.select("query_id", "doc_id", "grade").rows()[0] == ("1", FEVER, 1)


def judged(found: Collection, store: SqlStore, route: str) -> int:
    """Judges every article for the first case; returns how many judgments were known."""
    run = Run.of(pl.DataFrame({"query_id": ["1"] * 3, "doc_id": list(found.doc_ids), "rank": [1, 2, 3]}), "words")
    guideline = Guideline(scale=SCALES["binary"])
    assessor = Pointwise("scripted:answers", guideline, read_prompt("binary-case"), look=Look(route=route))
    models = {"scripted:answers": Scripted(reply={"": '{"verdict": "relevant"}'})}
    done = judge(Pool.of([run], 5), assessor, found, store=store, models=models)
    assert done.ungraded == 0
    return done.known


def test_judging_by_text_hashes_no_figure_and_by_sight_each_one_once(folder: Path, tmp_path: Path) -> None:
    found = load(folder)
    with SqlStore(str(tmp_path / "store.db")) as store:
        assert (judged(found, store, "text"), remembered(found)) == (0, [])
        assert judged(found, store, "shown") == 0
        assert len(remembered(found)) == 3
        again = load(folder)
        assert (judged(again, store, "text"), judged(again, store, "shown")) == (3, 3)
        assert len(remembered(again)) == 3


def test_describing_some_articles_reads_no_figure_of_others(folder: Path) -> None:
    found = load(folder)
    asked, gone = pl.Series(["10.1/fall", "10.1/nowhere", "10.1/bare", "10.1/fall"]), pl.Series(["10.1/fall"])
    nobody = pl.Series([], dtype=pl.String)
    assert images_to_describe(found, asked, nobody, gone).height == 0
    assert remembered(found) == []
    assert images_to_describe(found, asked, nobody)["doc_id"].to_list() == ["10.1/fall"]
    digest = found.document("10.1/fall").images[0].digest
    told = {digest: "A bone, from the side.", "0" * 64: "Nobody's."}
    assert described_documents(found, told, asked.filter(found.contains(asked))) == {"10.1/fall": "A bone, from the side."}
    assert len(remembered(found)) == 1
    everyone = described_documents(found, told)  # all articles are asked about, so all figures are read
    assert (everyone, len(remembered(found))) == ({"10.1/fall": "A bone, from the side."}, 3)


def test_a_digest_is_remembered_by_path_size_and_time(folder: Path) -> None:
    file = folder / "figures" / "fall-1.jpg"
    first = load(folder).document("10.1/fall").images[0]
    assert first.digest == hashlib.sha256(file.read_bytes()).hexdigest()
    state, data = file.stat(), bytearray(file.read_bytes())
    data[-1] ^= 1  # other bytes, of the same size and time: only who reads the file could know
    file.write_bytes(data)
    os.utime(file, ns=(state.st_atime_ns, state.st_mtime_ns))
    assert load(folder).document("10.1/fall").images[0].digest == first.digest
    os.utime(file, ns=(state.st_atime_ns, state.st_mtime_ns + 10**9))
    changed = load(folder).document("10.1/fall").images[0]
    assert changed.digest == hashlib.sha256(data).hexdigest() != first.digest
    assert changed.read() == data


def test_a_changed_figure_is_judged_again_where_it_is_shown(folder: Path, tmp_path: Path) -> None:
    with SqlStore(str(tmp_path / "store.db")) as store:
        for route in ("text", "shown"):
            judged(load(folder), store, route)
        file = folder / "figures" / "fall-1.jpg"
        file.write_bytes(file.read_bytes() + b"more")
        found = load(folder)
        assert (judged(found, store, "text"), judged(found, store, "shown")) == (3, 2)


def test_bytes_that_are_no_longer_those_of_the_digest_are_not_sent(folder: Path) -> None:
    image = load(folder).document("10.1/fall").images[0]
    image.digest  # noqa: B018 (it is computed here)
    (folder / "figures" / "fall-1.jpg").write_bytes(b"another picture")
    with pytest.raises(InputError, match="has changed while it was in use"):
        image.read()
