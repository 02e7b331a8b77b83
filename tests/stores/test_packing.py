"""Values come out of a column as they went in."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from qrelkit.stores.packing import (
    clean,
    pack,
    probabilities_json,
    read_probabilities,
    request_blob,
    request_digest,
    unpack,
)


@given(st.binary(max_size=400), st.integers(0, 500))
def test_unpack_undoes_pack(data, longer_than):
    assert unpack(pack(data, longer_than)) == data


@given(st.binary(max_size=50))
def test_data_that_looks_deflated_is_not_mistaken(tail):
    assert unpack(pack(b"x\x01" + tail, 1_000)) == b"x\x01" + tail


def test_only_long_data_that_gets_shorter_is_deflated():
    assert pack(b"a" * 200, 200) == b"a" * 200
    assert len(pack(b"a" * 201, 200)) < 30
    noise = bytes(range(256))  # every byte once: nothing to gain
    assert pack(noise, 200) == noise


def test_a_request_digest_takes_17_bytes_and_shows_its_recipe():
    assert request_blob("r1:" + "0f" * 16) == b"\x01" + b"\x0f" * 16
    assert request_blob("r2:" + "0f" * 16) != request_blob("r1:" + "0f" * 16)


@pytest.mark.parametrize(
    "digest", ["r1:" + "0f" * 16, "r31:" + "ab" * 16, "r32:" + "ab" * 16, "r1:" + "0F" * 16, "r1:0", "", "ü"]
)
def test_any_request_digest_comes_back(digest):
    assert request_digest(request_blob(digest)) == digest


@pytest.mark.parametrize("token", ["a", "ü", "\ud83d", "\0"])
def test_token_probabilities_come_back_with_the_logarithm_of_nothing(token):
    tokens = ((token, {token: -0.25, "b": -math.inf}), ("", {}))
    assert read_probabilities(probabilities_json(tokens)) == tokens


def test_clean_touches_only_what_cannot_be_held():
    assert clean("plain") == "plain"
    assert clean("grün 👟\n") == "grün 👟\n"
    assert clean("a\0\udfffb") == "a\ufffd\ufffdb"
