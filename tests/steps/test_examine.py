"""`examine` finds planted faults by name, sees none in honest models, and never takes more than twelve calls."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable
from typing import Any

import pytest

from qrelkit.core.errors import InputError
from qrelkit.core.wire import Reply, Request, Text
from qrelkit.models.openai_compatible import OpenAICompatible
from qrelkit.models.prices import read_prices
from qrelkit.models.scripted import Scripted
from qrelkit.steps.examination import questions
from qrelkit.steps.examine import Examination, conversation, examine
from qrelkit.steps.findings import same_model
from qrelkit.steps.heard import Needs
from servers.chat import dropped, failing, rate_limited
from servers.examined import Body, Examined, blank, pictures_changed, remembering, text_of, texts_changed, without_system

MODEL = "openai:tiny-vl"


def examined(server: Examined, **options: Any) -> Examination:
    """An examination of the model behind a server, which has counted the calls itself."""
    with server:
        found = examine(OpenAICompatible(MODEL, base_url=server.url), nonce="a nonce", **options)
        assert len(server.bodies) <= 12
        assert found.calls == len(server.bodies)
    return found


def wrong(found: Examination) -> set[str]:
    return {one.name for one in found.findings if one.verdict == "WRONG"}


def absent(found: Examination) -> set[str]:
    return {one.name for one in found.findings if one.verdict == "no"}


# faults


def usage(tokens_in: float, tokens_out: float = 1.0) -> Callable[[Body, Body], Body]:
    def tell(completion: Body, body: Body) -> Body:
        counts = completion["usage"]
        counts |= {
            "prompt_tokens": int(counts["prompt_tokens"] * tokens_in),
            "completion_tokens": int(counts["completion_tokens"] * tokens_out),
        }
        return completion

    return tell


def no_usage(completion: Body, body: Body) -> Body:
    del completion["usage"]
    return completion


def always_stop(completion: Body, body: Body) -> Body:
    completion["choices"][0]["finish_reason"] = "stop"
    return completion


def several_names() -> Callable[[Body, Body], Body]:
    names = itertools.cycle(("tiny-vl", "tiny-vl-lite"))
    return lambda completion, body: completion | {"model": next(names)}


def near(logps: Callable[[int], float]) -> Callable[[Body, Body], Body]:
    """Of each token three alternatives with these log probabilities."""

    def tell(completion: Body, body: Body) -> Body:
        for token in (completion["choices"][0]["logprobs"] or {"content": ()})["content"]:
            token["logprob"] = logps(0)
            token["top_logprobs"] = [{"token": f"{token['token']}{n}", "logprob": logps(n)} for n in range(3)]
        return completion

    return tell


def no_logprobs(completion: Body, body: Body) -> Body:
    completion["choices"][0]["logprobs"] = None
    return completion


def refusing(completion: Body, body: Body) -> Body:
    completion["choices"][0]["message"] |= {"content": None, "refusal": "I cannot help with that."}
    return completion


def middle_out(text: str) -> str:
    return text if len(text) < 6000 else text[:3000] + text[-3000:]


def no_limit(body: Body) -> Body:
    return body | {"max_tokens": None}


def jsonlike(text: str, body: Body) -> str:
    return text.replace('"', "'") if "response_format" in body else text


def unstable() -> Callable[[str, Body], str]:
    numbers = itertools.count()
    return lambda text, body: text.replace("\n", f"\n{next(numbers)}", 1)


def broken(text: str) -> str:
    return text.encode("utf-8").decode("latin-1")


FAULTS: dict[str, tuple[str, Callable[[], Examined], dict[str, Any]]] = {
    "cut at the front": ("context", lambda: Examined(see=texts_changed(lambda text: text[-6000:])), {}),
    "cut at the end": ("context", lambda: Examined(see=texts_changed(lambda text: text[:6000])), {}),
    "cut in the middle": ("context", lambda: Examined(see=texts_changed(middle_out)), {}),
    "context too short for the project": ("context", lambda: Examined(context=3000), {"context_tokens": 5000}),
    "one picture dropped": ("pictures", lambda: Examined(see=pictures_changed(lambda p: [p[0], *p[2:]])), {}),
    "only the first picture": ("pictures", lambda: Examined(see=pictures_changed(lambda p: p[:1])), {}),
    "only the last picture": ("pictures", lambda: Examined(see=pictures_changed(lambda p: p[-1:])), {}),
    "pictures in another order": ("pictures", lambda: Examined(see=pictures_changed(lambda p: p[::-1])), {}),
    "pictures blank": (
        "pictures",
        lambda: Examined(see=pictures_changed(lambda p: [{"type": "image_url", "image_url": {"url": blank()}} for _ in p])),
        {},
    ),
    "the project shows pictures": ("pictures", lambda: Examined(images=0), {"needs": Needs(images=1)}),
    "another model": ("served model", lambda: Examined(served="tiny-vl-lite"), {}),
    "another revision": ("served model", lambda: Examined(served="tiny-2024-01-01"), {}),
    "several models": ("served model", lambda: Examined(tell=several_names()), {}),
    "schema ignored": ("schema", lambda: Examined(schema=False), {}),
    "schema makes broken JSON": ("schema", lambda: Examined(say=jsonlike), {}),
    "old answer from a cache": (
        "fresh answers",
        lambda: Examined(say=remembering(lambda body: text_of(body["messages"][-1])[:60])),
        {},
    ),
    "one answer for all": ("fresh answers", lambda: Examined(say=remembering(lambda body: "")), {}),
    "samples are copies": (
        "samples",
        lambda: Examined(say=remembering(lambda body: (str(body["messages"]), body["temperature"]))),
        {"needs": Needs(samples=True)},
    ),
    "system text ignored": ("system text", lambda: Examined(see=without_system), {}),
    "nothing counted": ("token counts", lambda: Examined(tell=no_usage), {}),
    "counted far too low": ("token counts", lambda: Examined(tell=usage(0.2)), {}),
    "counted far too high": ("token counts", lambda: Examined(tell=usage(3.0)), {}),
    "answers counted far too low": ("token counts", lambda: Examined(tell=usage(1.0, 0.05)), {}),
    "finish reason always stop": ("length limit", lambda: Examined(tell=always_stop), {}),
    "max_tokens ignored": ("length limit", lambda: Examined(see=no_limit), {}),
    "probabilities that sum to 2": ("token probabilities", lambda: Examined(tell=near(lambda n: math.log(0.67))), {}),
    "probabilities that are all equal": ("token probabilities", lambda: Examined(tell=near(lambda n: math.log(0.1))), {}),
    "the project wants probabilities": (
        "token probabilities",
        lambda: Examined(tell=no_logprobs),
        {"needs": Needs(token_probabilities=True)},
    ),
    "refuses everything": ("answers", lambda: Examined(tell=refusing), {}),
    "declines in words": ("answers", lambda: Examined(say=lambda text, body: "I'm sorry, I can't assist with that."), {}),
    "empty answers": ("answers", lambda: Examined(say=lambda text, body: ""), {}),
    "repeats the prompt": ("answers", lambda: Examined(say=lambda text, body: text_of(body["messages"][-1])), {}),
    "cuts answers and says stop": ("whole answers", lambda: Examined(say=lambda text, body: text[:16]), {}),
    "cuts answers and says length": ("whole answers", lambda: Examined(see=lambda body: body | {"max_tokens": 8}), {}),
    "letters destroyed in the prompt": ("letters", lambda: Examined(see=texts_changed(broken)), {}),
    "letters destroyed in the answer": (
        "letters",
        lambda: Examined(say=lambda text, body: text.encode("ascii", "replace").decode()),
        {},
    ),
    "the project has a budget": ("price", Examined, {"needs": Needs(price=True)}),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_a_planted_fault_is_found_by_name_and_no_other(fault: str) -> None:
    name, server, options = FAULTS[fault]
    found = examined(server(), **options)
    assert not found.sound
    assert wrong(found) == {name}, found.findings


# honest models


HONEST: dict[str, tuple[Callable[[], Examined], set[str]]] = {
    "text only, no schema, no probabilities": (
        lambda: Examined(images=0, schema=False, refuse=("response_format", "logprobs")),
        {"pictures", "schema", "token probabilities"},
    ),
    "everything": (lambda: Examined(), set()),
    "reasons before it answers": (
        lambda: Examined(before="Let me think. The sky is blue, or white? I was told what to do.\n"),
        set(),
    ),
    "thinks aloud": (lambda: Examined(before="<think>Red, or the word dog? {not JSON}</think>\n"), set()),
    "a tokenizer with fewer tokens": (lambda: Examined(ratio=0.7), set()),
    "a tokenizer with more tokens": (lambda: Examined(ratio=1.4), set()),
    "puts answers into fences": (lambda: Examined(wrapped=True), set()),
    "one picture at a time": (lambda: Examined(images=1), {"pictures"}),
    "a short context, said so": (lambda: Examined(context=5000), {"context"}),
    "takes no sampling settings": (lambda: Examined(refuse=("temperature", "max_tokens")), {"repeats itself"}),
    "its answers vary": (lambda: Examined(say=unstable()), {"repeats itself"}),
    "served with a revision": (lambda: Examined(served="Org/Tiny-VL@main"), set()),
}


@pytest.mark.parametrize("kind", HONEST)
def test_an_honest_model_raises_no_alarm(kind: str) -> None:
    server, lacks = HONEST[kind]
    found = examined(server())
    assert wrong(found) == set(), found.findings
    assert found.sound
    assert absent(found) == lacks | {"rate limits", "price"}
    assert [one.name for one in found.findings if one.verdict == "unknown"] == []


def test_a_server_that_takes_nothing_at_all_costs_twelve_calls_at_most() -> None:
    refuse = ("response_format", "logprobs", "temperature", "max_tokens")
    found = examined(Examined(images=0, context=2000, refuse=refuse))
    assert (found.calls, wrong(found)) == (12, set())
    assert found.finding("context").verdict == "no"


def test_what_is_absent_is_a_fault_where_it_is_needed() -> None:
    assert wrong(examined(Examined(images=1), needs=Needs(images=2))) == {"pictures"}
    assert wrong(examined(Examined(images=1), needs=Needs(images=1))) == set()
    assert wrong(examined(Examined(context=5000))) == set()
    assert wrong(examined(Examined(context=5000), needs=Needs(context_tokens=9000))) == {"context"}
    assert wrong(examined(Examined(), needs=Needs(images=5, token_probabilities=True, samples=True), context_tokens=300)) == set()


# the way there


def test_fewer_calls_may_be_allowed_and_what_was_not_asked_is_unknown() -> None:
    with Examined() as server:
        found = examine(OpenAICompatible(MODEL, base_url=server.url), at_most=5, nonce="a")
        assert len(server.bodies) == found.calls == 5
    assert [one.name for one in found.findings if one.verdict == "unknown"] == ["fresh answers", "repeats itself", "samples"]
    assert "used up" in found.finding("samples").words
    with pytest.raises(InputError, match="at least 5 calls"):
        examine(Scripted(), at_most=4)


def test_a_call_that_broke_off_or_was_turned_away_counts() -> None:
    with Examined() as server:
        server.next(dropped, rate_limited("0.01"))
        found = examine(OpenAICompatible(MODEL, base_url=server.url), nonce="a")
        assert found.calls == len(server.bodies) == 10
    assert wrong(found) == set()


def test_pictures_that_are_refused_as_an_unknown_address_end_only_their_question() -> None:
    """OpenRouter answers 404 where no endpoint of a model takes pictures; for a judge that ends the drive."""

    class NoPictures(Examined):
        async def _handle(self, request: Any) -> Any:
            body = await request.json()
            if any(isinstance(message["content"], list) for message in body["messages"]):
                self.next(failing(404, "No endpoints found that support image input"))
            return await super()._handle(request)

    found = examined(NoPictures())
    assert found.finding("pictures").verdict == "no"
    assert "No endpoints found" in found.finding("pictures").words
    assert wrong(found) == set()


def test_a_server_that_is_not_there_is_a_finding() -> None:
    with Examined() as server:
        url = server.url
    found = examine(OpenAICompatible(MODEL, base_url=url, connect_timeout_s=1), nonce="a")
    assert wrong(found) == {"answers"}
    assert "is the server running" in found.finding("answers").words
    assert found.calls <= 4


def test_a_wrong_key_is_a_finding() -> None:
    server = Examined()
    server.key = "right"
    found = examined(server)
    assert wrong(found) == {"answers"}
    assert "OPENAI_API_KEY" in found.finding("answers").words


def test_rate_limits_and_price_are_said() -> None:
    prices = read_prices({MODEL: {"input": 1.0, "output": 10.0}})
    with Examined() as server:
        server.next(said_limits)
        model = OpenAICompatible(MODEL, base_url=server.url, prices=prices)
        found = examine(model, nonce="a")
    assert found.finding("rate limits").words == "the server says what is left: 59 requests and 9,000 tokens"
    assert found.finding("price").words == "$0.002000 for a call of 1,000 tokens in and 100 out"  # 1000 · 1/10⁶ + 100 · 10/10⁶
    assert found.cost_usd == pytest.approx((found.tokens_in + 10 * found.tokens_out) / 1e6)
    assert found.json()["findings"][-1] == {"what": "price", "verdict": "ok", "found": found.finding("price").words}


async def said_limits(request: Any) -> Any:
    from aiohttp import web

    answer: Body = {"model": "tiny-vl", "choices": [{"message": {"content": ""}, "finish_reason": "stop"}]}
    answer["usage"] = {"prompt_tokens": 50, "completion_tokens": 0}
    said = {"x-ratelimit-remaining-requests": "59", "x-ratelimit-remaining-tokens": "9000"}
    return web.json_response(answer, headers=said)


# questions


def test_equal_nonces_give_equal_questions_and_others_do_not() -> None:
    def digests(nonce: str) -> list[str]:
        asked = questions(MODEL, nonce, context_tokens=8000, pictures=3)
        return [question.request.digest for name, question in asked.items() if name != "length"]

    assert digests("a") == digests("a")
    assert set(digests("a")).isdisjoint(digests("b"))


def test_the_long_prompt_is_about_as_long_as_asked_for() -> None:
    model = Scripted(MODEL)
    for tokens in (300, 8000, 100_000):
        asked = questions(MODEL, "a", context_tokens=tokens, pictures=3)["context"]
        assert tokens <= model.tokens_in(asked.request) <= 1.15 * tokens + 20
        (part,) = asked.request.messages[0].parts
        assert isinstance(part, Text)
        assert [part.text.count(word) for word in asked.shown] == [1] * 5


def test_the_conversation_can_be_driven_by_hand() -> None:
    flow = conversation(questions(MODEL, "a", context_tokens=300, pictures=3))
    (first,) = next(flow)
    assert first.schema is not None
    assert first.settings.token_probabilities
    (second,) = flow.send([Reply(text="", outcome="failed", error="gone")])
    assert second.messages[0].role == "system"
    with pytest.raises(StopIteration) as end:
        flow.send([Reply(text="", outcome="failed", error="gone")])
    assert list(end.value.value) == ["schema", "copy"]


def test_a_model_without_server_is_examined_alike() -> None:
    def answer(request: Request) -> str:
        return "VERDICT: 2"

    found = examine(Scripted("scripted:parrot", answer), nonce="a")
    assert wrong(found) == {"answers"}
    assert found.finding("served model").verdict == "ok"
    assert repr(found) == "Examination(scripted:parrot: 1 wrong of 17 findings, 8 calls)"


@pytest.mark.parametrize(
    ("asked", "served", "same"),
    [
        ("gpt-4o-mini", "gpt-4o-mini-2024-07-18", True),
        ("gpt-4o-mini", "gpt-4o", False),
        ("gpt-4o-2024-05-13", "gpt-4o-2024-08-06", False),
        ("claude-haiku-4-5", "claude-haiku-4-5-20251001", True),
        ("mistral-large-latest", "mistral-large-2411", True),
        ("llama3", "llama3:latest", True),
        ("llama3:8b", "llama3:70b", False),
        ("tiny", "models/tiny@main", True),
        ("/models/Qwen2.5-VL-7B-Instruct", "Qwen/Qwen2.5-VL-7B-Instruct", True),
        (r"C:\models\tiny.gguf", "tiny", True),
        ("qwen2.5-vl-7b", "qwen2.5-vl-72b", False),
    ],
)
def test_names_of_one_model(asked: str, served: str, same: bool) -> None:
    assert same_model(asked, served) is same
