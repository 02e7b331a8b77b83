"""The demo catalogue: the same everywhere, as large as promised, and true to its rule."""

from __future__ import annotations

import csv
import hashlib
import io
import json
from collections import Counter
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from PIL import Image as Pillow
from sklearn.metrics import ndcg_score

from qrelkit.core.errors import InputError
from qrelkit.images.palette import describe
from qrelkit.judges.palette import words
from qrelkit.sources.demo import needs, products, write_demo
from qrelkit.sources.demo.png import png
from qrelkit.sources.demo.queries import Need
from qrelkit.sources.demo.words import COLOURS
from qrelkit.sources.folder import folder as source
from qrelkit.text.bm25 import Index

# SHA-256 over names and bytes of all files of seed 7; the same with Python 3.11 and numpy 2.4 as with Python 3.13 and numpy 2.1.
GOLDEN = "d7b82233f3c6eecb7bdc56ac610d1110d05b82047087ead65db9f03df414779c"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("demo") / "catalogue"
    write_demo(path)
    return path


def rows(path: Path) -> list[dict[str, object]]:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def test_every_byte_is_the_same_on_every_machine(folder: Path) -> None:
    digest = hashlib.sha256()
    for path in sorted(p for p in folder.rglob("*") if p.is_file()):
        digest.update(path.relative_to(folder).as_posix().encode() + b"\0" + path.read_bytes())
    assert digest.hexdigest() == GOLDEN


def test_it_has_480_products_and_20_queries_in_each_language(folder: Path) -> None:
    assert len(rows(folder / "corpus.jsonl")) == 480
    queries = rows(folder / "queries.jsonl")
    assert Counter(q["language"] for q in queries) == {"en": 20, "de": 20}
    assert all(isinstance(q["weight"], int) and q["weight"] > 0 for q in queries)


@pytest.mark.parametrize("seed", [7, 1, 2])
def test_every_query_has_answers_and_near_misses(seed: int) -> None:
    for need in needs(seed):
        grades = Counter(need.grade(p.kind.name, p.colour, p.pattern) for p in products(seed))
        assert 4 <= grades[2] <= 12
        assert 2 <= grades[1] <= 15


def test_the_rule_of_the_grades() -> None:
    wanted = {"kind": "skirt", "colour": "red", "pattern": "striped"}
    need = Need(query_id="q", text="red striped skirt", language="en", category="bottoms", weight=1, **wanted)
    assert need.grade("skirt", "red", "striped") == 2
    assert need.grade("skirt", "red", "plain") == 1  # only the pattern is another
    assert need.grade("skirt", "pink", "striped") == 1  # only the colour is a neighbour
    assert need.grade("skirt", "pink", "plain") == 0  # both are only near
    assert need.grade("skirt", "blue", "striped") == 0
    assert need.grade("dress", "red", "striped") == 0


def test_neighbours_are_other_known_colours() -> None:
    assert all(set(c.near) <= set(COLOURS) - {c.name} and set(c.seconds) <= set(COLOURS) - {c.name} for c in COLOURS.values())


def test_the_qrels_hold_the_constructed_grade_of_every_pair(folder: Path) -> None:
    with (folder / "qrels" / "constructed.tsv").open(encoding="utf-8", newline="") as file:
        grades = {(r["query-id"], r["corpus-id"]): int(r["score"]) for r in csv.DictReader(file, delimiter="\t")}
    assert len(grades) == 40 * 480
    for need in needs()[::7]:
        for p in products():  # the rule once more, counted as near misses
            pattern_off = need.pattern is not None and p.pattern != need.pattern
            far = p.kind.name != need.kind or p.colour not in (need.colour, *COLOURS[need.colour].near)
            misses = 2 if far else pattern_off + (p.colour != need.colour)
            assert grades[need.query_id, p.doc_id] == {0: 2, 1: 1, 2: 0}[misses]


def test_part_of_the_truth_is_only_in_the_pictures(folder: Path) -> None:
    # Planned: 50 % of the texts tell the colour in plain words, and 50 % of those with a pattern tell the pattern.
    texts = {r["_id"]: f"{r['title']} {r['text']}".lower() for r in rows(folder / "corpus.jsonl")}
    hidden = [p for p in products() if not any(COLOURS[p.colour].word(lang).lower() in texts[p.doc_id] for lang in p.languages)]
    assert 0.35 <= len(hidden) / 480 <= 0.55
    assert 0.4 <= np.mean([not p.pattern_told for p in products() if p.pattern != "plain"]) <= 0.6
    assert any("also available" in texts[p.doc_id] for p in products() if p.misleading)


