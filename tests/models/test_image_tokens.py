"""Tokens of pictures by each vendor's published rule; the examples are the vendors' own unless a comment derives them."""

from __future__ import annotations

from typing import Any

import pytest

from qrelkit.core.errors import InputError, UnknownName
from qrelkit.models.image_tokens import Area, Flat, Patches, Qwen, Tiles, covering, read_rule, rule_row
from qrelkit.models.price import Price
from qrelkit.models.prices import tokens_of_image

GPT_4O = Tiles(base=85, tile=170)
GPT_4O_MINI = Tiles(base=2833, tile=5667)


@pytest.mark.parametrize(
    ("size", "tokens"),
    [
        ((1024, 1024), 765),  # OpenAI: 768 × 768, four tiles: 170 · 4 + 85
        ((2048, 4096), 1105),  # OpenAI: 1024 × 2048, then 768 × 1536, six tiles: 170 · 6 + 85
        ((512, 512), 255),  # one tile: 170 + 85
        ((513, 512), 425),  # one pixel more begins a second tile: 170 · 2 + 85
        ((10, 4000), 765),  # 5.12 × 2048, never enlarged: 1 × 4 tiles
    ],
)
def test_tiles_are_those_of_gpt_4o(size: tuple[int, int], tokens: int) -> None:
    assert GPT_4O.tokens(*size) == tokens
    assert GPT_4O.tokens(*size[::-1]) == tokens  # upright or not is all the same


def test_a_cheap_model_bills_a_picture_higher_than_a_dear_one() -> None:
    # 768 × 768: 4 tiles. gpt-4o 85 + 4 · 170 = 765 tokens, gpt-4o-mini 2833 + 4 · 5667 = 25,501
    dear, cheap = Price(input=2.50, output=10.0, images=GPT_4O), Price(input=0.15, output=0.60, images=GPT_4O_MINI)
    assert dear.images is not None
    assert cheap.images is not None
    tokens = dear.images.tokens(768, 768), cheap.images.tokens(768, 768)
    assert tokens == (765, 25_501)
    # 765 · 2.50 = 1,912.5 millionths of a dollar; 25,501 · 0.15 = 3,825.15: twice as much, at a 17th of the price
    assert [t * p.input for t, p in zip(tokens, (dear, cheap), strict=True)] == pytest.approx([1912.5, 3825.15])


@pytest.mark.parametrize(
    ("size", "tokens"),
    [
        ((1024, 1024), 1024),  # OpenAI: 32 · 32
        ((1800, 2400), 1452),  # OpenAI: shrunk to 33 · 44
        ((1, 1), 1),
        ((33, 32), 2),
        ((20_000, 20), 625),  # 625 · 1, below the cap
    ],
)
def test_patches_are_those_of_gpt_4_1_mini(size: tuple[int, int], tokens: int) -> None:
    assert Patches().tokens(*size) == tokens


def test_patches_are_multiplied_and_rounded_up() -> None:
    assert Patches(multiplier=1.62).tokens(1024, 1024) == 1659  # 1024 · 1.62 = 1658.88
    assert Patches(multiplier=2.46).tokens(1800, 2400) == 3572  # 1452 · 2.46 = 3571.92
    assert Patches(multiplier=1.2).tokens(320, 320) == 120  # 100 · 1.2, and no hair beyond it


@pytest.mark.parametrize(("size", "tokens"), [((512, 512), 361), ((1024, 1024), 1369), ((1280, 720), 1196), ((1092, 1092), 1521)])
def test_patches_of_28_px_are_those_of_claude(size: tuple[int, int], tokens: int) -> None:
    """⌈w/28⌉ · ⌈h/28⌉: 19², 37², 46 · 26, 39²; the first three as others measured them (less 65 tokens of text)."""
    assert Patches(patch_px=28, cap=1568, long_px=1568).tokens(*size) == tokens


def test_no_picture_has_more_patches_than_the_cap() -> None:
    claude, openai = Patches(patch_px=28, cap=1568, long_px=1568), Patches()
    for size in ((1920, 1080), (4032, 3024), (8000, 8000), (8000, 300), (1585, 1570)):
        assert 0 < claude.tokens(*size) <= 1568
        assert 0 < openai.tokens(*size) <= 1536


