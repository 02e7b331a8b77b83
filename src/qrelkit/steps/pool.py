"""pool: runs in, the pairs to be judged out."""

from __future__ import annotations

from collections.abc import Sequence

from qrelkit.core.pool import Pool
from qrelkit.core.qrels import Qrels
from qrelkit.core.run import Run


def pool(runs: Sequence[Run], depth: int = 20, *, holes_of: Qrels | None = None) -> Pool:
    """Union of the first `depth` documents of every run; with `holes_of`, only the pairs without a grade there."""
    pooled = Pool.of(runs, depth)
    return pooled.without(holes_of.graded.select("query_id", "doc_id")) if holes_of else pooled
