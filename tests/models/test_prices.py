"""Prices: the user's own table; what is unknown stays unknown."""

from __future__ import annotations

import io
import json
from pathlib import Path
from typing import Any

import orjson
import pytest

from qrelkit.core.errors import InputError, UnknownName
from qrelkit.core.records import Image
from qrelkit.core.wire import Message, Reply, Request, Shrink, canonical, picture, text
from qrelkit.models.estimates import NARROW_DOUBT, WIDE_DOUBT
from qrelkit.models.image_tokens import Tiles
from qrelkit.models.price import Price, read_price
from qrelkit.models.prices import (
    Prices,
    characters,
    measured,
    read_prices,
    tokens_of_asked,
    tokens_of_request,
    tokens_of_text,
)
from qrelkit.stores.memory import MemoryStore


def replied(tokens_in: int | None = 1000, tokens_out: int | None = 200, **more: Any) -> Reply:
    return Reply(text="", tokens_in=tokens_in, tokens_out=tokens_out, **more)


def test_cost_by_hand() -> None:
    price = Price(input=0.15, output=0.60, cached_input=0.075)
    # 600 × 0.15 + 400 × 0.075 + 200 × 0.60 = 90 + 30 + 120 = 240 millionths of a dollar
    assert price.cost(replied(tokens_cached=400)) == pytest.approx(240e-6)
    assert price.cost(replied()) == pytest.approx(270e-6)
    # without a price for cached tokens they cost like the others: an upper bound
    assert Price(input=0.15, output=0.60).cost(replied(tokens_cached=400)) == pytest.approx(270e-6)
    assert price.cost(replied(tokens_out=None)) is None


def test_every_kind_of_token_has_its_price() -> None:
    price = Price(input=1.0, output=4.0, cached_input=0.1, cache_write=1.25, reasoning=8.0)
    reply = replied(1000, 200, tokens_cached=400, tokens_reasoning=150)
    # 600 · 1 + 400 · 0.1 + 50 · 4 + 150 · 8 = 600 + 40 + 200 + 1200
    assert price.cost(reply) == pytest.approx(2040e-6)
    # of the 600, 100 were written to the cache: 25 more
    assert price.cost(reply, written=100) == pytest.approx(2065e-6)
    # without a price of their own, what was thought costs like what was said: 600 + 40 + 200 · 4
    assert Price(input=1.0, output=4.0, cached_input=0.1).cost(reply) == pytest.approx(1440e-6)


def test_a_reply_by_batch_costs_the_batch_price() -> None:
    half = read_price({"input": 1.0, "output": 4.0, "cached_input": 0.5, "batch": 0.5})
    # online 600 · 1 + 400 · 0.5 + 200 · 4 = 1600; by batch half of everything
    assert half.cost(replied(tokens_cached=400)) == pytest.approx(1600e-6)
    assert half.cost(replied(tokens_cached=400, batch=True)) == pytest.approx(800e-6)
    own = read_price({"input": 1.0, "output": 4.0, "batch": {"input": 0.4, "output": 3.0}})
    assert own.cost(replied(batch=True)) == pytest.approx((400 + 600) / 1e6)
    # without a batch price the one online: an upper bound
    assert Price(input=1.0, output=4.0).cost(replied(batch=True)) == pytest.approx(1800e-6)


def test_a_price_per_picture_needs_their_number() -> None:
    price = Price(input=1.0, output=4.0, per_image=0.01)
    assert price.cost(replied()) is None  # nobody says how many pictures there were: unknown, not 0
    assert price.cost(replied(tokens_image=0)) == pytest.approx(1800e-6)
    assert price.cost(replied(), images=3) == pytest.approx(0.0318)


def test_a_price_is_read_back_from_what_the_ledger_keeps() -> None:
    row = {"input": 0.15, "output": 0.6, "cached_input": 0, "batch": 0.5, "images": {"rule": "qwen"}, "date": "2026-11-01"}
    price = read_price(row, source="https://example.org")
    assert '"cached_input":0.0,' in price.json  # free is said
    assert "reasoning" not in price.json  # unknown is not
    assert read_price(price.json) == price
    assert price.json == canonical(orjson.loads(price.json)).decode()


def test_unknown_is_none_and_free_is_zero() -> None:
    prices = read_prices({"mine": {"input": 0, "output": 0}})
    reply = Reply(text="", tokens_in=10, tokens_out=5)
    assert prices.cost("openai:mine", reply) == 0.0
    assert prices.cost("openai:other", reply) is None
    assert prices.cost("openai:mine", Reply(text="")) is None  # the server did not count


