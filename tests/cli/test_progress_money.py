"""Progress says what the rest will take, in time and money, once twenty are done."""

from __future__ import annotations

from qrelkit.cli.output import _to_go
from qrelkit.steps.tally import Tally


def test_the_rest_goes_on_as_it_went() -> None:
    tally = Tally(done=100, cost_usd=2.0)
    # 300 more at 0.02 dollars and 0.1 seconds each
    assert _to_go(tally, 400, 10.0) == " · about 30.0 s and $6.00 to go"
    assert _to_go(tally, 400) == " · about $6.00 to go"


def test_nothing_is_said_of_money_that_is_unknown_and_nothing_too_early_or_at_the_end() -> None:
    assert _to_go(Tally(done=100, unpriced=100), 400, 10.0) == " · about 30.0 s to go"
    assert _to_go(Tally(done=100, unpriced=100), 400) == ""
    assert _to_go(Tally(done=19, cost_usd=2.0), 400, 10.0) == ""
    assert _to_go(Tally(done=400, cost_usd=2.0), 400, 10.0) == ""
