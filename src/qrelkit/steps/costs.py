"""What stages took, in requests, tokens, money and time: one row per stage, the same in every report.

Money that is not known is None and never 0, and so is everything reckoned from it.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from qrelkit.core.doors import Model
from qrelkit.core.wire import Reply
from qrelkit.steps.tally import NUMBERS


def cost_row(stage: str, numbers: Mapping[str, float], made: int | None = None, batch_usd: float | None = None) -> dict[str, Any]:
    """A stage's row: its `numbers` (see steps/tally.py), and

    cost_usd          null where no reply had a price; a lower bound where `unpriced` replies had none
    made              judgments, guidelines or descriptions that came of it
    each_usd          cost_usd / made; `per_1000_usd` a thousand times that
    saved_usd         what the replies that the store knew had cost
    batch_saves_usd   what the same tokens would have cost less by the provider's batch endpoint (`batch_usd` in all)
    """
    row: dict[str, Any] = {"stage": stage, **{name: numbers[name] for name in NUMBERS}}
    whole = not row["unpriced"]
    row["cost_usd"] = row["cost_usd"] if whole or row["cost_usd"] else None
    row["saved_usd"] = row["saved_usd"] if whole or row["saved_usd"] else None
    each = row["cost_usd"] / made if whole and made else None
    saves = max(0.0, row["cost_usd"] - batch_usd) if whole and batch_usd is not None else None
    thousand = None if each is None else 1000 * each
    return row | {"made": made, "each_usd": each, "per_1000_usd": thousand, "batch_saves_usd": saves}


def by_batch_usd(model: Model, numbers: Mapping[str, float]) -> float | None:
    """What so many tokens cost by the model's batch endpoint; None where its price is unknown or no other than online."""
    tokens: dict[str, Any] = {name: int(numbers[name]) for name in NUMBERS if name.startswith("tokens_")}
    online, batch = (model.cost_usd(Reply(text="", batch=batch, **tokens)) for batch in (False, True))
    return None if batch == online and online else batch
