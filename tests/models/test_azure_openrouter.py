"""Azure and OpenRouter as they are published: recorded bytes (keys scrubbed) in, and what is sent looked at.

Azure: https://learn.microsoft.com/azure/ai-services/openai/reference, …/concepts/content-filter, …/how-to/batch.
OpenRouter: https://openrouter.ai/docs/api/reference/overview, …/errors-and-debugging, /docs/use-cases/usage-accounting.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterator
from typing import TypeVar

import pytest

from qrelkit.core.doors import BatchModel
from qrelkit.core.errors import InputError, ModelError, RateLimited, Rejected, Unreachable
from qrelkit.core.wire import Message, Reply, Request, Room, text
from qrelkit.models.chat import Chat
from qrelkit.models.openai_compatible import AzureDialect, OpenAICompatible, OpenAIDialect
from qrelkit.models.openrouter import OpenRouter
from servers.batches import VERSION, BatchServer
from servers.chat import ChatServer, Fault, answering

T = TypeVar("T")
KEY = "0123456789abcdef-scrubbed"


@pytest.fixture(autouse=True)
def keys(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("OPENAI_API_KEY", "AZURE_OPENAI_API_KEY", "OPENROUTER_API_KEY", "OPENAI_BASE_URL"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def server() -> Iterator[ChatServer]:
    with ChatServer() as running:
        yield running


@pytest.fixture
def azure() -> Iterator[BatchServer]:
    with BatchServer(azure=True) as running:
        yield running


def done(model: Chat, talk: Callable[[], Awaitable[T]]) -> T:
    async def closing() -> T:
        try:
            return await talk()
        finally:
            await model.close()

    return asyncio.run(closing())


def request_to(model: Chat, said: str = "Query: a red dress") -> Request:
    return Request(model=model.name, messages=(Message("user", (text(said),)),))


def asked(model: Chat) -> Reply:
    return done(model, lambda: model.replies([request_to(model)]))[0]


# Azure


AZURE_REPLY = b"""{"choices":[{"content_filter_results":{"hate":{"filtered":false,"severity":"safe"},"protected_material_text":\
{"detected":false,"filtered":false},"self_harm":{"filtered":false,"severity":"safe"},"sexual":{"filtered":false,"severity":\
"safe"},"violence":{"filtered":false,"severity":"safe"}},"finish_reason":"stop","index":0,"logprobs":null,"message":{"content":\
"{\\"verdict\\":\\"relevant\\"}","refusal":null,"role":"assistant"}}],"created":1729000000,"id":"chatcmpl-scrubbed","model":\
"gpt-4o-2024-08-06","object":"chat.completion","prompt_filter_results":[{"prompt_index":0,"content_filter_results":{"hate":\
{"filtered":false,"severity":"safe"},"jailbreak":{"filtered":false,"detected":false}}}],"system_fingerprint":"fp_67802d9a6d",\
"usage":{"completion_tokens":27,"completion_tokens_details":{"accepted_prediction_tokens":0,"audio_tokens":0,"reasoning_tokens":\
11,"rejected_prediction_tokens":0},"prompt_tokens":1124,"prompt_tokens_details":{"audio_tokens":0,"cached_tokens":1024},\
"total_tokens":1151}}"""

AZURE_PROMPT_FILTERED = b"""{"error":{"message":"The response was filtered due to the prompt triggering Azure OpenAI's content \
management policy. Please modify your prompt and retry. To learn more about our content filtering policies please read our \
documentation: https://go.microsoft.com/fwlink/?linkid=2198766","type":null,"param":"prompt","code":"content_filter","status":\
400,"innererror":{"code":"ResponsibleAIPolicyViolation","content_filter_result":{"hate":{"filtered":false,"severity":"safe"},\
"jailbreak":{"filtered":false,"detected":false},"self_harm":{"filtered":false,"severity":"safe"},"sexual":{"filtered":false,\
"severity":"safe"},"violence":{"filtered":true,"severity":"medium"}}}}}"""

AZURE_REPLY_FILTERED = b"""{"choices":[{"content_filter_results":{"violence":{"filtered":true,"severity":"high"}},\
"finish_reason":"content_filter","index":0,"message":{"role":"assistant"}}],"created":1729000000,"id":"chatcmpl-scrubbed","model":"gpt-4o-2024-\
08-06","object":"chat.completion","usage":{"completion_tokens":5,"prompt_tokens":1124,"total_tokens":1129}}"""

AZURE_BUSY = b"""{"error":{"code":"429","message":"Requests to the ChatCompletions_Create Operation under Azure OpenAI API \
version 2024-10-21 have exceeded token rate limit of your current OpenAI S0 pricing tier. Please retry after 14 seconds."}}"""

AZURE_WRONG_KEY = b"""{"error":{"code":"401","message":"Access denied due to invalid subscription key or wrong API endpoint. \
Make sure to provide a valid key for an active subscription and use a correct regional API endpoint for your resource."}}"""

AZURE_NO_DEPLOYMENT = b"""{"error":{"code":"DeploymentNotFound","message":"The API deployment for this resource does not exist. \
If you created the deployment within the last 5 minutes, please wait a moment and try again."}}"""


def at_azure(server: BatchServer, **options: object) -> OpenAICompatible:
    return OpenAICompatible("openai:gpt-4o", base_url=server.base, api_key=KEY, **options)


def test_azure_is_asked_at_its_deployment_with_its_own_header(azure: BatchServer) -> None:
    azure.next(answering(AZURE_REPLY))
    model = at_azure(azure)
    reply = asked(model)
    assert (reply.text, reply.outcome, reply.served) == ('{"verdict":"relevant"}', "answered", "gpt-4o-2024-08-06")
    assert (reply.tokens_in, reply.tokens_cached, reply.tokens_out, reply.tokens_reasoning) == (1124, 1024, 27, 11)
    assert azure.headers[0]["api-key"] == KEY
    assert "Authorization" not in azure.headers[0]
    assert azure.bodies[0]["model"] == "tiny"  # the deployment
    assert model.name == "openai:gpt-4o"


def test_azures_address_keeps_its_version() -> None:
    at = f"https://res.openai.azure.com/openai/deployments/dep?api-version={VERSION}"
    model = OpenAICompatible("openai:gpt-4o", base_url=at, api_key=KEY)
    assert str(model._endpoint.url) == at.replace("?", "/chat/completions?")
    assert KEY not in repr(model) + repr(model._endpoint)


@pytest.mark.parametrize(
    ("base", "header"),
    [
        ("https://res.openai.azure.com/openai/v1", "api-key"),
        ("https://res.openai.azure.com:443/openai/v1/", "api-key"),
        ("https://RES.OpenAI.Azure.com/openai/deployments/d?api-version=1", "api-key"),
        ("https://res.cognitiveservices.azure.com/openai/v1", "api-key"),
        ("https://res.services.ai.azure.com/openai/v1", "api-key"),
        ("https://gateway.example/azure/openai/deployments/d?api-version=1", "api-key"),  # Azure's API Management
        ("https://api.openai.com/v1", "Authorization"),
        ("https://api.groq.com/openai/v1", "Authorization"),
        ("https://openai.azure.com.evil.example/openai/v1", "Authorization"),
        ("https://evil.example/?x=.openai.azure.com/", "Authorization"),
    ],
)
def test_azure_is_known_by_its_address(base: str, header: str) -> None:
    model = OpenAICompatible("openai:m", base_url=base, api_key=KEY)
    assert set(model._endpoint.headers) - {"Content-Type", "User-Agent"} == {header}


def test_azures_own_key_comes_first(monkeypatch: pytest.MonkeyPatch) -> None:
    at = "https://res.openai.azure.com/openai/v1"
    monkeypatch.setenv("OPENAI_API_KEY", "of-openai")
    assert OpenAICompatible("openai:m", base_url=at)._endpoint.secret == "of-openai"
    monkeypatch.setenv("AZURE_OPENAI_API_KEY", "of-azure")
    assert OpenAICompatible("openai:m", base_url=at)._endpoint.secret == "of-azure"
    assert OpenAICompatible("openai:m")._endpoint.secret == "of-openai"


def test_what_azure_filters_is_refused(azure: BatchServer) -> None:
    azure.next(answering(AZURE_PROMPT_FILTERED, status=400), answering(AZURE_REPLY_FILTERED))
    prompt, reply = asked(at_azure(azure)), asked(at_azure(azure))
    assert (prompt.outcome, prompt.finish, prompt.tokens_in) == ("refused", "content_filter", None)
    assert prompt.text.startswith("The response was filtered due to the prompt")
    assert (reply.outcome, reply.finish, reply.text, reply.tokens_in) == ("refused", "content_filter", "", 1124)


@pytest.mark.parametrize(
    ("fault", "error", "says"),
    [
        (answering(AZURE_BUSY, status=429, **{"Retry-After": "14"}), RateLimited, "exceeded token rate limit"),
        (answering(AZURE_WRONG_KEY, status=401), Rejected, "check AZURE_OPENAI_API_KEY"),
        (answering(AZURE_NO_DEPLOYMENT, status=404), Rejected, "deployment for this resource does not exist"),
        (answering(b'{"error":{"code":"InternalServerError","message":"Backend returned unexpected response."}}', status=500),
         Unreachable, "Backend returned"),
    ],
)  # fmt: skip
def test_azures_errors_say_what_to_do(azure: BatchServer, fault: Fault, error: type[ModelError], says: str) -> None:
    azure.next(fault)
    with pytest.raises(error, match=says) as caught:
        asked(at_azure(azure))
    assert KEY not in str(caught.value)


def test_a_batch_at_azure_lies_beside_the_deployments_and_waits_for_its_file() -> None:
    with BatchServer(azure=True, key=KEY, file_looks=2) as azure:
        model = at_azure(azure)
        model.look_again_s = 0.01
        request = request_to(model)
        ticket = done(model, lambda: model.submit([request], "tag"))
        assert [line["body"]["model"] for line in azure.batches[ticket].lines] == ["tiny"]
        assert azure.asked == ["POST /files", "GET /files/*", "GET /files/*", "POST /batches"]
        assert done(model, lambda: model.find("tag")) == ticket
        azure.end(ticket)
        batch = done(model, lambda: model.collect(ticket))
        assert batch.replies[request.digest].outcome == "answered"
        assert [file.purpose for file in azure.files.values()] == ["batch_output"]


def test_the_two_forms_of_address_name_the_same_things() -> None:
    from yarl import URL

    with_version = URL(f"https://res.openai.azure.com/openai/deployments/dep?api-version={VERSION}")
    plain = URL("https://res.openai.azure.com/openai/v1")
    by_deployment, by_model = AzureDialect(str(with_version)), AzureDialect(str(plain))
    assert str(by_deployment.batch_root(with_version)) == f"https://res.openai.azure.com/openai?api-version={VERSION}"
    assert by_model.batch_root(plain) == plain
    assert (by_deployment.batch_url(with_version), by_model.batch_url(plain)) == ("/chat/completions", "/v1/chat/completions")
    assert OpenAIDialect().batch_url(plain) == "/v1/chat/completions"


# OpenRouter


ROUTER_REPLY = b"""

   {"id":"gen-scrubbed","provider":"Together","model":"meta-llama/llama-3.1-8b-instruct","object":"chat.completion","created":\
1741000000,"choices":[{"logprobs":null,"finish_reason":"stop","native_finish_reason":"eos","index":0,"message":{"role":\
"assistant","content":"{\\"verdict\\":\\"relevant\\"}","refusal":null,"reasoning":null}}],"usage":{"prompt_tokens":194,\
"completion_tokens":12,"total_tokens":206,"cost":0.00014,"is_byok":false,"prompt_tokens_details":{"cached_tokens":100,\
"audio_tokens":0},"cost_details":{"upstream_inference_cost":null},"completion_tokens_details":{"reasoning_tokens":0}}}"""

ROUTER_OWN_KEY = b"""{"id":"gen-scrubbed","model":"openai/gpt-4o","choices":[{"finish_reason":"stop","message":{"content":"x"}}],\
"usage":{"prompt_tokens":194,"completion_tokens":2,"total_tokens":196,"cost":0.95,"is_byok":true,"cost_details":\
{"upstream_inference_cost":19}}}"""

ROUTER_BROKE_OFF = b"""{"id":"gen-scrubbed","provider":"DeepInfra","model":"m","object":"chat.completion","created":1741000000,\
"choices":[{"index":0,"finish_reason":"error","native_finish_reason":null,"message":{"role":"assistant","content":"{\\"verd"},\
"error":{"code":502,"message":"Upstream connection lost"}}]}"""

ROUTER_PROVIDER_ERROR = b"""{"error":{"message":"Provider returned error","code":502,"metadata":{"raw":"upstream  model is \\n\
overloaded","provider_name":"DeepInfra"}},"user_id":"user_scrubbed"}"""

ROUTER_BUSY = b"""{"error":{"message":"Provider returned error","code":429,"metadata":{"raw":"m is temporarily rate-limited \
upstream. Please retry shortly.","provider_name":"Chutes"}},"user_id":"user_scrubbed"}"""

ROUTER_FLAGGED = b"""{"error":{"code":403,"message":"Your input was flagged","metadata":{"reasons":["violence"],"flagged_input":\
"a patient with \\u2026 wounds","provider_name":"OpenAI","model_slug":"openai/gpt-4o"}}}"""

ROUTER_FORBIDDEN = b"""{"error":{"code":403,"message":"Key is not allowed this model"}}"""

ROUTER_NO_MONEY = (
    b"""{"error":{"message":"Insufficient credits. Add more using https://openrouter.ai/settings/credits","code":402}}"""
)


def at_router(server: ChatServer, **options: object) -> OpenRouter:
    return OpenRouter("openrouter:meta-llama/llama-3.1-8b-instruct", base_url=server.url, api_key=KEY, **options)


def test_openrouter_says_who_answered_and_what_it_cost(server: ChatServer) -> None:
    server.next(answering(ROUTER_REPLY))  # blank lines come before a reply that takes its time
    reply = asked(at_router(server))
    assert reply.text == '{"verdict":"relevant"}'
    assert reply.served == "meta-llama/llama-3.1-8b-instruct via Together"
    assert (reply.cost_usd, reply.tokens_in, reply.tokens_cached, reply.tokens_reasoning) == (0.00014, 194, 100, 0)
    assert server.bodies[0]["model"] == "meta-llama/llama-3.1-8b-instruct"
    assert server.headers[0]["Authorization"] == f"Bearer {KEY}"
    assert not {"HTTP-Referer", "X-Title"} & set(server.headers[0])  # nobody is told who asks


def test_with_a_key_of_ones_own_the_providers_bill_is_added(server: ChatServer) -> None:
    server.next(answering(ROUTER_OWN_KEY))
    assert asked(at_router(server)).cost_usd == 0.95 + 19


def test_a_reply_without_cost_has_none(server: ChatServer) -> None:
    assert asked(at_router(server)).cost_usd is None
    server.next(answering(ROUTER_OWN_KEY.replace(b'"upstream_inference_cost":19', b'"upstream_inference_cost":null')))
    assert asked(at_router(server)).cost_usd is None


def test_a_flagged_text_is_refused_and_a_forbidden_key_is_not(server: ChatServer) -> None:
    server.next(answering(ROUTER_FLAGGED, status=403), answering(ROUTER_FORBIDDEN, status=403))
    reply = asked(at_router(server))
    assert (reply.outcome, reply.finish, reply.text) == ("refused", "content_filter", "Your input was flagged")
    with pytest.raises(Rejected, match="may not use this model") as caught:
        asked(at_router(server))
    assert caught.value.fatal


@pytest.mark.parametrize(
    ("fault", "error", "says"),
    [
        (answering(ROUTER_BROKE_OFF), Unreachable, "the reply broke off: Upstream connection lost"),
        (answering(ROUTER_BROKE_OFF.replace(b'"error","native', b'"stop","native')), Unreachable, "Upstream connection lost"),
        (answering(ROUTER_PROVIDER_ERROR), Unreachable, "502 Provider returned error: upstream model is overloaded"),
        (answering(ROUTER_PROVIDER_ERROR, status=502), Unreachable, "502 Provider returned error: upstream model is overloaded"),
        (answering(ROUTER_BUSY, status=429), RateLimited, "temporarily rate-limited upstream"),
        (answering(ROUTER_BUSY), RateLimited, "temporarily rate-limited upstream"),
        (answering(ROUTER_NO_MONEY, status=402, **{"Retry-After": "3"}), RateLimited, "Insufficient credits"),  # money under way
        (answering(ROUTER_NO_MONEY, status=402), Rejected, "no money left"),
        (answering(b'{"error":{"message":"No auth credentials found","code":401}}', status=401), Rejected, "OPENROUTER_API_KEY"),
        (answering(b'{"error":{"message":"Not here","code":400,"metadata":null}}', status=400), Rejected, "Not here"),
    ],
)
def test_openrouters_errors_say_what_to_do(server: ChatServer, fault: Fault, error: type[ModelError], says: str) -> None:
    server.next(fault)
    with pytest.raises(error, match=says):
        asked(at_router(server))


def test_openrouter_needs_its_own_key_and_takes_no_batches(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "of-openai")
    monkeypatch.setenv("OPENAI_BASE_URL", "https://elsewhere.example/v1")
    with pytest.raises(InputError, match=r"no key for openrouter\.ai: set OPENROUTER_API_KEY"):
        OpenRouter("openrouter:a/b")
    monkeypatch.setenv("OPENROUTER_API_KEY", KEY)
    model = OpenRouter("openrouter:a/b")
    assert str(model._endpoint.url) == "https://openrouter.ai/api/v1/chat/completions"
    assert not isinstance(model, BatchModel)


def test_what_is_left_of_the_limits_is_read(azure: BatchServer) -> None:
    said = {"x-ratelimit-remaining-requests": "99", "x-ratelimit-remaining-tokens": "9000"}
    azure.next(answering(AZURE_REPLY, **said))
    model = at_azure(azure)
    asked(model)
    assert model.room == Room(requests=99, tokens=9000)
