"""When an index is used again, when it is built anew, and that nothing half-written is read."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from threading import Thread

import orjson
import pytest

from qrelkit.core.entry import Entry, Fields
from qrelkit.core.errors import InputError
from qrelkit.core.qrels import Qrels
from qrelkit.sources.images import ImageFiles
from qrelkit.sources.indexed import load_indexed
from qrelkit.steps.load import load


def corpus(folder: Path, text: str = "one") -> Path:
    folder.mkdir(exist_ok=True)
    (folder / "corpus.jsonl").write_text(f'{{"id": "1", "text": "{text}"}}\n{{"id": "2", "text": "two"}}\n', encoding="utf-8")
    return folder


def indexes() -> list[Path]:
    return sorted(Path(os.environ["QRELKIT_CACHE"]).glob("collections/*/*"))


def test_an_unchanged_source_is_not_indexed_again(tmp_path: Path) -> None:
    folder = corpus(tmp_path / "c")
    load(folder)
    before = indexes()
    load(folder)
    assert indexes() == before
    assert len(before) == 1


def test_a_changed_source_gets_a_new_index_in_place_of_the_old(tmp_path: Path) -> None:
    folder = corpus(tmp_path / "c")
    old = load(folder)
    before = indexes()
    corpus(folder, "changed")
    assert load(folder).document("1").text == "changed"
    assert len(indexes()) == 1
    assert indexes() != before
    with pytest.raises(InputError, match="has changed since it was indexed"):
        old.document("2")


@pytest.mark.parametrize("name", ["manifest.json", "keys.npy", "ids.txt", "queries.parquet", "image_files.jsonl"])
@pytest.mark.parametrize("how", ["removed", "cut"])
def test_a_broken_index_is_built_anew(tmp_path: Path, name: str, how: str) -> None:
    folder = corpus(tmp_path / "c")
    (folder / "topics.tsv").write_text("1\tx\n", encoding="utf-8")
    (folder / "a.png").write_bytes(b"")
    (folder / "corpus.jsonl").write_text('{"id": "1", "text": "one", "image": "a.png"}\n', encoding="utf-8")
    load(folder)
    (index,) = indexes()
    file = index / name
    if how == "removed":
        file.unlink()
    else:
        file.write_bytes(file.read_bytes()[:-1])
    assert load(folder).document("1").text == "one"
    assert len(indexes()) == 1
    assert indexes() != [index]


def test_what_a_killed_process_left_is_not_read(tmp_path: Path) -> None:
    folder = corpus(tmp_path / "c")
    load(folder)
    (index,) = indexes()
    left = index.with_name("building-x")
    index.rename(left)
    (left / "manifest.json").unlink()
    assert load(folder).document("1").text == "one"
    assert left.exists()  # it may be at work still: removed once it is a day old
    day_before = left.stat().st_mtime - 100_000
    os.utime(left, (day_before, day_before))
    corpus(folder, "changed")
    load(folder)
    assert not left.exists()


def test_two_folders_of_one_name_do_not_share_an_index(tmp_path: Path) -> None:
    for parent in ("a", "b"):
        (tmp_path / parent).mkdir()
        corpus(tmp_path / parent / "c", parent)
    assert [load(tmp_path / parent / "c").document("1").text for parent in ("a", "b", "a")] == ["a", "b", "a"]


def test_a_cache_that_cannot_be_made_is_an_input_error(tmp_path: Path) -> None:
    (tmp_path / "cache").write_text("a file", encoding="utf-8")  # QRELKIT_CACHE of the tests
    with pytest.raises(InputError, match="QRELKIT_CACHE"):
        load(corpus(tmp_path / "c"))


def test_texts_are_read_from_many_threads(tmp_path: Path) -> None:
    rows = "".join(f'{{"id": "{i}", "text": "text {i}"}}\n' for i in range(500))
    (tmp_path / "corpus.jsonl").write_text(rows, encoding="utf-8")
    found = load(tmp_path)
    wrong: list[str] = []

    def read(step: int) -> None:
        wrong.extend(str(i) for i in range(0, 500, step) if found.document(str(i)).text != f"text {i}")

    threads = [Thread(target=read, args=(step,)) for step in (1, 2, 3, 5, 7, 11)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []


@dataclass
class Slow:
    """A source of one document that does something while it is read."""

    root: Path
    looks: str
    meanwhile: Callable[[], object] = lambda: None
    name: str = "slow"
    blob: None = None
    text_from: tuple[str, ...] = ()

    def key(self) -> str:
        return "slow"

    def state(self) -> str:
        return self.looks

    def documents(self, images: ImageFiles) -> Iterator[Entry]:
        self.meanwhile()
        raw = orjson.dumps({"id": "1", "text": self.looks})
        yield Entry(file="slow", line=1, fields=Fields("1", "", self.looks, {}), raw=raw)

    def queries(self, images: ImageFiles) -> Iterator[Entry]:
        return iter(())

    def qrels(self) -> dict[str, Callable[[], Qrels]]:
        return {}


def test_an_equal_index_that_another_finishes_first_is_used_by_both(tmp_path: Path) -> None:
    theirs = []
    mine = load_indexed(Slow(tmp_path, "same", lambda: theirs.append(load_indexed(Slow(tmp_path, "same")))))
    assert len(indexes()) == 1
    assert [c.document("1").text for c in (mine, *theirs)] == ["same", "same"]


def test_an_index_that_another_makes_of_a_newer_state_meanwhile_is_left_to_it(tmp_path: Path) -> None:
    load_indexed(Slow(tmp_path, "first"))
    (first,) = indexes()
    mine = load_indexed(Slow(tmp_path, "older", lambda: load_indexed(Slow(tmp_path, "newer"))))
    assert mine.document("1").text == "older"
    assert len(indexes()) == 2
    assert first not in indexes()
    untouched = indexes()
    assert load_indexed(Slow(tmp_path, "newer")).document("1").text == "newer"
    assert indexes() == untouched
    load_indexed(Slow(tmp_path, "last"))
    assert len(indexes()) == 1


def test_looking_at_an_index_that_is_not_whole_removes_nothing(tmp_path: Path) -> None:
    load_indexed(Slow(tmp_path, "same"))
    (index,) = indexes()
    unfinished = index.with_name("index-0")
    unfinished.mkdir()
    load_indexed(Slow(tmp_path, "same"))
    assert indexes() == [unfinished, index]
