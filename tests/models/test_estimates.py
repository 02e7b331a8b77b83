"""Estimates: a wide guess, refitted after twenty replies. All expected numbers by hand."""

from __future__ import annotations

import math
from typing import Any

import pytest

from qrelkit.core.records import Image
from qrelkit.core.wire import Limits, Message, Reply, Request, Settings, Shrink, picture, text
from qrelkit.models.estimates import Use, guess, hours_of_work, money, outlook, refit, share_of
from qrelkit.models.image_tokens import Tiles
from qrelkit.models.price import Price

USE = Use(tokens_in=(100, 200), tokens_out=(10, 40), estimated=150)


def asked(*parts: Any, max_tokens: int | None = 1024) -> Request:
    return Request(model="openai:m", messages=(Message("user", parts),), settings=Settings(max_tokens=max_tokens))


def replied(tokens_in: int, tokens_out: int = 50, latency_s: float | None = 2.0, **more: Any) -> Reply:
    return Reply(text="", tokens_in=tokens_in, tokens_out=tokens_out, latency_s=latency_s, **more)


# guess


def test_a_guess_is_wide_and_knows_scripts() -> None:
    english = guess([asked(text("x" * 396))])  # 99 tokens and 4 of the message
    assert english.estimated == 103
    assert english.tokens_in == pytest.approx((4 + 0.65 * 99, 4 + 1.25 * 99))
    assert english.tokens_out == (40, 400)
    chinese = guess([asked(text("红" * 96))])
    assert chinese.estimated == 100
    assert chinese.tokens_in == pytest.approx((4 + 0.75 * 96, 4 + 1.7 * 96))


def test_a_reply_is_no_longer_than_it_may_be() -> None:
    assert guess([asked(text("x"), max_tokens=60)]).tokens_out == (40, 60)
    assert guess([asked(text("x"), max_tokens=None)]).tokens_out == (40, 400)


def test_requests_of_different_length_widen_the_guess() -> None:
    use = guess([asked(text("x" * 384)), asked(text("x" * 784))])  # 96 + 4 and 196 + 4: mean 150, standard error 50
    assert (use.estimated, use.error) == pytest.approx((150, 50))
    # ± 2 · 50 / 150 around the ends 4 + 0.65 · 146 and 4 + 1.25 · 146
    assert use.tokens_in == pytest.approx(((4 + 0.65 * 146) / 3, (4 + 1.25 * 146) * 5 / 3))


def test_pictures_are_narrow_by_a_rule_and_wide_without() -> None:
    shown = asked(picture(Image(digest="0" * 64, read=lambda: b""), Shrink(600)))
    assert guess([shown]).tokens_in == pytest.approx((4 + 0.5 * 480, 4 + 2 * 480))  # 600 · 600 / 750 = 480
    price = Price(input=1, output=1, images=Tiles(base=2833, tile=5667))
    # 600 × 600 is four tiles: 25,501
    assert guess([shown], price).tokens_in == pytest.approx((4 + 0.95 * 25_501, 4 + 1.1 * 25_501))
    assert guess([shown]).pictures == 1


def test_a_latency_that_was_probed_is_a_range() -> None:
    assert guess([asked(text("x"))], latency_s=2.0).latency_s == pytest.approx((1.4, 4.0))
    assert guess([asked(text("x"))]).latency_s is None


# refit


def test_twenty_replies_are_believed_more_than_the_guess() -> None:
    use = guess([asked(text("x" * 396))])  # 103
    # our count was 100, theirs alternately 116 and 124: Σ counted / Σ ours = 1.2; residuals ± 4, so the standard error of the
    # ratio is √(20 · 16 / 19 / 20) / 100 = 0.00918, of which two are less than 3 % of 1.2
    seen = [(100.0, replied(116 + 8 * (i % 2), 50, 2.0)) for i in range(20)]
    fitted = refit(use, seen)
    assert fitted.replies == 20
    assert fitted.tokens_in == pytest.approx((103 * 1.2 * 0.97, 103 * 1.2 * 1.03))
    assert fitted.tokens_out == pytest.approx((50 * 0.97, 50 * 1.03))
    assert fitted.latency_s == pytest.approx((2.0 * 0.97 * 0.9, 2.0 * 1.03 * 1.5))


