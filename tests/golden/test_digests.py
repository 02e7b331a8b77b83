"""Digests that no release may change: a change would make every stored reply and judgment unknown, and paid for again.

`digests.json` was written once by this recipe and is never regenerated. If a line here fails, the recipe changed: give the
new one a new tag (`r2:`) and keep reading the old.
"""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

from qrelkit.core.guideline import SCALES, QueryGuideline, Requirement
from qrelkit.core.records import Image
from qrelkit.core.wire import Message, Request, Schema, Settings, Shrink, digest_of, picture, text
from qrelkit.judges.guide import guide_schema
from qrelkit.judges.pointwise import verdict_schema
from qrelkit.text.prompt import read_prompt, shipped_prompts

GOLDEN = json.loads((Path(__file__).parent / "digests.json").read_text(encoding="utf-8"))
IMAGE = Image(digest="0f" * 32, read=lambda: b"")


def test_parts_and_requests() -> None:
    request = Request(
        model="openai:gpt-4o-mini@2024-07-18",
        messages=(
            Message("system", (text("Judge."),)),
            Message("user", (text("Müller & 李 — “red” dress\n"), picture(IMAGE, Shrink(max_side_px=512)), text("?"))),
        ),
        settings=Settings(temperature=0.1, max_tokens=300, seed=7),
        schema=Schema.of("verdict", {"type": "object"}),
        sample=2,
    )
    found = {"text": text("Müller").digest, "picture": picture(IMAGE, Shrink()).digest, "request": request.digest}
    assert found == GOLDEN["wire"]


def test_the_recipe_is_what_its_docstring_says() -> None:
    """Derived again with the standard library: sorted keys, no blanks, UTF-8, SHA-256, the first 32 hex digits."""
    request = Request(model="m:x", messages=(Message("user", (text("é"),)),))
    part = hashlib.sha256(b"t:" + "é".encode()).hexdigest()[:32]
    value = {
        "model": "m:x",
        "messages": [["user", [part]]],
        "settings": {"temperature": 0.0, "max_tokens": 1024},
        "schema": None,
        "sample": 0,
    }
    canonical = json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()
    assert request.digest == "r1:" + hashlib.sha256(canonical).hexdigest()[:32]


def test_a_whole_number_and_the_same_as_a_fraction_are_one_setting() -> None:
    """`temperature: 0` in YAML is an int, 0.0 in Python's default a float; canonical JSON would tell them apart."""
    whole, real = Settings(temperature=0, top_p=1), Settings(temperature=0.0, top_p=1.0)
    assert digest_of(whole.json()) == digest_of(real.json())
    assert Request(model="m:x", messages=(), settings=whole).digest == Request(model="m:x", messages=(), settings=real).digest


def test_shipped_prompts_are_never_edited_in_place() -> None:
    purposes = {"guide@1": "guide", "describe@1": "describe", "group@1": "group", "verdict@1": "verdict", "listwise@1": "order"}
    purposes |= dict.fromkeys(["hyde@1", "hyde-medical@1", "hyde-zh@1", "lamer@1", "query2doc@1", "reasoning@1"], "rewrite")
    found = {name: read_prompt(name, purposes.get(name, "judge")).digest for name in shipped_prompts()}
    assert found == GOLDEN["prompts"]


def test_scales_schemas_and_guidelines() -> None:
    own = QueryGuideline(
        query_id="q",
        query="red dress",
        requirements=(Requirement(name="colour", value="red", importance="must_have"),),
        notes={"irrelevant": "no dress"},
    )
    found = {name: digest_of(scale.json()) for name, scale in SCALES.items()}
    found |= {
        "guideline": own.version,
        "verdict schema": verdict_schema(SCALES["product-3"].labels, True).digest,
        "guide schema": guide_schema(SCALES["product-3"]).digest,
    }
    assert found == GOLDEN["guideline"]
