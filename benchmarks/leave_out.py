"""How far does a new system move because it did not contribute to the pool? TREC DL 2019 passages, one run or team at a time.

    python benchmarks/leave_out.py [--data ../shared/data] [--measure nDCG@10] [--depth 10]

37 runs, human grades of 9,260 pairs. What a run (or its team) alone brought to the pool is taken from the human grades, all
runs are scored again, and its rank and score are laid beside those by all human grades: with the holes as 0, and filled by each
label set in the folder (the first grade of a pair that one lists twice). Needed: 63 runs in 10 s.
"""

from __future__ import annotations

import argparse
import gzip
import time
from pathlib import Path

import numpy as np
import polars as pl

from qrelkit.core.qrels import Qrels
from qrelkit.core.run import Run
from qrelkit.formats.trec import read_qrels
from qrelkit.steps.leave_out import leave_out
from qrelkit.steps.left_out import told

TEAMS = {  # tags begin like this; as listed in the overview of the track
    "idst_": "IDST", "p_": "h2oloo", "runid3": "udel_fang", "runid4": "udel_fang", "runid": "CCNU_IRGroup", "TUW19": "TU-Vienna",
    "ICT-": "ICTNET", "srchvrs": "srchvrs", "UNH_": "TREMA-UNH", "bm25": "BASELINE", "ms_": "Microsoft", "TUA1": "TUA1",
    "test1": "Brown",
}  # fmt: skip


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--data", default=str(Path(__file__).resolve().parents[2] / "shared" / "data"))
    options.add_argument("--measure", default="nDCG@10")
    options.add_argument("--depth", type=int, default=10)
    chosen = options.parse_args()
    folder = Path(chosen.data) / "trec_dl19"
    runs, human = runs_of(folder / "runs_top20.tsv.gz"), read_qrels(folder / "qrels.human.txt")
    labels = {p.stem: read_qrels(p, duplicates="first") for p in sorted((folder / "llm_labels").glob("*.txt"))}
    teams = {run.tag: next(team for start, team in TEAMS.items() if run.tag.startswith(start)) for run in runs}
    print(f"{len(runs)} runs of {len(set(teams.values()))} teams, {chosen.measure}, pool of depth {chosen.depth}\n")
    print(f"{'left out':10}{'holes':38}{'rank, mean':>11}{'max':>5}{'value, mean':>13}{'max':>8}")
    for unit, of in (("a run", {}), ("a team", teams)):
        started = time.perf_counter()
        found = leave_out(chosen.measure, runs, human, filled=labels, teams=of, depth=chosen.depth)
        seconds = time.perf_counter() - started
        for form, shift in found.shifts.items():
            ranks, values = f"{shift.rank_mean:11.2f}{shift.rank_max:5}", f"{shift.value_mean:13.4f}{shift.value_max:8.4f}"
            print(f"{unit:10}{told(form):38}{ranks}{values}")
        print(f"{'':10}{seconds:.2f} s\n")
    many(63)


def runs_of(path: Path) -> list[Run]:
    names = ["tag", "query_id", "doc_id", "rank", "score"]
    table = pl.read_csv(
        gzip.decompress(path.read_bytes()), separator="\t", has_header=False, new_columns=names, infer_schema=False
    )
    parts = table.with_columns(pl.col("score").cast(pl.Float64)).partition_by("tag", as_dict=True, maintain_order=True)
    return [Run.of(part, str(tag)) for (tag,), part in parts.items()]


def many(count: int) -> None:
    """The time that many runs take: 35 queries, 1,000 documents each, pooled to 40, three label sets, all of it generated."""
    rng = np.random.default_rng(0)
    queries, every = np.repeat([f"q{i}" for i in range(35)], 1000), np.array([f"d{i}" for i in range(3000)])
    runs = []
    for tag in range(count):
        merit = np.linspace(3, 0, 3000) + rng.normal(0, 1, (35, 3000))
        best = np.argsort(-merit, axis=1)[:, :1000]
        frame = {"query_id": queries, "doc_id": every[best].ravel(), "score": np.take_along_axis(merit, best, axis=1).ravel()}
        runs.append(Run.of(pl.DataFrame(frame), f"run{tag}"))
    pool = pl.concat([run.cut(40).frame for run in runs]).select("query_id", "doc_id").unique(maintain_order=True)
    graded = [
        Qrels.of(pool.with_columns(grade=rng.choice(4, pool.height, p=(0.7, 0.15, 0.1, 0.05))), f"labels{i}") for i in range(4)
    ]
    for measure in ("nDCG@10", "AP"):
        started = time.perf_counter()
        leave_out(measure, runs, graded[0], filled={one.name: one for one in graded[1:]}, depth=40)
        print(f"{measure} of {count} runs 1,000 deep, {pool.height:,} grades: {time.perf_counter() - started:.2f} s")


if __name__ == "__main__":
    main()
