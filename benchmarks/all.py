"""Every benchmark, one after the other; what they print is what benchmarks/RESULTS.md holds.

    python benchmarks/all.py [--peers PYTHON]

`--peers` is a Python that has pytrec-eval-terrier, ir-measures and ranx; without it those comparisons are left out.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).parent


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--peers", default="")
    peers = options.parse_args().peers
    jobs = [
        ["help.py"],
        ["driver.py"],
        ["smmile.py"],
        ["latency.py"],
        ["second_run.py"],
        ["tokens.py"],
        ["store.py"],
        ["expansion.py"],
        ["decide.py"],
    ]
    jobs += [["coverage.py"], ["settle.py"], ["gaming.py"], ["leave_out.py"], ["cascade.py"], ["pooling.py"], ["simulated.py"]]
    if peers:
        jobs += [["evaluate.py", "--peers", peers], ["evaluate.py", "--peers", peers, "--whole"]]
    for script, *arguments in jobs:
        print(f"\n$ python benchmarks/{script} {' '.join(arguments)}".rstrip(), flush=True)
        subprocess.run([sys.executable, str(HERE / script), *arguments], check=True)


if __name__ == "__main__":
    main()
