"""BM25 as a retriever: the baseline that needs no model."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cached_property
from typing import Any, Literal, get_args

import numpy as np
import polars as pl

from qrelkit.core.collection import Collection
from qrelkit.core.errors import InputError, UnknownName
from qrelkit.core.records import Query
from qrelkit.core.rewriting import Piece
from qrelkit.core.run import Run
from qrelkit.core.wire import digest_of
from qrelkit.retrievers.bm25_documents import Searched
from qrelkit.text.analyzers import Given, analyzer_of
from qrelkit.text.best import Found
from qrelkit.text.bm25 import K1, B, Formula, Idf, Index, Weighting, index_documents
from qrelkit.text.bm25_files import FORMAT, open_index, save_index
from qrelkit.text.postings import Floats
from qrelkit.text.ragged import Codes
from qrelkit.text.tokens import ANALYZERS, AUTO, CHOICES

Zeros = Literal["drop", "keep"]
Duplicates = Literal["once", "count"]
PRESETS: Mapping[str, Mapping[str, Any]] = {
    # src of arXiv 2505.14558: pyserini's English analyzer, gensim's LuceneBM25Model on both sides, over the rows as they are
    "r2med": {"analyzer": "english", "idf": "gensim", "query": "bm25", "zeros": "keep", "duplicates": "count"},
    "cmirb": {"analyzer": "cjk"},  # arXiv 2410.20050 says Pyserini; characters or pairs, it does not say
}


class Bm25:
    """Ranks the documents of a collection (or of a mapping from id to text) for queries.

    The formula is in `qrelkit.text.bm25`: `idf` is "lucene" or "gensim", `query` is "bag" or "bm25". `analyzer` is a name, a
    mapping or a YAML file (`qrelkit.text.analyzers`). With `zeros="keep"` a list is filled up to the depth with documents that
    share no term with the query, score 0, in the order of the collection. With `duplicates="count"` a document that was given n
    times counts n times in N, df and the mean length; it is listed once. `fields` are joined by a space: "text" is title and
    text as a collection joins them, any other name a column of the documents. `extra_texts` has more text for some documents,
    such as descriptions of their images. The analyzer that "auto" chooses asks by characters for a Chinese query that would find
    nothing.

    The index is made on the first search and kept beside that of the collection. `settings` says what was asked for; what became
    of it is in a run's notes. Raises InputError where there is no document.
    """

    name = "bm25"

    def __init__(
        self,
        documents: Collection | Mapping[str, str],
        *,
        k1: float = K1,
        b: float = B,
        idf: Idf = "lucene",
        query: Weighting = "bag",
        analyzer: Given = AUTO,
        zeros: Zeros = "drop",
        duplicates: Duplicates = "once",
        fields: Sequence[str] = ("text",),
        extra_texts: Mapping[str, str] | None = None,
    ) -> None:
        for kind, value, known in (("query", query, Weighting), ("zeros", zeros, Zeros), ("duplicates", duplicates, Duplicates)):
            if value not in get_args(known):
                raise UnknownName(f"value of {kind}", value, get_args(known))
        self._formula, self._analyzer = Formula(k1=k1, b=b, idf=idf), analyzer_of(analyzer)
        self._query, self._zeros, self._counted = query, zeros, duplicates == "count"
        self._searched = Searched(documents, tuple(fields), extra_texts)

    @staticmethod
    def preset(name: str, documents: Collection | Mapping[str, str], **own: Any) -> Bm25:
        """The BM25 of a benchmark, as `PRESETS` has it, with options of one's own before its."""
        if name not in PRESETS:
            raise UnknownName("preset of BM25", name, PRESETS)
        return Bm25(documents, **{**PRESETS[name], **own})

    @cached_property
    def settings(self) -> dict[str, Any]:
        """What was asked for."""
        return {**self._of_index, "query": self._query, "zeros": self._zeros}

    @cached_property
    def _of_index(self) -> dict[str, Any]:
        """The part of it that the index depends on."""
        searched, own = self._searched, self._analyzer
        return {
            "analyzer": own.name if own else AUTO,
            "recipe": own.recipe if own else {name: ANALYZERS[name].digest for name in CHOICES},
            "k1": self._formula.k1,
            "b": self._formula.b,
            "idf": self._formula.idf,
            "duplicates": "count" if self._counted else "once",
            "occurrences": searched.occurrences_digest if self._counted else None,
            "fields": list(searched.fields),
            "extra_texts": searched.extra_settings,
            "collection": searched.fingerprint,
        }

    def search(self, queries: Sequence[Query], depth: int) -> Run:
        """The `depth` best documents of each query, in the order of a Run also where ties meet the cut.

        A query's rewrites are searched with as its rule says. Queries that share no term with any document are listed in
        `notes["without_hits"]`. Raises InputError for a depth below 1, UnknownName for a field that no document has.
        """
        if depth < 1:
            raise InputError(f"depth must be at least 1, not {depth}")
        asked = self.index.asked([_pieces(query) for query in queries], self._query, characters=self._analyzer is None)
        found = list(self.index.best(asked, depth))
        without = [queries[row].query_id for row, docs, _ in found if not len(docs)]
        if self._zeros == "keep":
            found = [_filled(*each, documents=len(self.index), depth=depth) for each in found]
        frame = pl.DataFrame(
            {
                "query_id": _gathered([query.query_id for query in queries], [np.full(len(docs), row) for row, docs, _ in found]),
                "doc_id": _gathered(self._searched.doc_ids, [docs for _, docs, _ in found]),
                "score": np.concatenate([np.zeros(0, np.float32), *(scores for _, _, scores in found)]),
            }
        )
        run = Run.of(frame, self.name).cut(depth)
        return Run(run.frame, run.tag, {"retriever": {**self.settings, **self.used}, "without_hits": without})

    @property
    def used(self) -> dict[str, Any]:
        """What became of the settings: the analyzer that was chosen, and how many documents counted, of which mean length."""
        return {**self.index.settings, "documents": self.index.documents, "mean_length": round(self.index.mean, 4)}

    @cached_property
    def index(self) -> Index:
        """The index: opened where it lies beside the collection's, made and laid there otherwise; of a mapping, in memory."""
        home = self._searched.folder
        if home is None:
            return self._made()
        folder = home / f"bm25-{digest_of([FORMAT, self._of_index])[:24]}"
        return open_index(folder) or save_index(self._made(), folder)

    def _made(self) -> Index:
        return index_documents(
            self._searched.batches(),
            self._searched.extra,
            analyzer=self._analyzer or AUTO,
            k1=self._formula.k1,
            b=self._formula.b,
            idf=self._formula.idf,
            occurrences=self._searched.occurrences if self._counted else None,
        )[0]

    def __repr__(self) -> str:
        asked = self.settings
        return f"Bm25({len(self._searched):,} documents, {asked['analyzer']}, k1 {asked['k1']}, b {asked['b']})"


def _pieces(query: Query) -> tuple[Piece, ...]:
    return query.combine.words.pieces(query.text, query.rewrites) if query.combine else (Piece(text=query.text),)


def _filled(row: int, docs: Codes, scores: Floats, *, documents: int, depth: int) -> Found:
    """The same with documents of score 0, in the order of the collection, up to the depth."""
    lacking = max(0, depth - len(docs))
    more = np.setdiff1d(np.arange(min(documents, depth), dtype=np.int32), docs)[:lacking]
    return row, np.concatenate([docs, more]), np.concatenate([scores, np.zeros(len(more), np.float32)])


def _gathered(values: Sequence[str] | pl.Series, rows: Sequence[Any]) -> pl.Series:
    at = pl.Series(np.concatenate([np.zeros(0, np.int64), *rows]))
    return pl.Series(values, dtype=pl.String).gather(at)
