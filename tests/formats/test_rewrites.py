"""Files of hypothetical documents: ours, and those of R2MED, AutoMIR and HyDE as they are published."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from qrelkit.core.errors import InputError, UnknownName
from qrelkit.core.rewriting import Rewrite
from qrelkit.formats.rewrites import read_rewrites, write_rewrites
from qrelkit.formats.sidecars import sha256_of


def file(path: Path, *rows: Any) -> Path:
    path = path / "rewrites.jsonl"
    path.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows), encoding="utf-8")
    return path


def test_what_is_written_is_what_is_read(tmp_path: Path) -> None:
    made = {
        "q1": Rewrite(
            query_id="q1",
            texts=("a",),
            raw=("<think>x</think>a", ""),
            query="?",
            method="hyde",
            model="m:r1",
            counts={"empty": 1},
        ),
        "q2": Rewrite(query_id="q2", texts=(), query="ü", method="hyde", model="m:r1", counts={"failed": 2}),
    }
    write_rewrites(made, tmp_path / "out.jsonl")
    found = read_rewrites(tmp_path / "out.jsonl")
    assert found == made
    assert found.source == {"file": "out.jsonl", "sha256": sha256_of(tmp_path / "out.jsonl")}
    first = json.loads((tmp_path / "out.jsonl").read_text(encoding="utf-8").splitlines()[0])
    assert [*first] == ["id", "text", "method", "model", "rewrites", "raw", "counts"]
    assert (first["rewrites"], first["raw"], first["counts"]) == (["a"], ["<think>x</think>a", ""], {"empty": 1})


def test_each_project_s_own_fields(tmp_path: Path) -> None:
    path = file(
        tmp_path,
        {"id": "1", "text": "q", "hy_doc": "r2med", "doc_id": ["gold"]},
        {"id": 2, "text": "q", "rewrite_query": "automir", "doc": ["gold"]},
        {"qid": "3", "query": "q", "generations": ["one", "two"]},
        {"_id": "4", "rewrite": "by hand"},
        {"query_id": "5", "rewrite": ["by", "hand"]},
    )
    found = read_rewrites(path, method="hyde")
    assert [rewrite.texts for rewrite in found.values()] == [
        ("r2med",),
        ("automir",),
        ("one", "two"),
        ("by hand",),
        ("by", "hand"),
    ]
    assert [*found] == ["1", "2", "3", "4", "5"]
    assert [rewrite.query for rewrite in found.values()] == ["q", "q", "q", "", ""]
    assert {rewrite.method for rewrite in found.values()} == {"hyde"}
    assert "gold" not in repr(found)


def test_a_family_takes_the_thinking_out_and_counts_what_went_wrong(tmp_path: Path) -> None:
    said = ["<think>x</think>a", "b", "<think>c", "<think>d</think>", None]
    path = file(tmp_path, {"id": "1", "generations": said})
    found = read_rewrites(path, family="r1")["1"]
    assert found.texts == ("a", "b", "<think>c")
    assert found.raw == tuple(said[:4])
    assert found.counts == {"fall_backs": 1, "truncated": 1, "empty": 1, "failed": 1}
    assert read_rewrites(path, family="r1", unclosed="drop")["1"].texts == ("a", "b")
    plain = read_rewrites(path)["1"]
    assert plain.texts == tuple(said[:4])
    assert plain.counts == {"failed": 1, "with_thinking": 3}  # nobody said whose thinking it is


def test_of_our_own_file_a_family_is_applied_to_what_was_said(tmp_path: Path) -> None:
    said = {"raw": ["<think>x</think>a"], "rewrites": ["<think>x</think>a"], "counts": {"fall_backs": 1, "refused": 1}}
    path = file(tmp_path, {"id": "1", **said})
    assert read_rewrites(path)["1"].counts == {"fall_backs": 1, "refused": 1}
    anew = read_rewrites(path, family="r1")["1"]
    assert (anew.texts, anew.counts) == (("a",), {"refused": 1})


def test_a_mark_at_the_beginning_and_blank_lines_are_passed_over(tmp_path: Path) -> None:
    path = tmp_path / "bom.jsonl"
    path.write_bytes(b'\xef\xbb\xbf{"id": "1", "rewrite": "a"}\r\n\r\n  \n{"id": "2", "rewrite": "b"}')
    assert [*read_rewrites(path)] == ["1", "2"]


@pytest.mark.parametrize(
    ("row", "complaint"),
    [
        ({"id": "1", "rewrite": "b"}, "2: query '1' has its rewrites in line 1 already"),
        ({"rewrite": "b"}, "2: the query's id must be a text"),
        ({"id": 1.5, "rewrite": "b"}, "found 1.5"),
        ({"id": "2", "text": "q", "doc": "gold"}, "its fields are id, text, doc"),
        ({"id": "2", "rewrite": 7}, "2: rewrite must be a text or a list of texts, found 7"),
        ({"id": "2", "rewrite": "b", "text": ["q"]}, "2: text must be a text"),
        ({"id": "2", "rewrites": ["b"], "counts": {"empty": "no"}}, "2: counts must be whole numbers"),
        (["2", "b"], "2: is not a JSON object"),
    ],
)
def test_what_cannot_be_read_is_named_with_its_line(tmp_path: Path, row: Any, complaint: str) -> None:
    path = file(tmp_path, {"id": "1", "rewrite": "a"}, row)
    with pytest.raises(InputError) as error:
        read_rewrites(path)
    assert f"{path}:2" in str(error.value)
    assert complaint in str(error.value)


def test_unknown_names_and_an_empty_file(tmp_path: Path) -> None:
    path = file(tmp_path, {"id": "1", "rewrite": "a"})
    with pytest.raises(UnknownName, match="'hyde'"):
        read_rewrites(path, method="hide")
    with pytest.raises(UnknownName, match="huatuo"):
        read_rewrites(path, family="huatou")
    with pytest.raises(InputError, match="holds no rewrite"):
        read_rewrites(file(tmp_path))


@pytest.mark.parametrize(
    ("name", "queries", "mean", "shortest", "longest"),
    [  # research/retrieval.md §4.1, measured there independently
        ("MedExam", 697, (307, 211), (96, 16), (822, 762)),
        ("DuBaike", 318, (662, 547), (196, 186), (899, 918)),
        ("CSLCite", 573, (722, 645), (352, 360), (950, 952)),
        ("CSLRelated", 439, (335, 363), (87, 89), (768, 836)),
    ],
)
def test_automir_generations(
    data: Path, name: str, queries: int, mean: tuple[int, int], shortest: tuple[int, int], longest: tuple[int, int]
) -> None:
    for kind, (file_name, expected) in enumerate(
        zip(("query-rewrite.jsonl", "query-rewrite-sft.jsonl"), zip(mean, shortest, longest, strict=True), strict=True)
    ):
        found = read_rewrites(data / "automir" / f"{name}Retrieval" / "qwen" / file_name)
        lengths = [len(text) for rewrite in found.values() for text in rewrite.texts]
        assert len(found) == len(lengths) == queries, kind
        assert (round(sum(lengths) / queries), min(lengths), max(lengths)) == expected
        assert not any(rewrite.counts for rewrite in found.values())


def test_the_same_generations_in_cmirb_mini_and_the_answer_is_not_in_them(data: Path) -> None:
    for name in ("MedExamRetrieval", "DuBaikeRetrieval"):
        mini = read_rewrites(data / "cmirb_mini" / name / "qwen_rewrites.jsonl")
        assert mini == read_rewrites(data / "automir" / name / "qwen" / "query-rewrite.jsonl")
    text = (data / "automir" / "DuBaikeRetrieval" / "qwen" / "query-rewrite.jsonl").read_text(encoding="utf-8")
    line = json.loads(text.splitlines()[0])
    assert line["doc"][0] not in repr(mini["q0000"])


def test_hyde_generations_of_dl19(data: Path) -> None:
    found = read_rewrites(data / "hyde_dl19" / "hyde_gpt3_generations.jsonl")
    assert (len(found), {len(rewrite.texts) for rewrite in found.values()}) == (43, {8})
    assert found["264014"].query == "how long is life cycle of flea"


def test_r2med_demo(data: Path) -> None:
    path = data / "r2med" / "Biology-demo" / "hyde" / "qwen-7b" / "query_with_hydoc.jsonl"
    found = read_rewrites(path, method="hyde", family="none")
    assert [*found] == ["0", "1"]
    assert found["0"].texts[0].startswith("Certainly!")
    whole = read_rewrites(path, family="r1")  # no thinking in these: unchanged, and counted
    assert [rewrite.texts for rewrite in whole.values()] == [rewrite.texts for rewrite in found.values()]
    assert [rewrite.counts for rewrite in whole.values()] == [{"fall_backs": 1}] * 2