@pytest.mark.parametrize("name", ["openai:m@2025", "openai:m@2025?{}", "openai:m@2025#a/b@c?{}", "openai:m#a", "openai:m", "m"])
def test_the_most_exact_name_wins(name: str) -> None:
    table = {"openai:m@2025": 1.0, "openai:m": 2.0, "m": 3.0}
    prices = read_prices({model: {"input": price, "output": price} for model, price in table.items()})
    found = prices.of(name)
    assert found is not None
    assert found.input == table[name.partition("?")[0].partition("#")[0]]
    only = read_prices({"m": {"input": 9, "output": 9}}).of(name)
    assert only is not None
    assert only.input == 9


def test_a_table_is_read_from_yaml(tmp_path: Path) -> None:
    file = tmp_path / "prices.yaml"
    file.write_text("# dollars per million\ngpt-4o-mini: {input: 0.15, output: 0.6, cached_input: 0.075}\n", encoding="utf-8")
    assert read_prices(file) == Prices({"gpt-4o-mini": Price(input=0.15, output=0.6, cached_input=0.075)})


@pytest.mark.parametrize(
    ("lines", "says"),
    [
        ("a: {input: 1, output: 2}\nb: {input: 1}\n", r"prices.yaml:2: price of b: needs input and output"),
        ("a: {input: 1, output: -2}\n", r"prices.yaml:1: .*output must be a number of dollars from 0, not -2"),
        ("a: {input: '1', output: 2}\n", r"input must be a number"),
        ("a: {input: .nan, output: 2}\n", r"input must be a number"),
        ("- a\n", r"a mapping of model"),
        ("a: [\n", r"not readable as YAML"),
    ],
)
def test_a_broken_table_is_refused_with_its_line(tmp_path: Path, lines: str, says: str) -> None:
    file = tmp_path / "prices.yaml"
    file.write_text(lines, encoding="utf-8")
    with pytest.raises(InputError, match=says):
        read_prices(file)


HEADED = """
date: 2026-11-01
source: https://example.org/pricing
currency: EUR
rates: {EUR: 1.08, CHF: 1.2, date: 2026-10-31}
models:
  tiny: {input: 1, output: 2}
  vast: {input: 10, output: 20, batch: 0.5, date: 2026-06-01}
"""


def test_a_table_has_a_date_a_source_and_a_currency(tmp_path: Path) -> None:
    (tmp_path / "prices.yaml").write_text(HEADED, encoding="utf-8")
    prices = read_prices(tmp_path / "prices.yaml")
    tiny, vast = prices.table["tiny"], prices.table["vast"]
    assert (prices.date, prices.rates_date, tiny.date, vast.date) == ("2026-11-01", "2026-10-31", "2026-11-01", "2026-06-01")
    assert tiny.source == "https://example.org/pricing"
    # euros in the file, dollars here: 1 · 1.08 and 2 · 1.08
    assert (tiny.input, tiny.output) == pytest.approx((1.08, 2.16))
    assert vast.batch is not None
    assert vast.batch.output == pytest.approx(10.8)
    assert prices.usd(200, "EUR") == pytest.approx(216)
    assert prices.usd(5, "USD") == 5
    with pytest.raises(InputError, match=r"no rate for GBP: add it to the price file, `rates: \{GBP: DOLLARS FOR ONE\}`"):
        prices.usd(1, "GBP")


def test_a_table_of_rates_alone_and_a_model_called_models() -> None:
    assert read_prices({"rates": {"EUR": 1.08}}).usd(100, "EUR") == pytest.approx(108)
    assert read_prices({"models": {"input": 1, "output": 2}}).table == {"models": Price(input=1, output=2)}
    assert read_prices({"source": {"input": 1, "output": 2}}).table == {"source": Price(input=1, output=2)}


@pytest.mark.parametrize(
    ("lines", "says"),
    [
        ("models:\n  a: {input: 1}\n", r"prices.yaml:2: price of a: needs input and output"),
        ("models:\n  a: {input: 1, output: 1, batch: {input: 1}}\n", r"prices.yaml:2: price of a: batch: needs input and output"),
        ("models:\n  a: {input: 1, output: 1, batch: half}\n", r"batch must be a factor such as 0.5"),
        (
            "models:\n  a: {input: 1, output: 1, images: {rule: area, cap: -1}}\n",
            r"prices.yaml:2: .*cap must be a number above 0",
        ),
        ("rates: {EUR: 0}\nmodels: {}\n", r"rates: EUR must be dollars for one, above 0"),
        ("currency: EUR\nmodels: {a: {input: 1, output: 1}}\n", r"no rate for EUR"),
        ("models: [a]\n", r"models must be a mapping"),
        ("sources: x\nmodels: {a: {input: 1, output: 1}}\n", r"did you mean 'source'"),
    ],
)
def test_a_broken_table_with_a_head_is_refused(tmp_path: Path, lines: str, says: str) -> None:
    file = tmp_path / "prices.yaml"
    file.write_text(lines, encoding="utf-8")
    with pytest.raises(InputError, match=says):
        read_prices(file)


