from __future__ import annotations

from pathlib import Path

import bm25s
import numpy as np
import orjson
import polars as pl
import pytest

from qrelkit.core.errors import InputError
from qrelkit.text.bm25 import Index
from qrelkit.text.bm25_files import open_index, save_index

TEXTS = ["red dress", "red red shoe", "blue shoe with a long lace", "green", "高血压 患者", ""]


def answers(index: Index, query: str) -> list[tuple[int, float]]:
    ((_, docs, scores),) = index.best(index.queries(pl.Series([query]))[0], 10)
    return sorted(zip(docs.tolist(), scores.tolist(), strict=True))


def test_an_opened_index_answers_as_the_one_that_was_saved(tmp_path: Path) -> None:
    made = Index.of([pl.Series(TEXTS)], analyzer="cjk", k1=1.2, b=0.7, idf="gensim")
    saved = save_index(made, tmp_path / "deep" / "bm25-1")
    opened = open_index(tmp_path / "deep" / "bm25-1")
    assert opened is not None
    for query in ("red shoe lace", "高血压", "violet", ""):
        assert answers(made, query) == answers(saved, query) == answers(opened, query)
    assert opened.settings == made.settings
    assert (opened.documents, opened.mean, len(opened)) == (made.documents, made.mean, 6)
    assert [p.name for p in (tmp_path / "deep").iterdir()] == ["bm25-1"]


@pytest.mark.parametrize("mmap", [True, False])
def test_bm25s_opens_the_same_index_and_gives_the_same_scores(tmp_path: Path, mmap: bool) -> None:
    rng = np.random.default_rng(5)
    texts = [" ".join(f"w{i}" for i in rng.zipf(1.3, size=20) % 400) for _ in range(300)]
    made = save_index(Index.of([pl.Series(texts)], analyzer="standard"), tmp_path / "index")
    theirs = bm25s.BM25.load(tmp_path / "index", mmap=mmap)
    for query in (["w1", "w7", "w50"], ["w3", "w3"], ["w399", "unseen"]):
        ours = made.pair_scores(made.queries(pl.Series([" ".join(query)]))[0], np.zeros(300, np.int64), np.arange(300))
        assert ours.tolist() == pytest.approx(theirs.get_scores(query).tolist(), abs=1e-5)
    found, scores = theirs.retrieve([["w1", "w7"]], k=5, show_progress=False)
    ((_, docs, ours),) = made.best(made.queries(pl.Series(["w1 w7"]))[0], 5)
    assert np.sort(ours)[::-1][:5].tolist() == pytest.approx(scores[0].tolist(), abs=1e-5)
    assert set(found[0].tolist()) <= set(docs.tolist())


def test_what_is_not_whole_is_no_index_and_is_written_again(tmp_path: Path) -> None:
    folder = tmp_path / "index"
    made = Index.of([pl.Series(TEXTS)], analyzer="standard")
    save_index(made, folder)
    for name in ("index.json", "data.csc.index.npy", "terms.parquet"):
        (folder / name).write_bytes((folder / name).read_bytes()[:-3])
        assert open_index(folder) is None
        assert answers(save_index(made, folder), "red") == answers(made, "red")
    assert open_index(tmp_path / "nothing") is None
    size = (folder / "terms.parquet").stat().st_size
    (folder / "terms.parquet").write_bytes(b"\0" * size)
    assert open_index(folder) is None


def test_terms_of_another_version_of_the_stemmer_are_no_index(tmp_path: Path) -> None:
    made = Index.of([pl.Series(TEXTS)], analyzer="english")
    save_index(made, tmp_path / "index")
    said = orjson.loads((tmp_path / "index" / "index.json").read_bytes())
    assert [*said["made_with"]] == ["PyStemmer"]
    (tmp_path / "index" / "index.json").write_bytes(orjson.dumps({**said, "made_with": {"PyStemmer": "0.1"}}))
    assert open_index(tmp_path / "index") is None
    assert answers(save_index(made, tmp_path / "index"), "shoes") == answers(made, "shoes")


def test_two_that_save_the_same_share_the_first(tmp_path: Path) -> None:
    made = Index.of([pl.Series(TEXTS)], analyzer="standard")
    save_index(made, tmp_path / "index")
    before = (tmp_path / "index" / "index.json").stat().st_mtime_ns
    save_index(made, tmp_path / "index")
    assert (tmp_path / "index" / "index.json").stat().st_mtime_ns == before


def test_a_folder_that_cannot_be_written_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("", encoding="utf-8")
    with pytest.raises(InputError, match="cannot be written"):
        save_index(Index.of([pl.Series(TEXTS)]), tmp_path / "file" / "index")


def test_an_index_without_terms_can_be_saved(tmp_path: Path) -> None:
    opened = save_index(Index.of([pl.Series(["", "?!"])]), tmp_path / "index")
    assert answers(opened, "red") == []