def test_one_picture_in_a_hundred_is_spoilt_on_purpose(folder: Path) -> None:
    states = Counter(p.picture for p in products())
    assert states == {"fine": 475, "absent": 3, "garbage": 1, "cut": 1}
    for p in products():
        path = folder / p.image
        assert path.exists() == (p.picture != "absent")
        if p.picture in ("garbage", "cut"):
            with pytest.raises(InputError):
                describe(path.read_bytes())


def test_it_loads_as_an_ordinary_folder_and_spoilt_pictures_are_counted(folder: Path) -> None:
    collection = source(folder).collection()
    assert len(collection) == 480
    assert collection.queries.height == 40
    assert list(collection.qrels) == ["constructed"]
    # the cut one has a whole header: it is an image until somebody reads on
    assert (collection.notes["missing_images"], collection.notes["unreadable_images"]) == (3, 1)


def test_no_two_pictures_are_alike(folder: Path) -> None:
    files = list((folder / "images").iterdir())
    assert len({path.read_bytes() for path in files}) == len(files) == 477


def test_our_png_is_read_by_pillow_as_it_was_meant() -> None:
    indices = np.arange(300 * 500, dtype=np.int64).reshape(300, 500).astype(np.uint8) % 16  # over 65,535 bytes: two stored blocks
    palette = [(i * 16, 255 - i, i) for i in range(16)]
    with Pillow.open(io.BytesIO(png(indices, palette))) as image:
        assert (np.asarray(image.convert("RGB")) == np.array(palette)[indices]).all()


def test_writing_twice_changes_nothing_and_another_seed_is_refused(folder: Path) -> None:
    before = {path: path.stat().st_mtime_ns for path in folder.rglob("*")}
    write_demo(folder)
    assert {path: path.stat().st_mtime_ns for path in folder.rglob("*")} == before
    with pytest.raises(InputError, match="holds something else"):
        write_demo(folder, seed=8)


def test_a_folder_with_other_files_is_left_alone_and_nothing_half_written_stays(tmp_path: Path) -> None:
    target = tmp_path / "mine"
    target.mkdir()
    (target / "notes.txt").write_text("mine", encoding="utf-8")
    with pytest.raises(InputError, match="name another folder"):
        write_demo(target)
    assert [p.name for p in tmp_path.rglob("*")] == ["mine", "notes.txt"]


def test_requirements_and_translation_are_known() -> None:
    guideline = needs()[1].guideline()
    assert (guideline.query, guideline.translation) == ("rotes t-shirt mit punkten", "red dotted t-shirt")
    assert [(r.name, r.value, r.importance) for r in guideline.requirements] == [
        ("kind", "t-shirt", "must_have"),
        ("colour", "red", "approximate_is_okay"),
        ("pattern", "dotted", "approximate_is_okay"),
    ]


def test_the_truth_prefers_pictures_and_a_judge_of_words_prefers_words(folder: Path) -> None:
    """nDCG@10 (scikit-learn's) of BM25 over texts, A, and over texts with palette descriptions, B. Measured with seed 7: by the
    truth A .473, B .778, difference .305 [.25, .36] over queries; by BM25's own scores on texts, as gains, A wins."""
    texts = [f"{r['title']} {r['text']}" for r in rows(folder / "corpus.jsonl")]
    seen = [words(describe((folder / p.image).read_bytes())) if p.picture == "fine" else "" for p in products()]
    wishes = pl.Series([need.text for need in needs()])

    def scores(documents: list[str]) -> np.ndarray:
        index = Index.of([pl.Series(documents)])
        return (index.queries(wishes)[0] @ index.scores.T).toarray()

    a, b = scores(texts), scores([f"{t} {s}" for t, s in zip(texts, seen, strict=True)])
    truth = np.array([[need.grade(p.kind.name, p.colour, p.pattern) for p in products()] for need in needs()])

    def ndcg(gains: np.ndarray, run: np.ndarray) -> np.ndarray:
        return np.array([ndcg_score([g], [r], k=10) for g, r in zip(gains, run, strict=True)])

    difference = ndcg(truth, b) - ndcg(truth, a)
    resampled = difference[np.random.default_rng(0).integers(0, 40, (2000, 40))].mean(axis=1)
    assert np.quantile(resampled, 0.025) > 0.15
    assert ndcg(a, a).mean() - ndcg(a, b).mean() > 0.05
