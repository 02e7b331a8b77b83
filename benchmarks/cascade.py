"""A small model everywhere, GPT-4o on a few pairs: what the order of the systems is worth, and what it costs. On TREC DL 2019.

    python benchmarks/cascade.py [--data FOLDER] [--measure nDCG@10] [--shares 0,0.05,0.1,0.2] [--seeds 5]

37 runs to rank 20, 43 queries, 9,260 pairs with grades by people and by GPT-4o (UMBRELA prompt). Two small models: Flan-T5 large,
and Llama 3.2, whose file lists every pair four to six times with conflicting grades: a vote, of which the majority counts (on a
tie the lower grade) and the shares are the probabilities. Means over the seeds, which break ties and draw the pairs of the
corrected rows (shown for the rules decision and uniform).

Prices per label: GPT-4o's from benchmarks/prices.yaml at 900 tokens in and 60 out; the small models at 0.06 and 0.06 dollars per
million, an assumption, since what they run on is nobody's price list; people 20 s a label at $40 an hour, an assumption too.
Without the data (../shared/data, or QRELKIT_DATA) it says so.
"""

from __future__ import annotations

import argparse
import os
import time
from pathlib import Path

TOKENS = (900, 60)


def main() -> None:
    here = Path(__file__).resolve().parent
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--data", default=os.environ.get("QRELKIT_DATA", str(here.parents[1] / "shared" / "data")))
    options.add_argument("--measure", default="nDCG@10")
    options.add_argument("--shares", default="0,0.05,0.1,0.2")
    options.add_argument("--seeds", type=int, default=5)
    chosen = options.parse_args()
    folder = Path(chosen.data) / "trec_dl19"
    if not folder.is_dir():
        print(f"skipped: there is no {folder}")
        return
    import qrelkit as qk
    from qrelkit.steps.label_price import label_price, of_people
    from qrelkit.steps.triage import RULES

    names = {"Flan-T5": "dl2019_test_4prompts_flant5large", "Llama 3.2": "llama3.2_umbrela_messy", "GPT-4o": "gpt-4o_umbrela"}
    sets = {name: qk.read_labels(str(folder / "llm_labels" / f"{file}.txt"), "votes", name=name) for name, file in names.items()}
    human = qk.read_labels(str(folder / "qrels.human.txt"), name="people")
    runs = qk.read_runs(folder / "runs_top20.tsv.gz")
    dear = label_price("gpt-4o:{}+{}".format(*TOKENS), qk.read_prices(here / "prices.yaml"))
    small = label_price("small:{}+{}".format(*TOKENS), qk.read_prices({"small": {"input": 0.06, "output": 0.06}}))
    shares = tuple(float(share) for share in chosen.shares.split(","))

    started = time.perf_counter()
    for cheap in ("Llama 3.2", "Flan-T5"):
        print(f"{cheap} everywhere, GPT-4o on a share: {chosen.measure}, {len(runs)} systems, {chosen.seeds} seeds")
        print(f"{'rule':<13}{'sent':<18}{'pairs':>7}{'cost':>9}{'tau people':>12}{'tau GPT-4o':>12}{'settled':>9}{'wrong':>7}")
        for rule in RULES:
            show(chosen.measure, runs, sets[cheap], sets["GPT-4o"], human, small, dear, rule, shares, chosen.seeds)
        print()
    print(
        qk.panel(
            chosen.measure, runs, list(sets.values()), human, rules=("majority", "median", "mean"), prices=[small, small, dear]
        ).text()
    )
    print()
    people = of_people(20, 40)
    print(qk.triage(chosen.measure, runs, sets["GPT-4o"], human=human, price=dear, dear_price=people).text())
    print(f"\n{time.perf_counter() - started:.1f} s")


def show(measure, runs, cheap, dear, human, small, price, rule, shares, seeds) -> None:  # type: ignore[no-untyped-def]
    """One rule's rows, each the mean over the seeds that move it."""
    import qrelkit as qk

    found = []
    for seed in range(seeds):
        dials = qk.Dials(shares=shares, rule=rule, corrected=rule in ("decision", "uniform"), resamples=2, seed=seed)
        found.append(qk.triage(measure, runs, cheap, dear=dear, human=human, price=small, dear_price=price, dials=dials).rows)
    for rows in zip(*found, strict=True):
        taus = [sum(getattr(row, name).value for row in rows) / len(rows) for name in ("tau_people", "tau_dear")]
        settled, wrong = (sum(getattr(row, name) for row in rows) / len(rows) for name in ("settled", "wrong"))
        head = f"{rule:<13}{rows[0].name:<18}{rows[0].sent:>7,}{f'${rows[0].usd:.2f}':>9}"
        print(f"{head}{taus[0]:>12.4f}{taus[1]:>12.4f}{settled:>9.1%}{wrong:>7.2f}", flush=True)


if __name__ == "__main__":
    main()
