"""What every model promises, held over all that ship: core/doors.py `Model`."""

from __future__ import annotations

import asyncio
import gc
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from qrelkit.core.doors import Model
from qrelkit.core.errors import ModelError
from qrelkit.core.wire import Message, Reply, Request, Schema, Settings, text
from qrelkit.models.anthropic import Anthropic
from qrelkit.models.gemini import Gemini
from qrelkit.models.openai_compatible import OpenAICompatible
from qrelkit.models.replay import Replay, write_replay
from qrelkit.models.scripted import Scripted, last_user_text
from servers.anthropic import AnthropicServer
from servers.chat import ChatServer, failing
from servers.gemini import GeminiServer

KINDS = ("openai", "anthropic", "gemini", "scripted", "replay")


def asking(name: str, said: str, **more: object) -> Request:
    return Request(model=name, messages=(Message("system", (text("Repeat."),)), Message("user", (text(said),))), **more)


def repeated(request: Request) -> str:
    if "fail" in (said := last_user_text(request)):
        raise AssertionError("asked in the wrong test")
    return said


@pytest.fixture(params=KINDS)
def model(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Model]:
    """A model that repeats what the user says."""
    if request.param == "openai":
        with ChatServer(lambda body: body["messages"][-1]["content"]) as server:
            yield OpenAICompatible("openai:echo", base_url=server.url)
    elif request.param == "anthropic":
        with AnthropicServer(lambda body: body["messages"][-1]["content"][-1]["text"]) as server:
            yield Anthropic("anthropic:echo", base_url=server.base)
    elif request.param == "gemini":
        with GeminiServer(lambda body: body["contents"][-1]["parts"][-1]["text"]) as server:
            yield Gemini("gemini:echo", base_url=server.base)
    elif request.param == "scripted":
        yield Scripted("scripted:echo", repeated)
    else:
        rows = [(asking("openai:echo", said), Reply(text=said)) for said in ("one", "two", "größer ☃")]
        write_replay(tmp_path / "r.jsonl", rows)
        yield Replay(tmp_path / "r.jsonl")


@pytest.fixture(params=KINDS)
def mute(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Model]:
    """A model that cannot answer."""
    if request.param == "openai":
        with ChatServer() as server:
            server.next(*[failing(500, "down")] * 5)
            yield OpenAICompatible("openai:echo", base_url=server.url)
    elif request.param == "anthropic":
        with AnthropicServer() as server:
            server.next(*[failing(500, "down")] * 5)
            yield Anthropic("anthropic:echo", base_url=server.base)
    elif request.param == "gemini":
        with GeminiServer() as server:
            server.next(*[failing(500, "down")] * 5)
            yield Gemini("gemini:echo", base_url=server.base)
    elif request.param == "scripted":
        yield Scripted("scripted:mute", ())
    else:
        (tmp_path / "r.jsonl").write_text("", encoding="utf-8")
        yield Replay(tmp_path / "r.jsonl", "openai:echo")


def run(model: Model, talk: Callable[[], object]) -> object:
    async def closing() -> object:
        try:
            return await talk()
        finally:
            await model.close()

    return asyncio.run(closing())


def test_it_is_a_model_and_named_with_its_provider(model: Model) -> None:
    assert isinstance(model, Model)
    provider, colon, name = model.name.partition(":")
    assert provider
    assert colon
    assert name
    assert model.at_most >= 1
    assert model.name in repr(model)


def test_replies_come_in_the_order_of_the_requests(model: Model) -> None:
    said = ["two", "one", "größer ☃", "two"]
    replies = run(model, lambda: model.replies([asking(model.name, s) for s in said]))
    assert [r.text for r in replies] == said
    assert {r.outcome for r in replies} == {"answered"}
    assert not any(r.known for r in replies)


def test_many_calls_may_be_on_their_way_together(model: Model) -> None:
    said = ["one", "two"] * 20

    async def together() -> list[str]:
        replies = await asyncio.gather(*(model.replies([asking(model.name, s)]) for s in said))
        return [reply.text for (reply,) in replies]

    assert run(model, together) == said


def test_it_may_be_closed_twice_and_used_again_in_another_loop(model: Model) -> None:
    for _ in range(2):
        (reply,) = run(model, lambda: model.replies([asking(model.name, "one")]))
        assert reply.text == "one"
    run(model, model.close)


@pytest.mark.filterwarnings("ignore:unclosed:ResourceWarning")
def test_a_loop_that_ended_without_closing_does_not_break_it(model: Model) -> None:
    async def forgetful() -> None:
        await model.replies([asking(model.name, "one")])

    asyncio.run(forgetful())
    (reply,) = run(model, lambda: model.replies([asking(model.name, "two")]))
    assert reply.text == "two"
    gc.collect()  # what was forgotten is reclaimed here, where its warning is expected


def test_no_reply_is_a_model_error_in_words(mute: Model) -> None:
    with pytest.raises(ModelError) as error:
        run(mute, lambda: mute.replies([asking(mute.name, "fail")]))
    assert len(str(error.value)) > 10


def test_an_unknown_price_is_none_and_never_zero(model: Model) -> None:
    (reply,) = run(model, lambda: model.replies([asking(model.name, "one")]))
    assert reply.cost_usd is None
    assert model.cost_usd(reply) is None


def test_the_request_is_not_changed_by_asking(model: Model) -> None:
    schema = Schema.of("v", {"type": "object", "properties": {}, "required": [], "additionalProperties": False})
    request = asking(model.name, "one")
    before = request.envelope()
    run(model, lambda: model.replies([request]))
    assert request.envelope() == before
    other = asking(model.name, "one", schema=schema, settings=Settings(temperature=None))
    assert other.digest != request.digest
