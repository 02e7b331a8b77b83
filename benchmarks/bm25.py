"""How fast is BM25? Ours beside bm25s, Tantivy and rank_bm25: from texts to a saved index, opening it, and searching it.

    python benchmarks/bm25.py [--peers-python PYTHON] [--documents 500000] [--rounds 3]

Documents are 100 words of a vocabulary of 60,000, drawn by Zipf's law; queries have 2 to 10 such words. Every system indexes in a
fresh process, and opens and searches in another; the clock starts after its imports and after the texts are in memory as strings.
Peers are at their best: bm25s with numba (compiled before the clock starts), all with as many threads as there are cores where
that is faster than one. rank_bm25 cannot save, and is asked few of the queries, over which its time is scaled.
`--peers-python` is a Python that has the peers: python -m venv P; P/bin/pip install bm25s numba tantivy rank_bm25.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np

DEPTH = 1000
FEW = 5  # queries for rank_bm25
NEEDED = {"bm25s": (4, 1), "tantivy": (1, 1.5), "rank_bm25": (None, 100)}

QRELKIT = """
import numpy as np, polars as pl, scipy.sparse
from qrelkit.text.bm25 import Index
from qrelkit.text.bm25_files import open_index, save_index
def index(texts):
    save_index(Index.of([pl.Series(texts)], analyzer="standard"), Path(FOLDER))
def opened():
    return open_index(Path(FOLDER))
def search(index, queries):
    weights, _ = index.queries(pl.Series(queries))
    found = []
    for _, docs, scores in index.best(weights, DEPTH):
        order = np.argsort(-scores, kind="stable")[:DEPTH]
        found.append((docs[order], scores[order]))
    return [float(scores[0]) if len(scores) else 0.0 for _, scores in found]
"""
BM25S = """
import os, bm25s
def index(texts):
    tokens = bm25s.tokenize(texts, stopwords=None, show_progress=False)
    model = bm25s.BM25(method="lucene", k1=0.9, b=0.4, backend="numba")
    model.index(tokens, show_progress=False)
    model.save(FOLDER, show_progress=False)
def opened():
    return bm25s.BM25.load(FOLDER, mmap=True, show_progress=False)
def search(model, queries):
    tokens = bm25s.tokenize(queries, stopwords=None, return_ids=False, show_progress=False)
    _, scores = model.retrieve(tokens, k=DEPTH, n_threads=THREADS, show_progress=False)
    return scores[:, 0].tolist()
"""
TANTIVY = """
import os, tantivy
from concurrent.futures import ThreadPoolExecutor
def schema():
    build = tantivy.SchemaBuilder()
    build.add_text_field("text", stored=False)
    return build.build()
def index(texts):
    os.makedirs(FOLDER)
    made = tantivy.Index(schema(), path=FOLDER)
    writer = made.writer(heap_size=1_000_000_000, num_threads=CORES)
    for text in texts:
        writer.add_document(tantivy.Document(text=text))
    writer.commit()
    writer.wait_merging_threads()
def opened():
    made = tantivy.Index.open(FOLDER)
    return made, made.searcher()
def search(pair, queries):
    made, searcher = pair
    def one(query):
        hits = searcher.search(made.parse_query(query, ["text"]), DEPTH, count=False).hits
        return float(hits[0][0]) if hits else 0.0
    with ThreadPoolExecutor(THREADS) as pool:
        return list(pool.map(one, queries))
"""
RANK_BM25 = """
import numpy as np, rank_bm25
def index(texts):
    return rank_bm25.BM25Okapi([text.split(" ") for text in texts])
def search(model, queries):
    best = []
    for query in queries:
        scores = model.get_scores(query.split(" "))
        best.append(float(scores[np.argsort(-scores)[:DEPTH]][0]))
    return best
"""
SYSTEMS = {"qrelkit": QRELKIT, "bm25s": BM25S, "tantivy": TANTIVY, "rank_bm25": RANK_BM25}
HEAD = """
import json, resource, sys, time
from pathlib import Path
def timed(work):
    start = time.perf_counter()
    value = work()
    return time.perf_counter() - start, value
def say(**said):
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / (1e9 if sys.platform == "darwin" else 1e6)
    print(json.dumps({**said, "peak_gb": peak}))
"""
INDEXING = """
texts = Path(TEXTS).read_text(encoding="utf-8").splitlines()
if SYSTEM == "qrelkit":
    Index.of([pl.Series(texts[:100])], analyzer="standard")
took, model = timed(lambda: index(texts))
if SYSTEM != "rank_bm25":
    say(index=took)
else:
    queries = Path(QUERIES).read_text(encoding="utf-8").splitlines()
    searching, _ = timed(lambda: search(model, queries[:FEW]))
    say(index=took, search=searching * len(queries) / FEW)
"""
SEARCHING = """
queries = Path(QUERIES).read_text(encoding="utf-8").splitlines()
opening, model = timed(opened)
found = []
for THREADS in sorted({1, CORES}):
    search(model, queries[:20])
    found.append(timed(lambda: search(model, queries)))
