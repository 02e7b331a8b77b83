from __future__ import annotations

from pathlib import Path
from typing import Any

import polars as pl
import pytest

from qrelkit.core.errors import InputError, UnknownName
from qrelkit.text.analyzers import analyzer_of
from qrelkit.text.tokens import ANALYZERS


def terms(given: Any, text: str) -> list[str]:
    analyzer = analyzer_of(given)
    assert analyzer is not None
    found, vocabulary = analyzer.terms(analyzer.words(pl.Series([text])).explode())
    assert vocabulary.n_unique() == len(vocabulary)
    return vocabulary.gather(found.items).to_list()


def test_a_name_is_one_that_ships_and_auto_is_none() -> None:
    assert analyzer_of("german") is ANALYZERS["german"]
    assert analyzer_of("auto") is None


def test_a_file_says_only_what_differs(tmp_path: Path) -> None:
    path = tmp_path / "shop.yaml"
    path.write_text("like: english\nstopwords: [red]\nhan: pairs\n", encoding="utf-8")
    assert terms(str(path), "the red child's 高血压") == ["the", "child", "高血", "血压"]
    assert analyzer_of(str(path)).name == "shop"  # type: ignore[union-attr]


@pytest.mark.parametrize(
    ("given", "text", "expected"),
    [
        ({"words": "[a-z]+-[0-9]+"}, "X-1 ab-12 ab", ["ab-12"]),  # folded after a word is found
        ({"words": "[a-z]+-[0-9]+", "fold": "before"}, "X-1 ab-12 ab", ["x-1", "ab-12"]),
        ({"words": "ascii", "fold": "never"}, "Ab c1", ["b", "c1"]),
        ({"words": "a*"}, "aa b", ["aa"]),  # a word that is empty is none
        ({"words": "[0-9]+ mg|[a-z]+"}, "take 10 mg daily", ["take", "10 mg", "daily"]),  # a blank within a word
        ({"words": "blanks", "fold": "after", "han": "whole"}, "A.b 高血压,", ["a.b", "高血压,"]),
        ({"words": "blanks", "han": "pairs", "fold": "never"}, "血a压 a压 a 药", ["血a", "a压", "a压", "a", "药"]),
        ({"stemmers": "porter", "possessive": True}, "The child's shoes", ["the", "child", "shoe"]),
        ({"stopwords": "german"}, "die Jacke", ["jacke"]),
        ({"like": "english", "stopwords": "none", "stemmers": []}, "The shoes", ["the", "shoes"]),
    ],
)
def test_entries_do_what_they_say(given: dict[str, Any], text: str, expected: list[str]) -> None:
    assert terms(given, text) == expected


@pytest.mark.parametrize(
    ("given", "error", "message"),
    [
        ({"stopword": ["a"]}, UnknownName, "did you mean 'stopwords'"),
        ({"like": "englich"}, UnknownName, "english"),
        ({"like": "auto"}, UnknownName, r"to start from \(the analyzer\) 'auto'; known: cjk"),
        ({"han": "pair"}, UnknownName, "did you mean 'pairs'"),
        ({"stemmers": ["portr"]}, UnknownName, "porter"),
        ({"stopwords": "englisch"}, UnknownName, "english"),
        ({"stopwords": [1]}, InputError, "stopwords cannot be"),
        ({"possessive": "yes"}, InputError, "possessive cannot be 'yes'"),
        ({"words": "["}, InputError, "no regular expression"),
        ({"words": 7}, InputError, "words cannot be 7"),
        ("klingon", UnknownName, "unknown analyzer"),
    ],
)
def test_what_cannot_be_is_named(given: Any, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        analyzer_of(given)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("like: [", ":1: cannot be read as YAML"),
        ("- a", "must be a mapping of keys, such as `like: english`"),
        (None, "no such file"),
    ],
)
def test_a_file_that_is_none_is_named(tmp_path: Path, content: str | None, message: str) -> None:
    path = tmp_path / "own.yml"
    if content is not None:
        path.write_text(content, encoding="utf-8")
    with pytest.raises(InputError, match=message):
        analyzer_of(str(path))
