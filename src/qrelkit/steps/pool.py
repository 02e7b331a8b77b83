"""pool: runs in, the pairs to be judged out; all down to a depth, or the n that a budget pays for (steps/pooling.py)."""

from __future__ import annotations

from collections.abc import Sequence

from qrelkit.core.errors import InputError
from qrelkit.core.pool import Pool
from qrelkit.core.qrels import Qrels
from qrelkit.core.run import Run
from qrelkit.steps.pooling import Ask, choose


def pool(
    runs: Sequence[Run],
    depth: int = 20,
    *,
    holes_of: Qrels | None = None,
    n: int | None = None,
    method: str = "depth",
    feedback: Qrels | Ask | None = None,
    relevant_from: int = 1,
    seed: int = 0,
) -> Pool:
    """Union of the first `depth` documents of every run; with `holes_of`, only the pairs without a grade there.

    With `n`, the n of them that `method` (depth, fused, mtf, bandit, random) would have judged: see `pooling.choose`.
    """
    if n is None:
        pooled = Pool.of(runs, depth)
        return pooled.without(holes_of.graded.select("query_id", "doc_id")) if holes_of else pooled
    if depth < 1:
        raise InputError(f"depth must be at least 1, not {depth}")
    cut = [run.cut(depth) for run in runs]
    return choose(cut, n, method, feedback=feedback, relevant_from=relevant_from, holes_of=holes_of, seed=seed)
