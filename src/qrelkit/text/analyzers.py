"""An analyzer by its name, or one's own: a mapping, or a YAML file with these entries, none of which must be there.

    name: shop                  what it is called in a run; the file's name unless said
    like: english               where it starts from, one of those in `text/tokens.py`; standard unless said
    words: unicode              what a word looks like: unicode, ascii, blanks, or a regular expression
    fold: after                 NFKC and lower case after a word is found, before that, or never
    possessive: true            a final 's is taken off
    stopwords: [the, a]         a list, or english, german, none
    stemmers: [porter]          Snowball's names, applied in turn
    han: pairs                  a run of Han and kana: characters, pairs, rjieba, jieba, whole

What a file says is recorded with a run as the whole recipe that came of it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, get_args

from qrelkit.core.errors import InputError, UnknownName
from qrelkit.core.yaml_files import read_mapping
from qrelkit.text.han import KINDS
from qrelkit.text.stopwords import ENGLISH, GERMAN
from qrelkit.text.tokens import ANALYZERS, AUTO, WORD, Analyzer, Fold, named

Given = str | Mapping[str, Any] | Analyzer
SUFFIXES = (".yaml", ".yml")
WORDS = {"unicode": WORD, "ascii": "[a-z0-9]+", "blanks": r"\S+"}
STOPWORDS = {"english": ENGLISH, "german": GERMAN, "none": frozenset[str]()}


def analyzer_of(given: Given) -> Analyzer | None:
    """The analyzer behind a name, a mapping or the path of a YAML file; None for `auto`.

    Raises UnknownName for a name or an entry, InputError for what cannot be read or used.
    """
    if isinstance(given, Analyzer):
        return given
    if isinstance(given, str):
        if given.lower().endswith(SUFFIXES):
            return _checked(_own(read_mapping(given, such_as="like: english"), Path(given).stem, given))
        return None if given == AUTO else named(given)
    return _checked(_own(given, "own", "the analyzer"))


def _own(given: Mapping[str, Any], name: str, where: str) -> Analyzer:
    for key in given:
        if key not in READERS and key not in ("name", "like"):
            raise UnknownName(f"entry of an analyzer ({where})", str(key), ["name", "like", *READERS])
    fields = [READERS[key](value, where) for key, value in given.items() if key in READERS]
    like = _one_of("analyzer to start from", given.get("like", "standard"), ANALYZERS, where)
    start = ANALYZERS[like]
    return replace(start, name=str(given.get("name", name)), **{key: value for field in fields for key, value in field.items()})


def _words(value: Any, where: str) -> dict[str, Any]:
    return {"pattern": WORDS.get(value, value) if isinstance(value, str) else _wrong("words", value, where)}


def _fold(value: Any, where: str) -> dict[str, Any]:
    return {"fold": _one_of("fold", value, get_args(Fold), where)}


def _possessive(value: Any, where: str) -> dict[str, Any]:
    return {"possessive": value if isinstance(value, bool) else _wrong("possessive", value, where)}


def _stopwords(value: Any, where: str) -> dict[str, Any]:
    if isinstance(value, str):
        return {"stopwords": STOPWORDS[_one_of("list of stop words", value, STOPWORDS, where)]}
    return {"stopwords": frozenset(_texts("stopwords", value, where))}


def _stemmers(value: Any, where: str) -> dict[str, Any]:
    import Stemmer

    names = _texts("stemmers", [value] if isinstance(value, str) else value, where)
    return {"stemmers": tuple(_one_of("stemmer", name, Stemmer.algorithms(), where) for name in names)}


def _han(value: Any, where: str) -> dict[str, Any]:
    return {"han": _one_of("treatment of Han", value, KINDS, where)}


READERS: Mapping[str, Callable[[Any, str], dict[str, Any]]] = {
    "words": _words,
    "fold": _fold,
    "possessive": _possessive,
    "stopwords": _stopwords,
    "stemmers": _stemmers,
    "han": _han,
}


def _one_of(kind: str, value: Any, known: Iterable[str], where: str) -> str:
    if value not in [*known]:
        raise UnknownName(f"{kind} ({where})", str(value), known)
    return str(value)


def _texts(entry: str, value: Any, where: str) -> list[str]:
    if not isinstance(value, list) or not all(isinstance(text, str) for text in value):
        _wrong(entry, value, where)
    return list(value)


def _wrong(entry: str, value: Any, where: str) -> Any:
    raise InputError(f"{where}: {entry} cannot be {value!r}; see `qrelkit retrieve bm25 --help` and docs/verbs/retrieve-bm25.md")


def _checked(analyzer: Analyzer) -> Analyzer:
    """The analyzer, once it has been seen to work."""
    import polars as pl

    try:
        analyzer.words(pl.Series(["a"]))
    except pl.exceptions.PolarsError as error:
        why = str(error).splitlines()[-1]
        raise InputError(f"analyzer {analyzer.name!r}: its words are no regular expression ({why})") from None
    return analyzer
