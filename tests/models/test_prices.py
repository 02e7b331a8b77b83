"""Prices: the user's own table; what is unknown stays unknown."""

from __future__ import annotations

from pathlib import Path

import pytest

from qrelkit.core.errors import InputError, UnknownName
from qrelkit.core.records import Image
from qrelkit.core.wire import Message, Reply, Request, Settings, Shrink, picture, text
from qrelkit.models.prices import Price, Prices, read_prices, tokens_of_image, tokens_of_request, tokens_of_text


def test_cost_by_hand() -> None:
    price = Price(input=0.15, output=0.60, cached_input=0.075)
    # 600 × 0.15 + 400 × 0.075 + 200 × 0.60 = 90 + 30 + 120 = 240 millionths of a dollar
    assert price.cost(1000, 200, 400) == pytest.approx(240e-6)
    assert price.cost(1000, 200) == pytest.approx(270e-6)
    # without a price for cached tokens they cost like the others: an upper bound
    assert Price(input=0.15, output=0.60).cost(1000, 200, 400) == pytest.approx(270e-6)


def test_unknown_is_none_and_free_is_zero() -> None:
    prices = read_prices({"mine": {"input": 0, "output": 0}})
    reply = Reply(text="", tokens_in=10, tokens_out=5)
    assert prices.cost("openai:mine", reply) == 0.0
    assert prices.cost("openai:other", reply) is None
    assert prices.cost("openai:mine", Reply(text="")) is None  # the server did not count


@pytest.mark.parametrize("name", ["openai:m@2025", "openai:m@2025?{}", "openai:m", "m"])
def test_the_most_exact_name_wins(name: str) -> None:
    table = {"openai:m@2025": 1.0, "openai:m": 2.0, "m": 3.0}
    prices = read_prices({model: {"input": price, "output": price} for model, price in table.items()})
    found = prices.of(name)
    assert found is not None
    assert found.input == table[name.partition("?")[0]]
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


def test_tokens_of_images_and_requests() -> None:
    assert tokens_of_image(768, 768) == 787  # 589,824 / 750 = 786.4
    image = Image(digest="0" * 64, read=lambda: b"")
    request = Request(
        model="openai:m",
        messages=(Message("system", (text("x" * 40),)), Message("user", (text("x" * 80), picture(image, Shrink(300))))),
        settings=Settings(max_tokens=100),
    )
    # two messages of 4, texts of 10 and 20, a square of 300: 120
    assert tokens_of_request(request) == 8 + 10 + 20 + 120
