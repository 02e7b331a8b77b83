from __future__ import annotations

import numpy as np
import polars as pl
import pytest

from qrelkit.core.errors import UnknownName
from qrelkit.text.stopwords import ENGLISH, GERMAN
from qrelkit.text.tokens import choose, named, split


def terms(text: str, analyzer: str) -> list[str]:
    words = split(pl.Series([text])).explode()
    return named(analyzer).terms(words).explode().to_list()


def test_words_are_runs_of_word_characters_with_their_apostrophes() -> None:
    assert split(pl.Series(["Don't stop: x_1, 3.5 mg! — naïve l’été"])).to_list() == [
        ["Don't", "stop", "x_1", "3", "5", "mg", "naïve", "l’été"]
    ]


def test_han_and_kana_are_split_from_other_letters() -> None:
    assert split(pl.Series(["患者abc服药 ビール一杯"])).to_list() == [["患者", "abc", "服药", "ビール一杯"]]


def test_a_text_without_words_has_an_empty_list() -> None:
    assert split(pl.Series(["", "—!?"])).to_list() == [[], []]


def test_english_drops_stop_words_and_stems() -> None:
    # stems from the published vocabulary of Snowball's English stemmer
    assert terms("The consigning of consistently CONSOLING patients' and the patient’s", "english") == [
        "consign",
        "consist",
        "consol",
        "patient",
        "patient",
    ]


def test_german_drops_stop_words_and_stems() -> None:
    # stems from the published vocabulary of Snowball's German stemmer
    assert terms("die aufeinander und aufeinanderfolgenden Kategorien für kategorie", "german") == [
        "aufeinand",
        "aufeinanderfolg",
        "kategori",
        "kategori",
    ]


def test_multi_joins_the_inflections_of_both_languages() -> None:
    assert len(set(terms("dress dresses", "multi"))) == 1
    assert len(set(terms("rotes rote roter roten rotem", "multi"))) == 1
    assert terms("the und for mit", "multi") == []
    assert terms("Hat man", "multi") == ["hat", "man"]  # stop words in German, things in English


def test_standard_keeps_every_word_and_takes_han_characters_one_by_one() -> None:
    assert terms("The Red 高血压", "standard") == ["the", "red", "高", "血", "压"]


def test_cjk_takes_overlapping_pairs_and_keeps_a_lone_character() -> None:
    # a bag: pairs from the first character, then pairs from the second
    assert sorted(terms("高血压病", "cjk")) == sorted(["高血", "血压", "压病"])
    assert sorted(terms("高血压", "cjk")) == sorted(["高血", "血压"])
    assert terms("药 Aspirin", "cjk") == ["药", "aspirin"]


def test_full_width_and_compatibility_forms_are_folded() -> None:
    assert terms("Ａspirin １００ ﬁsh ｶﾞ", "standard") == ["aspirin", "100", "fish", "ガ"]


def test_an_unknown_analyzer_names_the_near_one() -> None:
    with pytest.raises(UnknownName, match="english"):
        named("englisch")


def test_stop_word_lists_have_their_published_sizes() -> None:
    assert (len(ENGLISH), len(GERMAN)) == (33, 232)


@pytest.mark.parametrize(
    ("texts", "expected"),
    [
        (["the cause of a headache is not known", "what to do for it"], "english"),
        (["die Ursache ist nicht bekannt und das ist so", "was man für sie tun kann"], "german"),
        (["a dress for the summer", "ein Kleid für den Sommer und die Feier", "shoes with a strap"], "multi"),
        (["高血压患者 take aspirin 100 mg", "糖尿病的治疗"], "cjk"),
        (["rojo vestido algodón", "zapatos negros"], "standard"),
        (["red hat", "shirt for a man", "die cut box", "war game"] + ["blue shoe"] * 50, "standard"),
        (["", "!"], "standard"),
    ],
)
def test_auto_chooses_by_script_and_stop_words(texts: list[str], expected: str) -> None:
    words = split(pl.Series(texts)).explode()
    assert choose(words, np.ones(len(words), np.int64)).name == expected
