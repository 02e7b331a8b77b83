"""What requests share at their beginning: the share by hand, and that every judge's requests begin alike, byte for byte."""

from __future__ import annotations

import math
from typing import Any

import pytest

from judges.talking import QUERY, pairs
from qrelkit.core.guideline import SCALES, Guideline, QueryGuideline, Requirement
from qrelkit.core.records import Document, Image, Pair
from qrelkit.core.wire import Message, Request, text
from qrelkit.judges.groupwise import Groupwise
from qrelkit.judges.pointwise import Example, Look, Pointwise
from qrelkit.judges.prefix import prefix_share
from qrelkit.models.chat_format import messages
from qrelkit.models.prices import tokens_of_request
from qrelkit.text.prompt import read_prompt


def characters(request: Request) -> float:
    return sum(len(part.text) for message in request.messages for part in message.parts)  # type: ignore[union-attr]


def asked(system: str, *said: str, model: str = "m:x") -> Request:
    return Request(model=model, messages=(Message("system", (text(system),)), Message("user", tuple(map(text, said)))))


def test_the_share_by_hand() -> None:
    requests = [
        asked("ssss", "qq", "dddd"),  # 10 characters, nothing known
        asked("ssss", "qq", "eeee"),  # 10, of which 6 known
        asked("ssss", "rr", "dddd"),  # 10, of which 4 known: dddd is not at the beginning
        asked("ssss", "rr", "dddd"),  # 10, all known
        asked("ssss", "qq", "dddd", model="m:y"),  # 10, another model's cache knows nothing
    ]
    assert prefix_share(requests, characters) == pytest.approx((6 + 4 + 10) / 50)
    assert prefix_share(requests, characters, at_least=6) == pytest.approx((6 + 10) / 50)
    assert math.isnan(prefix_share([], characters))


def test_the_same_words_in_another_role_are_another_beginning() -> None:
    one = Request(model="m:x", messages=(Message("system", (text("a"),)),))
    other = Request(model="m:x", messages=(Message("user", (text("a"),)),))
    assert prefix_share([one, other], characters) == 0


OWN = QueryGuideline(
    query_id="q1",
    query="red dress",
    translation="red dress",
    requirements=(Requirement(name="colour", value="red", importance="must_have"),),
    notes={"irrelevant": "no dress"},
)
IMAGE = Image(digest="ab" * 32, read=lambda: b"", caption="front")
EXAMPLE = Example(query=QUERY, document=Document(doc_id="e", text="an example", fingerprint="fe"), grade=2)


@pytest.mark.parametrize("kind", ["pointwise", "with examples", "shown", "group", "group shown"])
def test_every_request_of_a_query_begins_with_the_same_bytes(kind: str) -> None:
    options: dict[str, Any] = {"look": Look(route="shown" if "shown" in kind else "text")}
    if kind == "with examples":
        options["examples"] = {"q1": [EXAMPLE, EXAMPLE]}
    guideline = Guideline(scale=SCALES["product-3"], instructions="Be strict.", queries={"q1": OWN})
    if kind.startswith("group"):
        judge: Pointwise = Groupwise("m:x", guideline, read_prompt("group", "group"), per_request=2, **options)
    else:
        judge = Pointwise("m:x", guideline, read_prompt("pointwise"), **options)
    some = pairs(4)
    pictured = Document(doc_id="d5", text="with a picture", images=(IMAGE,), fingerprint="f5")
    some.append(Pair(query=some[0].query, document=pictured))
    requests = list(next(judge.flow(some)))
    if "shown" in kind:
        requests = requests[:-1]  # with a picture a message is a list: below is compared what is text alone
    bodies = [messages(request, {}) for request in requests]
    differ = next(i for i, some_bytes in enumerate(zip(*bodies, strict=False)) if len(set(some_bytes)) > 1)
    shared = bodies[0][:differ].decode()
    assert "irrelevant: no dress" in shared  # system text, query and guideline, to the end
    assert shared.count("People gave it") == (2 if kind == "with examples" else 0)
    tokens = prefix_share(requests, tokens_of_request)
    assert tokens > 0.5 * (len(requests) - 1) / len(requests)


def test_a_query_s_own_picture_stands_in_what_is_shared() -> None:
    query = type(QUERY)(query_id="q1", text="like this", images=(IMAGE,), fingerprint="fq")
    judge = Pointwise("m:x", Guideline(scale=SCALES["product-3"]), read_prompt("pointwise"), look=Look(route="shown"))
    requests = [next(judge.flow([Pair(query=query, document=pair.document)]))[0] for pair in pairs(2)]
    first, second = ([part.digest for m in request.messages for part in m.parts] for request in requests)
    assert [a == b for a, b in zip(first, second, strict=True)] == [True, True, True, False, True]
