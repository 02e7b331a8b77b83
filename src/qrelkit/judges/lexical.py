"""The judge that reads no meaning: shared words, weighed by BM25 and cut into grades. An honest baseline.

    share(q, d) = BM25(q, d) / Σ_t qtf(t) · idf(t)          0: no term in common; 1: every term, repeated without end

Raw BM25 cannot be compared between queries (long queries score higher), this share can: against the human grades of LiveQA
and the two MEDIQA sets, cuts from other queries give a quadratic kappa of .47, .51 and .49, raw scores .19, .33 and .35, scores
standardised within the query .24, .29 and .48. It also depends on no other document of the pool.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Literal

import numpy as np
import polars as pl

from qrelkit.core.collection import Collection
from qrelkit.core.errors import InputError, Mismatch
from qrelkit.core.guideline import Scale
from qrelkit.core.qrels import Qrels
from qrelkit.core.records import Judgment, Pair
from qrelkit.core.wire import Flow, digest_bytes, digest_of
from qrelkit.judges.cuts import Floats, halving, learn_cuts, levels_of, quantile_cuts
from qrelkit.text.bm25 import Index, index_documents
from qrelkit.text.tokens import AUTO

Cut = tuple[pl.DataFrame, Floats, dict[str, Any]]  # pairs with their fold, the cuts of each fold, and how they came about
PAIR = ["query_id", "doc_id"]
FIRST_RECIPES = {  # of analyzers whose recipe has never changed: keys made with them do not name it
    "standard": "85be67ef72c481146e6dc4c0de31f00a",
    "german": "879d55372c14990e0c45784dfac66319",
    "multi": "641b6ee430196e9fdf9da9a21cafee66",
    "cjk": "76e18adc9726f52506875cdb41c94b3d",
}
NO_TEXT = "the document has no text that could be compared"
NO_DESCRIPTION = "the document's image has no description, and this route needs one"
NO_QUERY = "the query has no word that could be compared"


class Lexical:
    """A Judge without a model; made by `fit`, which knows every pair it will be asked about.

    `cuts` has the cuts of each fold (one where they are quantiles), lowest first.
    """

    name = "lexical"
    models: tuple[str, ...] = ()  # it asks none

    def __init__(self, frame: pl.DataFrame, cuts: Floats, settings: Mapping[str, Any]) -> None:
        self.cuts, self.settings, self.key = cuts, settings, digest_of(settings)
        self._frame = frame

    @staticmethod
    def fit(
        pairs: pl.DataFrame,
        collection: Collection,
        scale: Scale,
        *,
        descriptions: Mapping[str, str] | None = None,
        cuts: Literal["quantile"] | Qrels = "quantile",
        shares: Sequence[float] | None = None,
        analyzer: str = AUTO,
        seed: int = 0,
        folds: int = 5,
        requires_description: bool = False,
    ) -> Lexical:
        """A judge for `pairs` (query_id, doc_id; further columns are ignored).

        `descriptions` (doc_id → text) are read as part of the document. `cuts="quantile"` gives each grade, lowest first, its
        share of the pairs (`shares`; unless given, each half of the one below). With human qrels the queries are split into
        `folds` by `seed`, and each fold is cut where quadratic kappa is highest on the others (queries without human
        grades: on all). A document without text, and with `requires_description` one without a description, is refused,
        never 0. Raises Mismatch for ids that the collection does not know and for qrels off the scale, InputError for
        shares or folds that cannot be.
        """
        scored = _Scored.of(collection, descriptions, analyzer, requires_description)
        frame = scored.of_pairs(pairs.select(PAIR).unique(maintain_order=True))
        if not isinstance(cuts, Qrels):
            frame, table, how = _by_quantile(frame, _checked(shares, scale))
        elif shares is None:
            frame, table, how = _learnt(frame, scored, cuts, scale, seed, folds)
        else:
            raise InputError("shares are for quantile cuts; cuts learnt from human qrels take none")
        settings = {
            "judge": "lexical-1",
            "bm25": _settings(scored.index),
            "collection": collection.fingerprint,
            "descriptions": digest_of(sorted(descriptions.items())) if descriptions is not None else None,
            "requires_description": requires_description,
            "scale": scale.json(),
            "cuts": how,
        }
        return Lexical(_graded(frame, table, scale), table, settings)

    def judge_all(self) -> pl.DataFrame:
        """Every pair at once: query_id, doc_id, grade (Int32, null where refused), outcome, reason, in the order of `fit`."""
        return self._frame

    def query_key(self, query_id: str, fingerprint: str, images: Sequence[str] = ()) -> str:
        """The query itself; the documents around it that decide the weights are in `settings`."""
        return fingerprint

    def doc_key(self, doc_id: str, fingerprint: str, images: Sequence[str]) -> str:
        """The document itself; all descriptions are in `settings`."""
        return fingerprint

    def flow(self, group: Sequence[Pair]) -> Flow[Sequence[Judgment]]:
        """The judgments of a group; asks nothing of any model. Raises Mismatch for a pair that `fit` did not see."""
        yield from ()
        return [self._judgment(pair) for pair in group]

    def _judgment(self, pair: Pair) -> Judgment:
        row = self._rows.get((pair.query.query_id, pair.document.doc_id))
        if row is None:
            raise Mismatch(
                f"query {pair.query.query_id!r}, document {pair.document.doc_id!r} is not among the pairs this lexical judge was "
                "fitted on; fit it on the pool that is judged"
            )
        values = self._frame.row(row, named=True)
        return Judgment(**values, query_key=pair.query_key, doc_key=pair.doc_key, sample=pair.sample)

    @cached_property
    def _rows(self) -> dict[tuple[str, str], int]:
        return {pair: i for i, pair in enumerate(self._frame.select(PAIR).iter_rows())}

    def __repr__(self) -> str:
        how = "human grades of other queries" if "qrels" in self.settings["cuts"] else "quantiles"
        refused = self._frame["grade"].null_count()
        return f"Lexical({self._frame.height:,} pairs, {refused:,} refused, cuts from {how})"


@dataclass(frozen=True)
class _Scored:
    """The collection as BM25 sees it, and why some documents cannot be judged."""

    index: Index
    documents: pl.DataFrame  # doc_id, doc_row, no_doc: null, or why not
    queries: pl.DataFrame  # query_id, query_row, bound, no_query
    weights: Any

    @staticmethod
    def of(collection: Collection, descriptions: Mapping[str, str] | None, analyzer: str, needs_description: bool) -> _Scored:
        index, doc_ids = index_documents(collection.texts(), descriptions, analyzer=analyzer)
        weights, bound = index.queries(collection.queries["text"])
        described = [doc_id for doc_id, text in (descriptions or {}).items() if text.strip()]
        missing = pl.lit(needs_description) & ~pl.col("doc_id").is_in(described)
        documents = pl.DataFrame({"doc_id": doc_ids, "length": index.lengths}).with_row_index("doc_row")
        no_doc = pl.when(missing).then(pl.lit(NO_DESCRIPTION)).when(pl.col("length") == 0).then(pl.lit(NO_TEXT))
        queries = collection.queries.select("query_id").with_columns(bound=bound.astype(np.float64)).with_row_index("query_row")
        no_query = pl.when(pl.col("bound") == 0).then(pl.lit(NO_QUERY))
        return _Scored(
            index, documents.select("doc_id", "doc_row", no_doc=no_doc), queries.with_columns(no_query=no_query), weights
        )

    def of_pairs(self, pairs: pl.DataFrame, *, known_only: bool = False) -> pl.DataFrame:
        """query_id, doc_id, share, why (null, or why the pair cannot be judged), in the order of `pairs`."""
        found = pairs.join(self.queries, on="query_id", how="left", maintain_order="left")
        found = found.join(self.documents, on="doc_id", how="left", maintain_order="left")
        lost = pl.col("query_row").is_null() | pl.col("doc_row").is_null()
        if not known_only:
            _all_known(found.filter(lost))
        found = found.filter(~lost)
        rows = (found[name].cast(pl.Int64).to_numpy() for name in ("query_row", "doc_row"))
        score = pl.Series(self.index.pair_scores(self.weights, *rows).astype(np.float64))
        return found.select(*PAIR, share=score / pl.col("bound"), why=pl.coalesce("no_query", "no_doc"))


def _settings(index: Index) -> dict[str, Any]:
    """The settings of BM25; the recipe of its analyzer is named where it is not the first that had this name."""
    analyzer, digest = index.analyzer, index.analyzer.digest
    known = {"analyzer": analyzer.name, "k1": index.formula.k1, "b": index.formula.b}
    return known if FIRST_RECIPES.get(analyzer.name) == digest else known | {"recipe": digest}


def _all_known(lost: pl.DataFrame) -> None:
    for row in lost.head(1).iter_rows(named=True):
        what = f"query {row['query_id']!r}" if row["query_row"] is None else f"document {row['doc_id']!r}"
        raise Mismatch(
            f"{lost.height} pairs to be judged have a query or document that is not in the collection; the first is {what}. "
            "Give the collection that the runs were made on"
        )


def _by_quantile(frame: pl.DataFrame, shares: Sequence[float]) -> Cut:
    usable = frame.filter(pl.col("why").is_null())["share"].to_numpy()
    table = quantile_cuts(usable if len(usable) else np.zeros(1), shares)[None]
    return frame.with_columns(fold=pl.lit(0)), table, {"shares": list(shares), "pairs": _digest(frame.select(PAIR))}


def _learnt(frame: pl.DataFrame, scored: _Scored, qrels: Qrels, scale: Scale, seed: int, folds: int) -> Cut:
    """The last row of the cuts is for queries without human grades."""
    scale.fits(qrels.grades, f"qrels {qrels.name!r}")
    human = scored.of_pairs(qrels.graded.select(PAIR), known_only=True).filter(pl.col("why").is_null())
    human = human.join(qrels.graded.select(*PAIR, "grade"), on=PAIR, how="left", maintain_order="left")
    queries = human["query_id"].unique().sort()
    if folds < 2 or len(queries) < 2:
        raise InputError(
            f"cuts from other queries need at least 2 folds and 2 queries with human grades in the collection; there are "
            f"{folds} folds and {len(queries)} such queries (qrels {qrels.name!r}); use quantile cuts instead"
        )
    folds = min(folds, len(queries))
    of_query = pl.DataFrame({"query_id": queries, "fold": np.random.default_rng(seed).permutation(len(queries)) % folds})
    own = human.join(of_query, on="query_id", how="left", maintain_order="left")["fold"].to_numpy()
    share, level = human["share"].to_numpy(), np.searchsorted(scale.values, human["grade"].to_numpy())
    others = [own != fold for fold in range(folds)] + [np.ones(len(own), dtype=bool)]
    table = np.array([learn_cuts(share[o], level[o], len(scale.values)) for o in others])
    frame = frame.join(of_query, on="query_id", how="left", maintain_order="left").with_columns(pl.col("fold").fill_null(folds))
    return frame, table, {"qrels": _digest(qrels.graded.select(*PAIR, "grade")), "folds": folds, "seed": seed}


def _graded(frame: pl.DataFrame, table: Floats, scale: Scale) -> pl.DataFrame:
    """Grades, outcomes and reasons of all pairs."""
    share, cuts = frame["share"].fill_nan(0).to_numpy(), table[frame["fold"].to_numpy()]
    level = levels_of(share, cuts)
    nearest = np.take_along_axis(cuts, np.maximum(level - 1, 0)[:, None], axis=1)[:, 0]
    texts = frame.with_columns(
        grade=pl.Series(np.array(scale.values)[level], dtype=pl.Int32),
        said=pl.format(
            "BM25 {} of the query's best possible; {} the cut {}",
            pl.Series(np.char.mod("%.3f", share)),
            pl.Series(level > 0).replace_strict({True: "above", False: "not above"}, return_dtype=pl.String),
            pl.Series(np.char.mod("%.3f", nearest)),
        ),
    )
    judged = pl.col("why").is_null()
    return texts.select(
        *PAIR,
        grade=pl.when(judged).then("grade"),
        outcome=pl.when(judged).then(pl.lit("graded")).otherwise(pl.lit("refused")),
        reason=pl.coalesce("why", "said"),
    )


def _checked(shares: Sequence[float] | None, scale: Scale) -> Sequence[float]:
    """One share per grade, above 0 and 1 together; raises InputError."""
    wanted = len(scale.values)
    shares = halving(wanted) if shares is None else shares
    if len(shares) != wanted or min(shares) < 0 or abs(sum(shares) - 1) > 1e-6:
        raise InputError(
            f"shares must be one per grade of scale {scale.name!r} ({wanted}), none below 0, and sum to 1, not {shares}"
        )
    return shares


def _digest(frame: pl.DataFrame) -> str:
    """Digest of the rows of a frame, whatever their order."""
    return digest_bytes(frame.sort(frame.columns).write_csv().encode("utf-8"))
