"""TREC DL 2019 for the benchmarks: where it is, its 37 runs, and what the full human grades say of them."""

from __future__ import annotations

import os
import sys
from itertools import combinations
from pathlib import Path

import numpy as np
import polars as pl

from qrelkit.core.qrels import Qrels
from qrelkit.core.run import Run
from qrelkit.formats.trec import read_qrels
from qrelkit.measures.parse import parse_measure
from qrelkit.stats.significance import t_test
from qrelkit.steps.correction import values_per_query

NAME = "nDCG@10"


def data_or_exit() -> Path:
    """The folder of the data; says so and ends where it is absent."""
    folder = Path(os.environ.get("QRELKIT_DATA", Path(__file__).parent.parent.parent / "shared" / "data")) / "trec_dl19"
    if not folder.exists():
        sys.exit("skipped: no trec_dl19 here; name the folder of the data with QRELKIT_DATA")
    return folder


def load_runs(folder: Path) -> list[Run]:
    """The top 20 of all 37 runs, for the queries that have human grades."""
    names = ["run", "query_id", "doc_id", "rank", "score"]
    kinds = {"run": pl.String, "query_id": pl.String, "doc_id": pl.String, "rank": pl.Int64, "score": pl.Float64}
    table = pl.read_csv(folder / "runs_top20.tsv.gz", separator="\t", has_header=False, new_columns=names, schema_overrides=kinds)
    judged = read_qrels(folder / "qrels.human.txt").frame.select("query_id").unique()
    table = table.join(judged, on="query_id", how="semi", maintain_order="left")
    parts = table.select("query_id", "doc_id", "score", "run").partition_by("run", as_dict=True, include_key=False)
    return [Run.of(frame, tag) for (tag,), frame in parts.items()]


def truth(runs: list[Run], human: Qrels, measure: str = NAME) -> tuple[np.ndarray, list[tuple[int, int]]]:
    """The systems' means under the full human grades, and the pairs that a paired t-test over queries calls different at .05."""
    values = values_per_query(parse_measure(measure), runs, human, human.frame["query_id"].unique().sort())
    pairs = list(combinations(range(len(runs)), 2))
    p = t_test(np.stack([values[a] - values[b] for a, b in pairs], axis=1))
    return values.mean(axis=1), [pair for pair, one in zip(pairs, p, strict=True) if one < 0.05]
