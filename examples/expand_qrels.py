"""Fill the holes of human qrels with an assessor's grades, and see what that changes for the systems.

python expand_qrels.py HUMAN.qrels ASSESSOR.qrels OUT.qrels RUN…
"""

from __future__ import annotations

import sys

import qrelkit as qk


def main(human_file: str, assessor_file: str, out: str, *run_files: str) -> None:
    human, assessor = qk.read_qrels(human_file), qk.read_qrels(assessor_file)
    runs = [qk.read_run(path) for path in run_files]

    expansion = qk.expand(human, assessor, pool=qk.pool(runs, depth=20))
    sidecar = expansion.write(out)
    print(expansion)
    print(f"wrote {out} and {sidecar.name}")

    views = {"human": human, "mixed": expansion.qrels}
    print(qk.evaluate(["nDCG@10", "Judged@10"], runs, views))
    if len(runs) > 2:
        print("the same order of systems?", qk.compare("nDCG@10", runs, list(views.values())))


if __name__ == "__main__":
    main(*sys.argv[1:])
