"""How fast is exact dense search? Ours over float16 vectors on disk beside faiss's flat index over float32 ones in memory.

    python benchmarks/dense.py [--peers PYTHON] [--rounds 5] [--documents 1000000] [--queries 1000] [--depth 100]

1,000,000 × 384 vectors of length 1, 1,000 queries, the 100 best of each, on the same cores; each system in a process of its own,
which searches twice: `again` is without the first touch of the pages. Rounds are interleaved, the table has medians. Memory is
the most that was resident, for ours with the pages of the file that the system keeps mapped. `--peers` is a Python that has
faiss: python -m venv P; P/bin/pip install faiss-cpu.
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np

DIMENSIONS = 384
OURS = """
import numpy as np, polars as pl
from qrelkit.retrievers.dense_search import Matrix, best, places
rows = np.memmap(DOCUMENTS, "float16", "r", shape=(COUNT, DIMENSIONS))
queries = np.load(QUERIES)
place = places(pl.Series([f"d{i:07d}" for i in range(COUNT)]))
scale = np.ones(COUNT, np.float32)
def once():
    return best(queries, Matrix(rows=rows, place=place, scale=scale), DEPTH, 2000)[0]
"""
FAISS = """
import faiss, numpy as np
index = faiss.IndexFlatIP(DIMENSIONS)
rows = np.memmap(DOCUMENTS, "float16", "r", shape=(COUNT, DIMENSIONS))
for begin in range(0, COUNT, 100_000):
    index.add(rows[begin : begin + 100_000].astype(np.float32))
del rows
queries = np.load(QUERIES)
def once():
    return index.search(queries, DEPTH)[1]
"""
TIMED = """
import json, resource, time
took = []
for _ in range(2):
    start = time.perf_counter(); found = once(); took.append(time.perf_counter() - start)
mb = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e3
np.save(FOUND, found)
print(json.dumps({"took": took, "mb": mb}))
"""
SYSTEMS = {"qrelkit": OURS, "faiss": FAISS}


def generate(folder: Path, documents: int, queries: int, seed: int = 0) -> None:
    """Vectors of length 1 in all directions: the hardest for a search that leaves out what cannot be among the best."""
    rng = np.random.default_rng(seed)
    out = np.memmap(folder / "documents.bin", "float16", "w+", shape=(documents, DIMENSIONS))
    for begin in range(0, documents, 50_000):
        rows = rng.standard_normal((min(50_000, documents - begin), DIMENSIONS), dtype=np.float32)
        out[begin : begin + len(rows)] = rows / np.linalg.norm(rows, axis=1, keepdims=True)
    out.flush()
    rows = rng.standard_normal((queries, DIMENSIONS), dtype=np.float32)
    np.save(folder / "queries.npy", rows / np.linalg.norm(rows, axis=1, keepdims=True))


def measured(python: str, system: str, folder: Path, documents: int, depth: int) -> dict[str, float] | None:
    """Seconds of both searches and megabytes; None where the system is not installed there."""
    said = {
        "DOCUMENTS": str(folder / "documents.bin"),
        "QUERIES": str(folder / "queries.npy"),
        "FOUND": str(folder / f"{system}.npy"),
        "COUNT": documents,
        "DIMENSIONS": DIMENSIONS,
        "DEPTH": depth,
    }
    head = "".join(f"{name} = {value!r}\n" for name, value in said.items())
    done = subprocess.run([python, "-W", "ignore", "-c", head + SYSTEMS[system] + TIMED], capture_output=True, text=True)
    if done.returncode:
        print(f"{system}: not measured ({done.stderr.strip().splitlines()[-1]})", file=sys.stderr)
        return None
    result = json.loads(done.stdout.splitlines()[-1])
    return {"first": result["took"][0], "again": result["took"][1], "mb": result["mb"]}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--peers", default=sys.executable, help="a Python that has faiss (default: this one)")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--documents", type=int, default=1_000_000)
    parser.add_argument("--queries", type=int, default=1000)
    parser.add_argument("--depth", type=int, default=100)
    given = parser.parse_args()
    found: dict[str, list[dict[str, float]]] = {}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        generate(folder, given.documents, given.queries)
        for _ in range(given.rounds):
            for system in SYSTEMS:
                python = sys.executable if system == "qrelkit" else given.peers
                if result := measured(python, system, folder, given.documents, given.depth):
                    found.setdefault(system, []).append(result)
        size = f"{given.documents:,} × {DIMENSIONS} vectors, {given.queries:,} queries, the {given.depth} best"
        print(f"{size}; medians of {given.rounds}\n")
        print("| system | first (s) | again (s) | × faiss | memory (MB) | needed |\n|---|---|---|---|---|---|")
        middle = {s: {k: statistics.median(r[k] for r in rounds) for k in rounds[0]} for s, rounds in found.items()}
        for system, m in middle.items():
            ratio = f"{m['again'] / middle['faiss']['again']:.2f}" if "faiss" in middle else ""
            needed = "≤ 1.2 × faiss, ≤ 2,000 MB" if system == "qrelkit" else ""
            print(f"| {system} | {m['first']:.2f} | {m['again']:.2f} | {ratio} | {m['mb']:,.0f} | {needed} |")
        if len(found) == len(SYSTEMS):
            ours, theirs = (np.load(folder / f"{system}.npy") for system in SYSTEMS)
            same = np.mean([len(np.intersect1d(a, b)) / given.depth for a, b in zip(ours, theirs, strict=True)])
            print(f"\nThe same documents found: {100 * same:.3f} %")
            assert same > 0.9999


if __name__ == "__main__":
    main()