say(open=opening, search=min(took for took, _ in found), best=found[0][1][:50])
"""


def generate(folder: Path, documents: int, queries: int, seed: int = 0) -> tuple[Path, Path]:
    """One text per line."""
    rng = np.random.default_rng(seed)
    letters = np.array(list("abcdefghijklmnopqrstuvwxyz"))
    words = np.array(["".join(rng.choice(letters, size)) for size in rng.integers(3, 10, 60_000)], dtype=object)
    chance = np.cumsum(1 / np.arange(1, len(words) + 1))
    texts, asked = folder / "texts.txt", folder / "queries.txt"

    def drawn(size: int) -> list[str]:
        return words[np.searchsorted(chance, rng.random(size) * chance[-1])].tolist()

    with texts.open("w", encoding="utf-8", newline="\n") as file:
        file.writelines(" ".join(drawn(100)) + "\n" for _ in range(documents))
    lines = (" ".join(drawn(size)) + "\n" for size in rng.integers(2, 11, queries).tolist())
    asked.write_text("".join(lines), encoding="utf-8", newline="\n")
    return texts, asked


def measured(python: str, system: str, names: dict[str, object], body: str) -> dict[str, float] | None:
    """What one fresh process says; None where the system is not installed there."""
    said = "".join(f"{name} = {value!r}\n" for name, value in names.items()) + f"SYSTEM = {system!r}\n"
    code = said + HEAD + SYSTEMS[system] + body
    done = subprocess.run([python, "-W", "ignore", "-c", code], capture_output=True, text=True, encoding="utf-8")
    if done.returncode:
        print(f"{system}: not measured ({done.stderr.strip().splitlines()[-1]})", file=sys.stderr)
        return None
    found: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    return found


def one_round(python: str, system: str, names: dict[str, object]) -> dict[str, float] | None:
    """Index, then open and search."""
    with tempfile.TemporaryDirectory() as folder:
        here = names | {"FOLDER": str(Path(folder) / "index")}
        made = measured(python, system, here, INDEXING)
        if made is None:
            return None
        made["index_gb"] = made.pop("peak_gb")
        if system == "rank_bm25":
            return made
        found = measured(python, system, here, SEARCHING)
        return None if found is None else made | found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--peers-python", default=sys.executable, help="a Python that has the peers (default: this one)")
    parser.add_argument("--documents", type=int, default=500_000)
    parser.add_argument("--queries", type=int, default=1000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--only", nargs="*", choices=list(SYSTEMS), default=list(SYSTEMS))
    given = parser.parse_args()
    found: dict[str, list[dict[str, float]]] = {}
    with tempfile.TemporaryDirectory() as folder:
        texts, queries = generate(Path(folder), given.documents, given.queries)
        names = {"TEXTS": str(texts), "QUERIES": str(queries), "DEPTH": DEPTH, "FEW": FEW, "CORES": os.cpu_count() or 1}
        for number in range(given.rounds):
            for system in given.only:
                if system == "rank_bm25" and number:
                    continue  # slow, and nowhere near
                result = one_round(sys.executable if system == "qrelkit" else given.peers_python, system, names)
                if result is not None:
                    found.setdefault(system, []).append(result)
    table(found, given.documents, given.queries)


def table(found: dict[str, list[dict[str, float]]], documents: int, queries: int) -> None:
    """Medians, and how many times ours each took."""
    print(f"{documents:,} documents of 100 words, {queries:,} queries, best {DEPTH:,}; medians, seconds; peaks of memory in GB")
    print("\n| | index | × ours | needed | open | search | × ours | needed | peak indexing | peak searching |")
    print("|---|---|---|---|---|---|---|---|---|---|")

    def median(system: str, what: str) -> float:
        return statistics.median(each.get(what, float("nan")) for each in found[system])

    for system in found:
        ours = "qrelkit" if "qrelkit" in found else system
        ratios = [median(system, what) / median(ours, what) for what in ("index", "search")]
        needed = [f"{n}×" if n else "" for n in NEEDED.get(system, (None, None))]
        peaks = (median(system, "index_gb"), median(system, "peak_gb"))
        cells = [
            median(system, "index"),
            ratios[0],
            needed[0],
            median(system, "open"),
            median(system, "search"),
            ratios[1],
            needed[1],
        ]
        shown = [cell if isinstance(cell, str) else "" if math.isnan(cell) else f"{cell:.3f}" for cell in (*cells, *peaks)]
        print(f"| {system} | " + " | ".join(shown) + " |")
    if {"qrelkit", "bm25s"} <= found.keys():
        pairs = zip(found["qrelkit"][0]["best"], found["bm25s"][0]["best"], strict=True)  # type: ignore[arg-type, call-overload]
        print(f"\nlargest difference of the first scores from those of bm25s: {max(abs(a - b) for a, b in pairs):.1e}")


if __name__ == "__main__":
    main()
