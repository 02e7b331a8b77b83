"""gain: how much better one assessor agrees with people than another, on the same pairs. Part of `agree`.

This is what an ablation asks (with and without the image, the guideline, the examples): the difference is paired, so its
interval is narrower than the two intervals beside each other suggest.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import polars as pl

from qrelkit.core.errors import Mismatch
from qrelkit.core.qrels import Qrels
from qrelkit.core.records import Estimate
from qrelkit.stats.agreement import confusion, figures
from qrelkit.stats.resample import Array, bootstrap

KEY = ["query_id", "doc_id"]
SHOWN = ("exact", "kappa", "kappa_quadratic")


def gain(one: Qrels, other: Qrels, human: Qrels, *, resamples: int = 2000, seed: int = 0) -> dict[str, Estimate]:
    """Agreement of `one` with `human` minus that of `other`, for exact agreement, kappa and quadratic kappa.

    Above 0: `one` agrees better. Only pairs that all three graded count; intervals are 95 %, by query. Raises Mismatch
    where there is no such pair.
    """
    grades = [q.graded.select(*KEY, pl.col("grade").alias(name)) for name, q in (("h", human), ("a", one), ("b", other))]
    pairs = grades[0].join(grades[1], on=KEY).join(grades[2], on=KEY).sort(KEY)
    if not pairs.height:
        raise Mismatch(f"{one.name}, {other.name} and {human.name} share no graded pair")
    given = pairs.select("h", "a", "b").to_numpy().astype(np.int64)
    values = range(int(given.min()), int(given.max()) + 1)
    codes = dict(zip("hab", (given - values[0]).T, strict=True))
    query = pairs["query_id"].rank("dense").to_numpy().astype(np.int64) - 1
    queries = int(query.max()) + 1
    tables = {c: confusion(codes["h"], codes[c], query, queries, len(values)) for c in ("a", "b")}

    def formula(t: Mapping[str, Array]) -> Mapping[str, Array]:
        mine, theirs = figures(t["a"], values), figures(t["b"], values)
        return {name: mine[name] - theirs[name] for name in SHOWN}

    return bootstrap(tables, formula, resamples=resamples, seed=seed)
