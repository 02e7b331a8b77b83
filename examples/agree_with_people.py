"""A model's labels beside those of one or several people.

python agree_with_people.py MODEL.qrels ANN.qrels [BEN.qrels …]
"""

from __future__ import annotations

import sys

import qrelkit as qk


def main(model: str, *people: str) -> None:
    assessor = qk.read_qrels(model)
    humans = [qk.read_qrels(path) for path in people]
    found = qk.agree(assessor, humans, clip=True)  # grades beyond the human scale are brought to its ends, and counted

    print(found.text())

    kappa = found.figures.estimates["kappa_quadratic"]
    print(f"\nThe model and {found.human}: quadratic kappa {kappa} over {kappa.n} queries.")
    for (a, b), figures in found.humans.items():
        print(f"The yardstick, {a} and {b}: {figures.estimates['kappa_quadratic']}.")


if __name__ == "__main__":
    main(*sys.argv[1:])
