"""How near the judge comes to what an endpoint can give: 800 ms for an answer, 500 slots, 60 seconds; 625 replies/s is ideal.

    python benchmarks/latency.py [--seconds 60] [--rounds 1]

Once with `at_once` given (500), once without, so that the number is found: slow start, ramp included. Needed: 95 % and 85 %.
"""

from __future__ import annotations

import argparse
import os
import statistics
import tempfile
import time
from collections.abc import Iterator
from typing import Any

from driver import endpoint, the_judge, the_pairs

from qrelkit.core.wire import Flow
from qrelkit.models.openai_compatible import OpenAICompatible
from qrelkit.steps.drive import drive
from qrelkit.stores.sql import SqlStore

LATENCY_S, SLOTS = 0.8, 500


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--seconds", type=float, default=60.0)
    options.add_argument("--rounds", type=int, default=1)
    chosen = options.parse_args()
    for given, needed in ((SLOTS, 0.95), (None, 0.85)):
        shares = []
        for _ in range(chosen.rounds):
            with endpoint("0", str(LATENCY_S), str(SLOTS)) as url:
                shares.append(share(url, given, chosen.seconds))
        words = f"at_once {given}" if given else "at_once found out"
        found = f"{statistics.median(shares):6.1%} of {SLOTS / LATENCY_S:.0f} replies/s"
        print(f"{words:20} {found} (needed {needed:.0%})", flush=True)


def share(url: str, at_once: int | None, seconds: float) -> float:
    """Judgments that were made and stored within `seconds`, as a share of what the endpoint could answer."""
    judge = the_judge()
    done_in_time = 0

    def flows() -> Iterator[Flow[Any]]:
        """As many as it takes, so that nothing runs out."""
        for pair in the_pairs(10**9):
            if time.perf_counter() - started > seconds:
                return
            yield judge.flow([pair])

    def done(_: Any) -> None:
        nonlocal done_in_time
        done_in_time += time.perf_counter() - started <= seconds

    with tempfile.TemporaryDirectory() as folder, SqlStore(os.path.join(folder, "store.db")) as store:
        model = OpenAICompatible("openai:bench", base_url=url, api_key="none", at_once=2_000)
        started = time.perf_counter()
        tally = drive(flows(), models={model.name: model}, store=store, done=done, at_once=at_once)
    assert not tally.failed, tally.errors
    return done_in_time / (SLOTS / LATENCY_S * seconds)


if __name__ == "__main__":
    main()
