"""How fast is evaluate? Ours beside pytrec_eval, ir_measures and ranx, from TREC files to five means.

    python benchmarks/evaluate.py [--peers PYTHON] [--rounds 5] [--whole]

Every system runs in a fresh process of its own, and the clock starts after its imports: `first` is the first call in a
process, what a script pays, and `again` the second call in the same one. Rounds are interleaved, the table has medians.
`--peers` is a Python that has the peers: python -m venv P; P/bin/pip install pytrec-eval-terrier ir-measures ranx.
`--whole` times whole commands on 5,000 queries instead: ours with bootstrap intervals, the pytrec_eval script without.
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

MEASURES = ("nDCG@10", "AP", "RR", "P@10", "R@100")
GRADES = (0, 0, 0, 1, 1, 2, 3)
TARGETS = {"pytrec_eval": 3, "ir_measures": 10, "ranx": 20}

OURS = """
from qrelkit.formats.trec import read_qrels, read_run
from qrelkit.steps.evaluate import evaluate
def once():
    run = read_run(RUN)
    scores = evaluate(MEASURES, [run], read_qrels(QRELS), resamples=0)
    return [scores.estimate(run.tag, name).value for name in MEASURES]
"""
PYTREC_EVAL = """
import pytrec_eval
NAMES = ["ndcg_cut_10", "map", "recip_rank", "P_10", "recall_100"]
def once():
    with open(QRELS) as file: qrels = pytrec_eval.parse_qrel(file)
    with open(RUN) as file: run = pytrec_eval.parse_run(file)
    measures = {"ndcg_cut.10", "map", "recip_rank", "P.10", "recall.100"}
    values = pytrec_eval.RelevanceEvaluator(qrels, measures).evaluate(run).values()
    return [sum(value[name] for value in values) / len(values) for name in NAMES]
"""
IR_MEASURES = """
import ir_measures
WANTED = [ir_measures.parse_measure(name) for name in MEASURES]
def once():
    found = ir_measures.calc_aggregate(WANTED, ir_measures.read_trec_qrels(QRELS), ir_measures.read_trec_run(RUN))
    return [found[measure] for measure in WANTED]
"""
RANX = """
import ranx
NAMES = ["ndcg@10", "map", "mrr", "precision@10", "recall@100"]
def once():
    found = ranx.evaluate(ranx.Qrels.from_file(QRELS, kind="trec"), ranx.Run.from_file(RUN, kind="trec"), NAMES)
    return [float(found[name]) for name in NAMES]
"""
TIMED = """
import json, time
took = []
for _ in range(2):
    start = time.perf_counter(); values = once(); took.append(time.perf_counter() - start)
print(json.dumps({"took": took, "values": values}))
"""
SYSTEMS = {"qrelkit": OURS, "pytrec_eval": PYTREC_EVAL, "ir_measures": IR_MEASURES, "ranx": RANX}


def generate(folder: Path, queries: int, depth: int = 1000, judged: int = 100, seed: int = 0) -> tuple[Path, Path]:
    """A run and qrels. Half of the judged documents are retrieved; scores differ also as float32, so that ties decide nothing."""
    rng = np.random.default_rng(seed)
    run, qrels = folder / f"run.{queries}.trec", folder / f"qrels.{queries}.txt"
    with run.open("w", encoding="utf-8", newline="\n") as rows, qrels.open("w", encoding="utf-8", newline="\n") as grades:
        for query in range(1, queries + 1):
            documents = rng.permutation(2 * depth)
            score = 100 - (np.arange(depth) + rng.random(depth) * 0.9) / 16
            rows.writelines(
                f"{query} Q0 doc{d:07d} {i} {s:.5f} bench\n" for i, (d, s) in enumerate(zip(documents, score, strict=False), 1)
            )
            pool = rng.permutation(2 * depth)[:judged]
            grades.writelines(f"{query} 0 doc{d:07d} {g}\n" for d, g in zip(pool, rng.choice(GRADES, judged), strict=True))
    return run, qrels


def measured(python: str, system: str, run: Path, qrels: Path) -> dict[str, list[float]] | None:
    """Times and values of one fresh process; None where the system is not installed there."""
    head = f"RUN, QRELS, MEASURES = {str(run)!r}, {str(qrels)!r}, {MEASURES!r}\n"
    done = subprocess.run([python, "-W", "ignore", "-c", head + SYSTEMS[system] + TIMED], capture_output=True, text=True)
    if done.returncode:
        print(f"{system}: not measured ({done.stderr.strip().splitlines()[-1]})", file=sys.stderr)
        return None
    found: dict[str, list[float]] = json.loads(done.stdout.splitlines()[-1])
    return found


def in_one_process(folder: Path, peers: str, rounds: int) -> None:
    """The table of first and second calls, ratios to ours, and the check that all have the same numbers."""
    run, qrels = generate(folder, 1000)
    found: dict[str, list[dict[str, list[float]]]] = {}
    left = dict.fromkeys(SYSTEMS)
    for _ in range(rounds):
        for system in list(left):
            result = measured(sys.executable if system == "qrelkit" else peers, system, run, qrels)
            if result is None:
                del left[system]
            else:
                found.setdefault(system, []).append(result)
    print(f"1,000 queries × 1,000 documents, 100 judgments each, {len(MEASURES)} measures; medians of {rounds}, seconds")
    print(f"{'':14}{'first':>8}{'× ours':>9}{'again':>9}{'× ours':>9}{'needed':>9}  largest difference")
    ours = [statistics.median(result["took"][i] for result in found["qrelkit"]) for i in (0, 1)]
    for system, results in found.items():
        first, again = (statistics.median(result["took"][i] for result in results) for i in (0, 1))
        differ = max(abs(a - b) for a, b in zip(results[0]["values"], found["qrelkit"][0]["values"], strict=True))
        needed = f"{TARGETS[system]}×" if system in TARGETS else ""
        ratios = (first / ours[0], again / ours[1])
        print(f"{system:14}{first:8.3f}{ratios[0]:8.1f}×{again:9.3f}{ratios[1]:8.1f}×{needed:>9}  {differ:.1e}")
        assert differ < 1e-9, f"{system} has other numbers"


def whole_command(folder: Path, peers: str, rounds: int) -> None:
    """Ours from the shell, with intervals, beside a script of pytrec_eval that only averages."""
    run, qrels = generate(folder, 5000)
    head = f"RUN, QRELS = {str(run)!r}, {str(qrels)!r}\n"
    commands = {
        "qrelkit evaluate": [sys.executable, "-m", "qrelkit", "evaluate", *MEASURES, "--qrels", qrels, "--runs", run, "--json"],
        "pytrec_eval script": [peers, "-c", head + PYTREC_EVAL + "print(once())"],
    }
    took: dict[str, list[float]] = {name: [] for name in commands}
    for _ in range(rounds):
        for name, command in commands.items():
            start = time.perf_counter()
            subprocess.run([str(part) for part in command], check=True, stdout=subprocess.DEVNULL)
            took[name].append(time.perf_counter() - start)
    ours = statistics.median(took["qrelkit evaluate"])
    print(f"5,000 queries × 1,000 documents, whole commands; medians of {rounds}, seconds (needed: 1.5×)")
    for name, times in took.items():
        print(f"{name:20}{statistics.median(times):8.2f}{statistics.median(times) / ours:8.1f}×")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--peers", default=sys.executable, help="a Python that has the peers (default: this one)")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--whole", action="store_true", help="time whole commands on 5,000 queries")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        (whole_command if given.whole else in_one_process)(Path(folder), given.peers, given.rounds)


if __name__ == "__main__":
    main()