def test_replies_that_differ_leave_a_wide_range() -> None:
    use = Use(tokens_in=(0, 1), tokens_out=(0, 1), estimated=100)
    seen = [(100.0, replied(50 + 100 * (i % 2), 20 + 60 * (i % 2))) for i in range(20)]
    fitted = refit(use, seen)
    # ratio 1, residuals ± 50: standard error √(20 · 2500 / 19 / 20) = 11.47 tokens of 100
    reach = 2 * math.sqrt(2500 / 19)
    assert fitted.tokens_in == pytest.approx((100 - reach, 100 + reach))
    assert fitted.tokens_out == pytest.approx((50 - 0.6 * reach, 50 + 0.6 * reach))  # ± 30 instead of ± 50


def test_fewer_than_twenty_counted_replies_change_nothing() -> None:
    seen = [(100.0, replied(120)) for _ in range(19)] + [(100.0, Reply(text="no count"))]
    assert refit(USE, seen) == USE
    assert refit(USE, []) == USE


def test_what_was_cached_is_cached_again_and_batches_say_nothing_of_latency() -> None:
    seen = [(100.0, replied(100, tokens_cached=60, batch=True, latency_s=7200.0)) for _ in range(20)]
    fitted = refit(USE, seen)
    assert fitted.cached == pytest.approx((0.54, 0.6))
    assert fitted.latency_s is None


# money and time


def test_money_is_a_range_and_unknown_without_a_price() -> None:
    price = Price(input=1.0, output=2.0, batch=Price(input=0.5, output=1.0))
    # 1000 · (100 · 1 + 10 · 2) and 1200 · (200 · 1 + 40 · 2), in millionths
    assert money(USE, (1000, 1200), price.cost) == pytest.approx((0.12, 0.336))
    assert money(USE, (1000, 1200), price.cost, batch=True) == pytest.approx((0.06, 0.168))
    assert money(USE, (1000, 1200), lambda reply: None) is None


def test_money_knows_of_caching() -> None:
    use = Use(tokens_in=(100, 200), tokens_out=(0, 0), estimated=150, cached=(0.5, 0.6))
    price = Price(input=1.0, output=2.0, cached_input=0.1)
    # low: 40 + 60 · 0.1 = 46; high, less of it cached: 100 + 100 · 0.1 = 110
    assert money(use, (1, 1), price.cost) == pytest.approx((46e-6, 110e-6))


def test_time_is_the_slowest_of_latency_and_limits() -> None:
    use = Use(tokens_in=(100, 200), tokens_out=(10, 40), estimated=150, latency_s=(1.0, 2.0))
    assert hours_of_work(USE, (1000, 1200), 10) is None
    # 1000 / 10 · 1 s and 1200 / 10 · 2 s
    assert hours_of_work(use, (1000, 1200), 10) == pytest.approx((100, 240))
    # 100 requests a minute: 10 and 12 minutes
    assert hours_of_work(use, (1000, 1200), 10, Limits(requests_per_minute=100)) == pytest.approx((600, 720))
    # 12,000 tokens a minute: 1000 · 110 and 1200 · 240 of them
    limits = Limits(requests_per_minute=100, tokens_per_minute=12_000)
    assert hours_of_work(use, (1000, 1200), 10, limits) == pytest.approx((600, 60 * 1200 * 240 / 12_000))
    # a few at once take one latency, none takes none
    assert hours_of_work(use, (3, 3), 10) == pytest.approx((1, 2))
    assert hours_of_work(use, (0, 0), 10) == (0, 0)


def test_a_share_of_none_is_not_sure_to_be_none() -> None:
    assert share_of(0, 30) == pytest.approx((0, 0.1))  # the rule of three
    assert share_of(30, 30) == pytest.approx((0.9, 1))
    assert share_of(10, 40) == pytest.approx((0.25 - 2 * math.sqrt(0.25 * 0.75 / 40), 0.25 + 2 * math.sqrt(0.25 * 0.75 / 40)))


def test_the_outlook_goes_on_as_it_went() -> None:
    assert outlook(19, 1000, 1.0, 10.0) is None
    assert outlook(100, 1000, 1.0, 10.0) == pytest.approx((9.0, 90.0))
    assert outlook(1000, 1000, 1.0, 10.0) == (0, 0)
