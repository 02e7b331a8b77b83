"""How long `qrelkit --help` takes, as a whole process. Required: at most 0.3 s.

python benchmarks/help.py [--rounds 11]
"""

from __future__ import annotations

import argparse
import statistics
import subprocess
import sys
import time


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--rounds", type=int, default=11)
    rounds = options.parse_args().rounds
    times = [whole([sys.executable, "-m", "qrelkit", "--help"]) for _ in range(rounds)]
    bare = [whole([sys.executable, "-c", "pass"]) for _ in range(rounds)]
    print(
        f"qrelkit --help {statistics.median(times):.3f} s, of which Python itself {statistics.median(bare):.3f} s; needed: 0.3 s"
    )


def whole(command: list[str]) -> float:
    started = time.perf_counter()
    subprocess.run(command, check=True, capture_output=True)
    return time.perf_counter() - started


if __name__ == "__main__":
    main()