@pytest.mark.parametrize(
    ("size", "tokens"),
    [
        ((200, 200), 54),  # Anthropic: ~54; 40,000 / 750 = 53.3
        ((1000, 1000), 1334),  # Anthropic: ~1334
        ((1092, 1092), 1590),  # Anthropic: ~1590
        ((784, 1568), 1600),  # 1639 without the bound
        ((3136, 300), 314),  # 1568 × 150 / 750 = 313.6
    ],
)
def test_area_is_that_of_claude_3(size: tuple[int, int], tokens: int) -> None:
    assert Area().tokens(*size) == tokens


@pytest.mark.parametrize(
    ("size", "tokens"),
    [
        ((384, 384), 258),
        ((960, 540), 1548),  # Google: unit 360, 3 · 2 tiles
        ((768, 768), 1032),  # unit 512, 2 · 2 tiles
        ((3840, 2160), 3870),  # unit 1440, at most 768: 5 · 3 tiles
        ((2000, 100), 2064),  # unit 66, at least 256: 8 · 1 tiles
    ],
)
def test_flat_is_that_of_gemini_2(size: tuple[int, int], tokens: int) -> None:
    assert Flat().tokens(*size) == tokens


def test_flat_without_tiles_is_one_number() -> None:
    assert Flat(tokens_each=1120, tile_px=0).tokens(4000, 3000) == 1120


@pytest.mark.parametrize(
    ("size", "tokens"),
    [
        ((768, 768), 729),  # 768 / 28 = 27.4: 27²
        ((10, 10), 4),  # grown to the least
        ((280, 140), 50),  # 10 · 5
    ],
)
def test_qwen_rounds_to_whole_patches(size: tuple[int, int], tokens: int) -> None:
    assert Qwen().tokens(*size) == tokens


def test_qwen_keeps_to_the_most_it_may_take() -> None:
    # 4000 · 3000 / 28² = 15,306 patches; shrunk by √(15,306 / 1280) = 3.458: ⌊41.3⌋ · ⌊30.98⌋ = 41 · 30
    assert Qwen(most=1280).tokens(4000, 3000) == 1230


def test_where_no_rule_is_known_a_picture_counts_by_its_area() -> None:
    assert tokens_of_image(768, 768) == 787  # 589,824 / 750 = 786.4


def test_covering_ignores_what_scaling_leaves_over() -> None:
    assert (covering(1024.0000000000001, 512), covering(1024.01, 512), covering(0.2, 512)) == (2, 3, 1)


@pytest.mark.parametrize(
    "row",
    [
        {"rule": "tiles", "base": 85, "tile": 170, "tile_px": 512, "long_px": 2048, "short_px": 768},
        {"rule": "patches", "patch_px": 28, "cap": 1568, "multiplier": 1.0, "long_px": 1568},
        {"rule": "area", "px_per_token": 750, "long_px": 1568, "cap": 1600},
        {"rule": "flat", "tokens": 258, "small_px": 384, "tile_px": 768},
        {"rule": "qwen", "patch_px": 28, "least": 4, "most": 1280},
    ],
)
def test_a_rule_is_read_from_its_row_and_written_back(row: dict[str, Any]) -> None:
    assert rule_row(read_rule(row, "here")) == row


@pytest.mark.parametrize(
    ("row", "says"),
    [
        ({"base": 85}, "here: images needs a rule"),
        ({"rule": "tiles", "base": 85}, "needs base and tile; tile missing"),
        ({"rule": "patches", "cap": 0}, "cap must be a number above 0, not 0"),
        ({"rule": "area", "cap": True}, "cap must be a number"),
        (765, "images needs a rule"),
    ],
)
def test_a_broken_rule_is_refused(row: Any, says: str) -> None:
    with pytest.raises(InputError, match=says):
        read_rule(row, "here")


def test_near_names_are_offered() -> None:
    with pytest.raises(UnknownName, match="did you mean 'tiles'"):
        read_rule({"rule": "tile"}, "here")
    with pytest.raises(UnknownName, match="did you mean 'tile_px'"):
        read_rule({"rule": "tiles", "base": 1, "tile": 1, "tilepx": 512}, "here")
