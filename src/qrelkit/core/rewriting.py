"""Hypothetical documents of a query, and the rule by which a query and its rewrites are joined: one half for words, one for
vectors.

    Combine = Words (what BM25 is asked) × Vectors (what an encoder is asked)

    query                 the query alone, the rewrites unused
    rewrite               the rewrites alone
    query+rewrite         words and vectors of one string: query, blank, rewrite
    5*query+rewrite       the same with the query five times (any number from 1)
    mean                  words as query+rewrite; vectors (q + Σd) / (N + 1)        Gao et al. 2023 (arXiv 2212.10496), eq. 8
    weights:2             term weights: the query's counts + Σ 2 · tf / length; vectors as mean
    r2med:METHOD, original:METHOD, sl-hyde:METHOD     presets, METHOD one of hyde, query2doc, lamer, reasoning

A preset without a method takes that of the rewrites. What the presets do is the table `PRESETS`, with its sources.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from qrelkit.core.errors import InputError, UnknownName

METHODS = ("hyde", "query2doc", "lamer", "reasoning")


@dataclass(frozen=True, kw_only=True, slots=True)
class Rewrite:
    """What a rewriter made of a query. `texts` are to be searched with (thinking removed, empty ones left out), `raw` is what the
    model said, in order. `counts` has what went wrong and was borne: fall_backs, empty, truncated, refused, failed."""

    query_id: str
    texts: tuple[str, ...]
    raw: tuple[str, ...] = ()
    query: str = ""  # the text that was rewritten
    method: str = ""
    model: str = ""
    counts: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True, slots=True)
class Piece:
    """A text whose terms are counted; with a `weight` each term counts weight · tf / length of the text instead."""

    text: str
    weight: float | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class Words:
    """What a lexical retriever is asked: the query `repeat` times with `between` in between, then every rewrite after `before`.

    With `again` the repeated query stands before every rewrite; with a `weight` the texts are counted apart.
    """

    repeat: int = 1
    between: str = " "
    rewrites: bool = True
    before: str = " "
    again: bool = False
    weight: float | None = None

    def pieces(self, query: str, rewrites: Sequence[str]) -> tuple[Piece, ...]:
        """The texts whose counts are added up; the query alone where there is no rewrite."""
        if not self.rewrites or not rewrites:
            return (Piece(text=query),)
        asked = self.between.join([query] * self.repeat)
        if self.weight is not None:
            return (Piece(text=asked), *(Piece(text=text, weight=self.weight) for text in rewrites))
        if self.again:
            return (Piece(text=self.before.join(part for text in rewrites for part in (asked, text))),)
        return (Piece(text=self.before.join([*([asked] if asked else []), *rewrites])),)


@dataclass(frozen=True, kw_only=True, slots=True)
class Vectors:
    """What a dense retriever is asked: the vector of the query, of the rewrites (their mean), the mean of all, or that of one
    text joined by `separator`. With `instructed` a rewrite gets the query's instruction too (None: as the encoder is listed).
    `unit` makes every vector one of length 1 before the mean is taken; None leaves that to the encoder."""

    of: Literal["query", "rewrite", "mean", "text"] = "mean"
    separator: str = " "
    instructed: bool | None = None
    unit: bool | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class Combine:
    """A rule with its name; `of(name)` reads one."""

    name: str
    words: Words
    vectors: Vectors

    @staticmethod
    def of(name: str, method: str = "") -> Combine:
        """The rule behind a name as the head of this file lists them; `method` is that of the rewrites. Raises UnknownName, and
        InputError for a preset whose method nobody said."""
        if name in _PLAIN:
            return Combine(name=name, words=_PLAIN[name][0], vectors=_PLAIN[name][1])
        if found := re.fullmatch(r"([1-9]\d*)\*query\+rewrite", name):
            return Combine(name=name, words=Words(repeat=int(found[1])), vectors=Vectors(of="text"))
        if found := re.fullmatch(r"weights:(\d+(?:\.\d+)?)", name):
            return Combine(name=name, words=Words(weight=float(found[1])), vectors=Vectors())
        preset, _, own = name.partition(":")
        if preset not in PRESETS or (own and own not in METHODS):
            raise UnknownName("rule to combine", name, [*_PLAIN, "5*query+rewrite", "weights:2", *PRESETS, *_whole()])
        method = own or method
        if method not in METHODS:
            why = f"say {method!r}, which is none of {', '.join(METHODS)}" if method else "do not say theirs"
            raise InputError(f"the rule {preset!r} differs by method, and the rewrites {why}: say {preset}:hyde, …")
        words, vectors = PRESETS[preset][method]
        return Combine(name=f"{preset}:{method}", words=words, vectors=vectors)

    def json(self) -> dict[str, Any]:
        """The whole rule, as it is recorded with a run."""
        words = {name: getattr(self.words, name) for name in Words.__slots__}
        return {"name": self.name, "words": words, "vectors": {name: getattr(self.vectors, name) for name in Vectors.__slots__}}


def _whole() -> list[str]:
    return [f"{preset}:{method}" for preset in PRESETS for method in METHODS]


_ONLY_REWRITE = Words(repeat=0)
_PLAIN: Mapping[str, tuple[Words, Vectors]] = {
    "query": (Words(rewrites=False), Vectors(of="query")),
    "rewrite": (_ONLY_REWRITE, Vectors(of="rewrite")),
    "query+rewrite": (Words(), Vectors(of="text")),
    "mean": (Words(), Vectors()),
}
_MEAN_ALWAYS = dict.fromkeys(METHODS, (Words(), Vectors(instructed=False)))
PRESETS: Mapping[str, Mapping[str, tuple[Words, Vectors]]] = {
    # HyDE: texttron/hyde (dense only; its words are joined here); query2doc: arXiv 2303.07678; LameR: arXiv 2304.14233
    "original": {
        "hyde": (Words(), Vectors(instructed=False)),
        "query2doc": (Words(repeat=5), Vectors(of="text", separator=" [SEP] ")),
        "lamer": (Words(again=True), Vectors(instructed=False)),
        "reasoning": (Words(), Vectors(instructed=False)),
    },
    # the released code of arXiv 2505.14558: a query repeated twice without a blank; of a reasoning model the answer alone
    "r2med": {
        "hyde": (_ONLY_REWRITE, Vectors()),
        "query2doc": (Words(repeat=2, between=""), Vectors(of="text", separator="[SEP]")),
        "lamer": (Words(), Vectors()),
        "reasoning": (_ONLY_REWRITE, Vectors()),
    },
    # arXiv 2410.20050, eq. 8 and its code: the document carries no instruction; words joined by a blank
    "sl-hyde": _MEAN_ALWAYS,
}
