"""The replay model: recordings of our own, other stores, and what others recorded."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from qrelkit.core.errors import InputError, Rejected
from qrelkit.core.wire import Message, Reply, Request, text
from qrelkit.models.replay import Replay, foreign, write_replay


def asking(said: str, model: str = "openai:m") -> Request:
    return Request(model=model, messages=(Message("user", (text(said),)),))


FULL = Reply(
    text="größer ☃",
    outcome="truncated",
    served="m-2025",
    finish="length",
    tokens_in=10,
    tokens_out=3,
    tokens_cached=2,
    cost_usd=0.5,
    latency_s=1.25,
    attempts=2,
    token_probabilities=(("a", {"a": -0.1, "b": -2.5}),),
)


def test_what_was_written_is_said_again_whole(tmp_path: Path) -> None:
    file = tmp_path / "r.jsonl"
    rows = [(asking("a"), FULL), (asking("b"), Reply(text="")), (asking("c"), Reply(text="", outcome="failed", error="down"))]
    assert write_replay(file, rows) == 2
    model = Replay(file)
    assert model.name == "openai:m"
    first, second = asyncio.run(model.replies([asking("a"), asking("b")]))
    assert first == replace(FULL, request=asking("a").digest)
    assert second == Reply(text="", request=asking("b").digest)
    assert (model.cost_usd(first), model.cost_usd(second)) == (0.5, None)
    with pytest.raises(Rejected, match=rf"{asking('c').digest} is not in .*r\.jsonl; prompt, settings"):
        asyncio.run(model.replies([asking("c")]))


def test_nothing_half_written_is_left_behind(tmp_path: Path) -> None:
    def rows() -> object:
        yield asking("a"), FULL
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write_replay(tmp_path / "r.jsonl", rows())
    assert list(tmp_path.iterdir()) == []


def test_another_store_is_replayed() -> None:
    class Remembering:
        def replies(self, digests: Sequence[str]) -> dict[str, Reply]:
            return {d: FULL for d in digests if d == asking("a").digest}

    model = Replay.from_store(Remembering(), "openai:m")
    assert asyncio.run(model.replies([asking("a")]))[0].text == FULL.text
    with pytest.raises(Rejected, match="not in the store"):
        asyncio.run(model.replies([asking("b")]))


@pytest.mark.parametrize(
    ("lines", "says"),
    [
        ('{"request": "r1:0", "text": "a"}\n', "names no model; give the name"),
        (
            '{"request": "r1:0", "text": "a", "model": "x"}\n{"request": "r1:1", "text": "a", "model": "y"}\n',
            r"2 models \(x, y\)",
        ),
        ('{"request": "r1:0", "text": "a"}\n{"request"\n', r"r\.jsonl:2: not JSON"),
        ('{"request": "r1:0"}\n', r"r\.jsonl:1: a recorded reply needs"),
        ('{"request": "r1:0", "text": "a"}\n{"request": "r1:0", "text": "b"}\n', r"r\.jsonl:2: a second, different reply"),
        ('{"request": "r1:0", "text": "a", "outcome": "failed"}\n', "the outcome 'failed' is none of"),
        ("[]\n", "an object is needed"),
    ],
)
def test_what_is_no_recording_is_refused_with_its_line(tmp_path: Path, lines: str, says: str) -> None:
    (tmp_path / "r.jsonl").write_text(lines, encoding="utf-8")
    with pytest.raises(InputError, match=says):
        Replay(tmp_path / "r.jsonl")


def test_a_recording_of_digest_and_text_alone_needs_a_name(tmp_path: Path) -> None:
    (tmp_path / "r.jsonl").write_text(f'{{"request": "{asking("q").digest}", "text": "a"}}\n', encoding="utf-8")
    model = Replay(tmp_path / "r.jsonl", "openai:m")
    assert asyncio.run(model.replies([asking("q")]))[0].text == "a"


def test_a_missing_recording_is_said(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no recording can be read"):
        Replay(tmp_path / "none.jsonl")


COLUMNS = {"query_id": "qidx", "doc_id": "docidx", "text": "LLMs_output"}


def test_foreign_recordings_are_read_by_query_and_document(tmp_path: Path) -> None:
    file = tmp_path / "raw.jsonl"
    file.write_text(
        '{"qidx": "q1", "docidx": 7, "LLMs_output": "2"}\n\n{"qidx": "007", "docidx": "d", "LLMs_output": ""}\n', encoding="utf-8"
    )
    assert foreign(file, COLUMNS) == {("q1", "7"): "2", ("007", "d"): ""}
    with pytest.raises(InputError, match=r"raw\.jsonl:1: no query_id, doc_id, text; it has qidx"):
        foreign(file)


@pytest.mark.parametrize(
    ("line", "says"),
    [
        ('{"query_id": "1", "doc_id": "2", "text": "b"}', r":2: a second, different reply for query 1 and document 2"),
        ('{"query_id": 1.5, "doc_id": "2", "text": "b"}', r":2: 1\.5 is no id"),
        ('{"query_id": "1", "doc_id": "3", "text": null}', r":2: no text"),
    ],
)
def test_foreign_recordings_that_contradict_themselves_are_refused(tmp_path: Path, line: str, says: str) -> None:
    (tmp_path / "raw.jsonl").write_text('{"query_id": "1", "doc_id": "2", "text": "a"}\n' + line + "\n", encoding="utf-8")
    with pytest.raises(InputError, match=says):
        foreign(tmp_path / "raw.jsonl")


def test_the_recorded_replies_of_llmjudge_are_all_there(data: Path) -> None:
    raw = foreign(data / "llmjudge_dl23" / "raw_outputs_flan-t5-large_umbrela_zeroshot.jsonl", COLUMNS)
    assert len(raw) == 4410  # data/INDEX.md
    assert sum(said in {"0", "1", "2", "3"} for said in raw.values()) == 4408