def test_an_unknown_field_names_the_near_one_and_a_missing_file_is_said(tmp_path: Path) -> None:
    with pytest.raises(UnknownName, match="did you mean 'cached_input'"):
        read_prices({"a": {"input": 1, "output": 2, "cache_input": 1}})
    with pytest.raises(InputError, match="no such file"):
        read_prices(tmp_path / "none.yaml")


@pytest.mark.parametrize(
    ("said", "tokens"),
    [
        ("", 0),
        ("x" * 400, 100),  # 400 / 4
        ("红" * 100, 100),  # 3 bytes each: wide = (300 − 100) / 2 = 100
        ("к" * 100, 63),  # 2 bytes each: wide = 50, (100 − 50) / 4 + 50 = 62.5
        ("\ud800", 1),  # half a surrogate pair is still counted
    ],
)
def test_tokens_of_a_text_are_estimated_by_script(said: str, tokens: int) -> None:
    assert tokens_of_text(said) == tokens


def square(side: int) -> bytes:
    from PIL import Image as Pillow

    out = io.BytesIO()
    Pillow.new("RGB", (side, side // 2)).save(out, "PNG")
    return out.getvalue()


def asking(*parts: Any) -> Request:
    return Request(model="openai:m", messages=(Message("system", (text("x" * 40),)), Message("user", parts)))


def test_tokens_of_images_and_requests() -> None:
    request = asking(text("x" * 80), picture(Image(digest="0" * 64, read=lambda: b""), Shrink(300)))
    # two messages of 4, texts of 10 and 20, a square of 300: 120
    assert tokens_of_request(request) == 8 + 10 + 20 + 120
    # by the model's own rule: one tile, 85 + 170
    assert tokens_of_request(request, Price(input=1, output=1, images=Tiles(base=85, tile=170))) == 8 + 10 + 20 + 255


def test_a_picture_counts_with_its_real_size_where_it_is_looked_at() -> None:
    price = Price(input=1, output=1, images=Tiles(base=85, tile=170))
    request = asking(picture(Image(digest="0" * 64, read=lambda: square(2000)), Shrink(1024)))
    # as large as it may be: 1024 × 1024, then 768 × 768, four tiles. In truth 1024 × 512: two
    assert tokens_of_request(request, price) - 18 == 85 + 4 * 170
    assert tokens_of_request(request, price, measured) - 18 == 85 + 2 * 170
    broken = asking(picture(Image(digest="1" * 64, read=lambda: b"no picture"), Shrink(1024)))
    assert tokens_of_request(broken, price, measured) - 18 == 85 + 4 * 170


def test_a_stored_conversation_counts_like_the_request() -> None:
    request = asking(text("红" * 10), picture(Image(digest="0" * 64, read=lambda: b""), Shrink(600)))
    store = MemoryStore()
    store.add_replies([(request, Reply(text="a"))])
    found = store.conversation(request.digest)
    assert found is not None
    assert tokens_of_asked(found[0]) == tokens_of_request(request) == 8 + 10 + 10 + 480
    assert tokens_of_asked({"messages": [{"role": "user", "parts": [{"type": "not kept"}]}]}) is None


def test_the_estimate_holds_for_chinese_and_for_english(data: Path) -> None:
    """Characters per token, counted once with OpenAI's o200k_base and cl100k_base (npm gpt-tokenizer): medical Chinese of CMIRB
    1.07 and 0.71, scientific English of SciFact 4.80 and 4.70. Ours lies in the range of estimates.py, and so do they."""
    for folder, per_token in (("cmirb_mini/DuBaikeRetrieval", (1.07, 0.71)), ("scifact", (4.80, 4.70))):
        lines = (data / folder / "corpus.jsonl").read_text(encoding="utf-8").splitlines()[:300]
        texts = [json.loads(line)["text"] for line in lines]
        chars, ours = sum(map(len, texts)), sum(map(tokens_of_text, texts))
        narrow, wide = map(sum, zip(*map(characters, texts), strict=True))
        low, high = (NARROW_DOUBT[end] * narrow / 4 + WIDE_DOUBT[end] * wide for end in (0, 1))
        assert low < ours < high
        for count in per_token:
            assert low < chars / count < high
