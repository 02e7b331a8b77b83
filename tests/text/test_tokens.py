from __future__ import annotations

import numpy as np
import orjson
import polars as pl
import pytest

from qrelkit.core.errors import MissingExtra, UnknownName
from qrelkit.text.han import segmenter
from qrelkit.text.stopwords import ENGLISH, GERMAN
from qrelkit.text.tokens import ANALYZERS, Analyzer, choose, named
from qrelkit.text.words import words_of


def terms(text: str, analyzer: str) -> list[str]:
    return terms_of(named(analyzer), text)


def terms_of(analyzer: Analyzer, text: str) -> list[str]:
    found, vocabulary = analyzer.terms(analyzer.words(pl.Series([text])).explode())
    return vocabulary.gather(found.items).to_list()


def split(texts: pl.Series) -> pl.Series:
    return named("standard").words(texts)


def test_words_are_runs_of_word_characters_with_their_apostrophes() -> None:
    assert split(pl.Series(["Don't stop: x_1, 3.5 mg! — naïve l’été"])).to_list() == [
        ["Don't", "stop", "x_1", "3", "5", "mg", "naïve", "l’été"]
    ]


def test_han_and_kana_are_split_from_other_letters() -> None:
    assert split(pl.Series(["患者abc服药 ビール一杯"])).to_list() == [["患者", "abc", "服药", "ビール一杯"]]


def test_a_text_without_words_has_an_empty_list() -> None:
    assert split(pl.Series(["", "—!?"])).to_list() == [[], []]


def test_snowball_english_drops_stop_words_and_stems() -> None:
    # stems from the published vocabulary of Snowball's English stemmer
    found = terms("The consigning of consistently CONSOLING patients' and the patient’s", "english-snowball")
    assert found == ["consign", "consist", "consol", "patient", "patient"]


def test_english_takes_possessives_off_and_has_porters_stems() -> None:
    # Porter's published vocabulary: generously → gener, skies → ski, dying → dy; Snowball's English: generous, sky, die
    assert terms("The child’s DRESSES, generously; skies dying it's", "english") == ["child", "dress", "gener", "ski", "dy"]
    assert terms("generously skies dying", "english-snowball") == ["generous", "sky", "die"]


def test_ascii_words_are_found_after_folding_and_nothing_else_is() -> None:
    assert terms("naïve Ａ１ x-ray_3 高血压 isn't", "english-ascii") == ["na", "ve", "a1", "x", "ray", "3", "isn", "t"]


def test_whitespace_leaves_what_stands_between_blanks() -> None:
    assert terms(" The  <b>Red</b>\tshoes, 高血压Ａ\n", "whitespace") == ["The", "<b>Red</b>", "shoes,", "高血压Ａ"]


@pytest.mark.parametrize("name", ["rjieba", "jieba"])
def test_chinese_words_are_those_of_jieba(name: str) -> None:
    # the example of jieba's own README, by its accurate mode
    pytest.importorskip(name)
    assert terms("我来到北京清华大学 Aspirin", name) == ["我", "来到", "北京", "清华大学", "aspirin"]


def test_a_package_that_is_not_there_is_named_with_its_extra() -> None:
    with pytest.raises(MissingExtra, match=r"qrelkit\[zh\]"):
        segmenter("no_such_segmenter")


def test_a_recipe_makes_the_same_analyzer_again() -> None:
    for name, analyzer in ANALYZERS.items():
        again = Analyzer.of(name, orjson.loads(orjson.dumps(analyzer.recipe)))
        assert again == analyzer
        assert again.digest == analyzer.digest
    assert len({analyzer.digest for analyzer in ANALYZERS.values()}) == len(ANALYZERS)


def test_chunks_between_blanks_give_the_words_of_the_whole_text() -> None:
    texts = pl.Series(["", None, "a  b\u00a0c\nb", "高血压 Ab 高血压", "x" * 50, " don't "])
    for name in ("cjk", "english-ascii", "whitespace"):
        analyzer = named(name)
        words, distinct = words_of(texts, analyzer)
        found = words.texts.through(words.chunks)
        lists = [distinct.gather(found.items[found.ends[i] : found.ends[i + 1]]).to_list() for i in range(len(texts))]
        assert lists == analyzer.words(texts.fill_null("")).to_list()


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
    assert terms("高血压病", "cjk") == ["高血", "血压", "压病"]
    assert terms("高血压 患者x药", "cjk") == ["高血", "血压", "患者", "x", "药"]
    assert terms("血血血", "cjk") == ["血血", "血血"]
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
