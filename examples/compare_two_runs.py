"""Is one TREC run better than another, and how sure may we be?

python compare_two_runs.py RUN_A RUN_B QRELS [MEASURE]
"""

from __future__ import annotations

import sys

import qrelkit as qk


def main(run_a: str, run_b: str, qrels: str, measure: str = "nDCG@10") -> None:
    runs = [qk.read_run(run_a), qk.read_run(run_b)]
    human = qk.read_qrels(qrels)

    print(qk.evaluate([measure, "Judged@10"], runs, human))

    row = qk.compare(measure, runs, [human]).json()["pairs"][0]
    print(f"{row['a']} − {row['b']} = {row['diff']:+.4f} [{row['low']:+.4f}, {row['high']:+.4f}], p {row['p_rand']:.3g}")
    if row["low"] <= 0 <= row["high"]:
        print("The interval holds 0: these queries do not tell the two apart.")
    else:
        print(f"{row['a'] if row['diff'] > 0 else row['b']} is better on queries like these.")


if __name__ == "__main__":
    main(*sys.argv[1:])
