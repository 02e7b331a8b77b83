"""What becomes of a run of Han and kana: single characters, overlapping pairs, or words.

`rjieba` and `jieba` are the same dictionary and model of Chinese words, in Rust and in Python (extra zh). `whole` leaves the run
as it is.
"""

from __future__ import annotations

import importlib
import logging
import warnings
from collections.abc import Callable
from typing import Any, Literal, get_args

import numpy as np
import polars as pl

from qrelkit.core.errors import MissingExtra
from qrelkit.text.ragged import Ragged

HAN = r"\p{Han}\p{Hiragana}\p{Katakana}ーｰﾞﾟ"  # the marks belong to no script
Han = Literal["characters", "pairs", "rjieba", "jieba", "whole"]
BETWEEN = "\0"
KINDS: tuple[str, ...] = get_args(Han)


def pieces(runs: pl.Series, kind: Han) -> tuple[Ragged, pl.Series]:
    """The pieces of each run as numbers, and the distinct pieces."""
    if kind == "pairs":
        return _pairs(runs)
    if kind == "characters":
        return Ragged.of_strings(runs.str.split(""))
    cut = segmenter(kind)
    return Ragged.of_strings(pl.Series([BETWEEN.join(cut(run)) for run in runs.to_list()], dtype=pl.String).str.split(BETWEEN))


def han_characters(texts: pl.Series) -> list[str]:
    """The Han and kana characters of texts, one after the other, each as often as it stands there."""
    found = texts.str.normalize("NFKC").str.extract_all(f"[{HAN}]").explode().drop_nulls().to_list()
    return [character for character in found if character]


def segmenter(kind: str) -> Callable[[str], list[str]]:
    """What cuts a text into words. Raises MissingExtra where the package is not installed."""
    module = _imported(kind)
    if kind == "jieba":
        module.setLogLevel(logging.WARNING)  # it tells stderr how it loads
        return module.Tokenizer().lcut  # type: ignore[no-any-return]
    return module.cut  # type: ignore[no-any-return]


def _imported(name: str) -> Any:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # jieba's own, of old escapes and pkg_resources
            return importlib.import_module(name)
    except ImportError:
        raise MissingExtra(f"the analyzer {name!r}", "zh") from None


def _pairs(runs: pl.Series) -> tuple[Ragged, pl.Series]:
    """Every character with the next of its run; a lone one alone. Pairs are told apart by the numbers of their characters."""
    singles, characters = Ragged.of_strings(runs.str.split(""))
    size, lengths = len(characters), singles.lengths
    first = singles.items.astype(np.int64)
    second = np.append(first[1:], 0)
    lone, last = singles.ends[:-1][lengths == 1], singles.ends[1:][lengths > 0] - 1
    second[last] = size  # no character
    kept = np.ones(len(first), bool)
    kept[last] = False
    kept[lone] = True
    pairs = pl.Series("pair", (first * (size + 1) + second)[kept])
    distinct = pairs.unique(maintain_order=True).to_frame().with_row_index("number")
    numbers = pairs.to_frame().join(distinct, on="pair", how="left", maintain_order="left")["number"].to_numpy()
    one, two = (pl.concat([characters, pl.Series([""])]).gather(half) for half in divmod(distinct["pair"].to_numpy(), size + 1))
    return Ragged.of(lengths - (lengths > 1), numbers), one + two
