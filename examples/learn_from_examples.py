"""Does a multimodal model learn from the examples of your own benchmark? With and without them, blind, and with a foreign one.

    OPENAI_BASE_URL=http://localhost:8000/v1 python learn_from_examples.py FOLDER MODEL

FOLDER has problems.jsonl and images (`qrelkit bench smmile demo -o FOLDER` draws one); MODEL is the name that the server
knows. Call it again: nothing is asked twice, for the replies are in learn.db.
"""

from __future__ import annotations

import sys
from pathlib import Path

import polars as pl

import qrelkit as qk
from qrelkit.bench.smmile.exact import correct_of, with_exact
from qrelkit.bench.smmile.flows import Asking
from qrelkit.bench.smmile.folder import read_folder
from qrelkit.bench.smmile.noise import noise
from qrelkit.bench.smmile.running import run
from qrelkit.bench.smmile.statistics import paired


def main(folder: str, name: str) -> None:
    problems, model = read_folder(Path(folder)), qk.OpenAICompatible(f"openai:{name}")
    conditions = {
        "without examples": (problems, "zero-shot"),
        "with examples": (problems, "icl"),
        "with them, blind": (problems, "blind"),
        "with a foreign one": (noise(problems, 1, where="last"), "icl"),
    }
    scored: dict[str, pl.DataFrame] = {}
    with qk.SqlStore("learn.db") as store:
        for what, (asked, mode) in conditions.items():
            ran = run(asked, Asking(model=model.name, mode=mode), store=store, models={model.name: model})
            scored[what] = correct_of(with_exact(ran.answers.frame), "exact_flexible")
            print(f"{what:20} {ran.counts['exact_flexible']} of {ran.counts['n']}, {ran.tally.asked} requests")
    for what in ("without examples", "with them, blind", "with a foreign one"):
        found = paired(scored[what], scored["with examples"])
        print(f"with examples − {what}: {found.difference}, +{found.gained} −{found.lost}, p {found.p:.3f}")


if __name__ == "__main__":
    main(*sys.argv[1:])
