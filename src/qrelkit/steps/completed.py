"""People's grades for all pairs, from a sample: what they did not grade is drawn from what they said of pairs like it.

A pair's chances are the shares of people's grades among the sampled pairs with the same label of the judge's, counted by how
many pairs each stands for: in the pair's own query where there are some, and in all queries to the weight of a few. Added up
over the pairs, they say what the sample says, which a forecast of agreement needs most.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from qrelkit.stats.calibration import prior
from qrelkit.stats.sampling import weights
from qrelkit.steps.population import Population

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]

OTHERS = 4.0  # labels of the own query that all other queries together are worth
PSEUDO = 1.0  # labels that the prior of each of the judge's labels is worth
DRAWS = 5


def completed(known: Population, seed: int) -> list[Ints]:
    """The grades of all pairs: as people gave them, or, where they left out any, drawn `DRAWS` times."""
    said = np.full(len(known), -1)
    levels = np.array(known.levels)
    said[known.labelled] = levels[known.grade]
    if (said >= 0).all():
        return [said]
    at_least = np.cumsum(chances(known)[:, ::-1], axis=1)[:, ::-1][:, 1:]
    rng = np.random.default_rng(seed)
    drawn = [levels[(at_least > rng.random((len(known), 1))).sum(axis=1)] for _ in range(DRAWS)]
    return [np.where(said >= 0, said, one) for one in drawn]


def chances(known: Population) -> Floats:
    """(pairs × levels): the chance of each grade, for a pair that people did not grade."""
    levels, strata = len(known.levels), len(known.place)
    own = known.stratum[known.labelled]
    weight = weights(known.probability, known.round, np.ones(len(own)), rest=float(len(known) - len(own))).times
    weight = weight / weight.mean()
    before = np.pad(prior(known.place, levels), ((0, 0), (1, 1)), constant_values=((0, 0), (1, 0)))
    everywhere = np.bincount(own * levels + known.grade, weight, minlength=strata * levels).reshape(strata, levels)
    everywhere = (everywhere - PSEUDO * np.diff(before, axis=1)) / (everywhere.sum(axis=1, keepdims=True) + PSEUDO)
    cell = (known.q[known.labelled] * strata + own) * levels + known.grade
    here = np.bincount(cell, weight, minlength=known.queries * strata * levels).reshape(known.queries, strata, levels)
    shares = (here + OTHERS * everywhere) / (here.sum(axis=2, keepdims=True) + OTHERS)
    return np.asarray(shares[known.q, known.stratum])
