"""The one place that opens sockets: what it asks, when it gives up and in which words, and that it never asks elsewhere."""

from __future__ import annotations

import asyncio
import socket
import threading
import time
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any, TypeVar

import pytest
from aiohttp import FormData, web

from qrelkit.core.errors import InputError, Rejected, Unreachable
from qrelkit.core.wire import Message, Request, text
from qrelkit.models.openai_compatible import OpenAICompatible
from qrelkit.net.endpoint import Endpoint
from qrelkit.net.hosts import LOOPBACK, Resolver, address
from servers.chat import ChatServer, Fault, dripping, failing, slow

T = TypeVar("T")
ASKED = Request(model="openai:tiny", messages=(Message("user", (text("x"),)),))


class Echo:
    """A server for any path that says what it was sent, in a thread of its own."""

    def __init__(self) -> None:
        self.seen: list[tuple[str, str, dict[str, str], bytes]] = []

    async def handle(self, request: web.Request) -> web.Response:
        self.seen.append((request.method, request.raw_path, dict(request.headers), await request.read()))
        return web.Response(body=b"{}", headers={"Set-Cookie": "seen=1"}, content_type="application/json")

    def __enter__(self) -> Echo:
        self.loop = asyncio.new_event_loop()
        self.thread = threading.Thread(target=self.loop.run_forever, daemon=True)
        self.thread.start()
        self.port = asyncio.run_coroutine_threadsafe(self.start(), self.loop).result(10)
        return self

    async def start(self) -> int:
        app = web.Application(client_max_size=64 * 2**20)
        app.router.add_route("*", "/{any:.*}", self.handle)
        self.runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
        await self.runner.setup()
        await web.TCPSite(self.runner, "127.0.0.1", 0).start()
        return int(self.runner.addresses[0][1])

    def __exit__(self, *error: object) -> None:
        asyncio.run_coroutine_threadsafe(self.runner.cleanup(), self.loop).result(10)
        self.loop.call_soon_threadsafe(self.loop.stop)
        self.thread.join(10)
        self.loop.close()


@pytest.fixture
def echo() -> Iterator[Echo]:
    with Echo() as running:
        yield running


@pytest.fixture
def server() -> Iterator[ChatServer]:
    with ChatServer() as running:
        yield running


def endpoint(base: str, *, path: str = "/chat", timeout_s: float = 5.0, **more: Any) -> Endpoint:
    headers = {"Content-Type": "application/json", "Authorization": "Bearer sk-secret"}
    return Endpoint(base=address(base), path=path, headers=headers, secret="sk-secret", timeout_s=timeout_s, at_once=4, **more)


def done(one: Endpoint, talk: Callable[[], Awaitable[T]], loop: Callable[[], asyncio.AbstractEventLoop] | None = None) -> T:
    async def closing() -> T:
        try:
            return await talk()
        finally:
            await one.close()

    with asyncio.Runner(loop_factory=loop) as runner:
        return runner.run(closing())


# what is asked


@pytest.mark.parametrize(
    ("base", "path", "asked"),
    [
        ("/v1", "/files", "/v1/files"),
        ("/v1/", "/files/a%2Fb/content", "/v1/files/a%2Fb/content"),
        ("/openai?api-version=1", "/batches?limit=2&after=a%2Bb", "/openai/batches?api-version=1&limit=2&after=a%2Bb"),
        ("", "/batches", "/batches"),
        ("/v1", "/models/a b:generate", "/v1/models/a%20b:generate"),
    ],
)
def test_a_path_is_joined_behind_the_base_and_its_query_kept(echo: Echo, base: str, path: str, asked: str) -> None:
    one = endpoint(f"http://127.0.0.1:{echo.port}{base}")
    status, headers, raw = done(one, lambda: one.request("GET", path))
    assert (status, headers["Content-Type"], raw) == (200, "application/json", b"{}")
    assert echo.seen[0][:2] == ("GET", asked)


def test_a_whole_address_is_asked_where_it_is_the_same_server(echo: Echo) -> None:
    one = endpoint(f"http://127.0.0.1:{echo.port}/v1beta?key=1")
    done(one, lambda: one.request("POST", f"http://127.0.0.1:{echo.port}/upload/v1beta/files?x=%2F", b"data"))
    assert echo.seen[0][:2] == ("POST", "/upload/v1beta/files?x=%2F")
    for elsewhere in ("https://127.0.0.1/", f"http://127.0.0.2:{echo.port}/", f"http://localhost:{echo.port}/"):
        with pytest.raises(InputError, match="elsewhere"):
            done(one, lambda to=elsewhere: one.request("GET", to))


def test_headers_of_a_request_override_and_a_form_names_its_own_type(echo: Echo) -> None:
    one = endpoint(f"http://127.0.0.1:{echo.port}")

    async def talk() -> None:
        await one.request("POST", "/a", b"{}", {"X-Own": "1", "Authorization": "other"})
        form = FormData()
        form.add_field("file", b"line\n", filename="a.jsonl")
        await one.request("POST", "/b", form)
        await one.request("POST", "/c", b"x" * 3_000_000)
        await one.request("DELETE", "/d")

    done(one, talk)
    (_, _, first, _), (_, _, second, form), (_, _, third, large), (method, _, _, nothing) = echo.seen
    assert (first["X-Own"], first["Authorization"], first["Content-Type"]) == ("1", "other", "application/json")
    assert second["Content-Type"].startswith("multipart/form-data; boundary=")
    assert b'filename="a.jsonl"' in form
    assert (third["Authorization"], len(large)) == ("Bearer sk-secret", 3_000_000)
    assert (method, nothing) == ("DELETE", b"")


def test_cookies_and_netrc_are_not_used(echo: Echo, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "netrc").write_text("machine 127.0.0.1 login me password mine\n", encoding="utf-8")
    (tmp_path / "netrc").chmod(0o600)
    monkeypatch.setenv("NETRC", str(tmp_path / "netrc"))
    one = Endpoint(base=address(f"http://127.0.0.1:{echo.port}"), path="/", headers={}, secret="", timeout_s=5, at_once=1)

    async def twice() -> None:
        await one.post(b"1")
        await one.request("GET", "/")

    done(one, twice)
    assert not any({"Cookie", "Authorization"} & set(headers) for _, _, headers, _ in echo.seen)


# when it gives up


class Deaf(asyncio.SelectorEventLoop):
    """A network in which no connection is ever made."""

    async def sock_connect(self, sock: socket.socket, address: Any) -> None:
        await asyncio.sleep(60)


class NoNames(asyncio.SelectorEventLoop):
    """A machine whose name service must not be asked."""

    async def getaddrinfo(self, host: Any, port: Any, **more: Any) -> Any:
        raise AssertionError(f"{host} was looked up")


class SlowNames(asyncio.SelectorEventLoop):
    async def getaddrinfo(self, host: Any, port: Any, **more: Any) -> Any:
        await asyncio.sleep(60)


def stopping(request: web.Request) -> Awaitable[web.StreamResponse]:
    return dripping(60.0)(request)


def given_up(server: ChatServer, method: str, **more: Any) -> tuple[str, float]:
    one = endpoint(server.url, path="/chat/completions", **more)
    started = time.monotonic()
    with pytest.raises(Unreachable) as caught:
        done(one, lambda: one.post(b"{}") if method == "post" else one.request("POST", "/chat/completions", b"{}"))
    return str(caught.value).removeprefix(f"{one.place}: "), time.monotonic() - started


@pytest.mark.parametrize("method", ["post", "request"])
@pytest.mark.parametrize("fault", [dripping(0.02), dripping(0.02, headers=True), slow(3)], ids=["body", "head", "silent"])
def test_who_drips_or_says_nothing_is_left_at_the_total_time(server: ChatServer, fault: Fault, method: str) -> None:
    server.next(fault)
    said, took = given_up(server, method, timeout_s=0.4)
    assert said == "no whole answer within 0.4 s"
    assert 0.3 < took < 2


@pytest.mark.parametrize("method", ["post", "request"])
def test_who_stops_in_the_middle_is_left_sooner(server: ChatServer, method: str) -> None:
    server.next(stopping)
    said, took = given_up(server, method, stalled_s=0.2)
    assert said == "stopped sending for 0.2 s"
    assert took < 2


def test_who_drips_does_not_stop(server: ChatServer) -> None:
    server.next(dripping(0.02))
    assert given_up(server, "post", stalled_s=0.3, timeout_s=0.6)[0] == "no whole answer within 0.6 s"


@pytest.mark.parametrize("method", ["post", "request"])
def test_no_connection_has_words_of_its_own(method: str) -> None:
    one = endpoint("http://127.0.0.1:9", connect_timeout_s=0.2)
    with pytest.raises(Unreachable, match=r"127\.0\.0\.1:9: no connection within 0\.2 s"):
        done(one, lambda: one.post(b"") if method == "post" else one.request("GET", "/"), Deaf)


def test_a_name_service_that_does_not_answer_is_no_connection_either() -> None:
    one = endpoint("http://models.example", connect_timeout_s=0.2)
    with pytest.raises(Unreachable, match=r"the name models\.example was not resolved within 0\.2 s"):
        done(one, lambda: one.post(b""), SlowNames)


def test_one_late_answer_takes_nobody_along(server: ChatServer) -> None:
    server.next(slow(2))
    one = endpoint(server.url, path="/chat/completions", timeout_s=0.5)

    async def several() -> list[Any]:
        late = asyncio.create_task(one.post(b"{}"))
        await asyncio.sleep(0.1)
        others = [await one.post(b'{"model": "m", "messages": []}') for _ in range(3)]
        return [*others, *await asyncio.gather(late, return_exceptions=True)]

    *others, late = done(one, several)
    assert [status for status, _, _ in others] == [400] * 3
    assert isinstance(late, Unreachable)


def test_who_cancels_a_request_is_obeyed_and_not_told_of_time(server: ChatServer) -> None:
    server.next(slow(2))
    one = endpoint(server.url, path="/chat/completions")

    async def cancelled() -> int:
        task = asyncio.create_task(one.post(b"{}"))
        await asyncio.sleep(0.1)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        server.next(slow(2))
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.1):
                await one.post(b"{}")
        return (await one.post(b'{"model": "m", "messages": []}'))[0]

    assert done(one, cancelled) == 400


# that it never asks elsewhere


@pytest.mark.parametrize(
    ("base", "allowed"),
    [
        ("http://localhost:1/v1", LOOPBACK),
        ("http://LOCALHOST/v1", ["localhost"]),
        ("http://127.0.0.1:8000", LOOPBACK),
        ("http://[::1]:8000", LOOPBACK),
        ("http://[0:0:0:0:0:0:0:1]:8000", ["::1"]),
        ("https://10.1.2.3", ["10.1.2.3"]),
        ("https://10.1.2.3", ["10.1.2.3:443"]),
        ("http://[fd00::5]:8000", ["[fd00::5]:8000"]),
        ("http://models.example", None),
    ],
)
def test_hosts_that_are_named_are_allowed(base: str, allowed: list[str] | None) -> None:
    assert address(base, allowed).scheme == base.partition(":")[0]


@pytest.mark.parametrize(
    ("base", "allowed", "says"),
    [
        ("http://127.0.0.2", LOOPBACK, r"127\.0\.0\.2 is not allowed \(allowed: 127\.0\.0\.1, ::1, localhost\); no request"),
        ("http://127.0.0.1", ["localhost"], "not allowed"),
        ("http://10.1.2.3:81", ["10.1.2.3:80"], "not allowed"),
        ("http://2130706433", LOOPBACK, "not allowed"),  # 127.0.0.1 as one number
        ("http://127.1", LOOPBACK, "not allowed"),
        ("http://[::ffff:127.0.0.1]", LOOPBACK, "not allowed"),
        ("http://localhost.", LOOPBACK, "not allowed"),
        ("http://localhost.evil.example", LOOPBACK, "not allowed"),
        ("http://evil.example", LOOPBACK, "not allowed"),
        ("http://127.0.0.1@evil.example", LOOPBACK, "leave name and password out"),
        ("http://127.0.0.1", [], "allowed: none"),
        (
            "http://gpu.example",
            ["gpu.example"],
            "'gpu.example' is neither localhost nor an IP address; give the machine's address",
        ),
        ("http://gpu.example:80", ["gpu.example:80"], "neither localhost nor an IP address"),
        ("http://127.0.0.1", ["*"], "neither localhost"),
        ("http://127.0.0.1", "127.0.0.1", "neither localhost"),  # a text is no list
        ("ftp://127.0.0.1", LOOPBACK, "begins with http"),
    ],
)
def test_hosts_that_are_not_named_are_refused(base: str, allowed: list[str], says: str) -> None:
    with pytest.raises(InputError, match=says):
        address(base, allowed)


@pytest.fixture
def eavesdropper() -> Iterator[socket.socket]:
    """Another machine, as far as names go, that would see who connects."""
    with socket.socket() as listening:
        try:
            listening.bind(("127.0.0.2", 0))
        except OSError:
            pytest.skip("this system has only one loopback address")
        listening.listen()
        listening.settimeout(0.05)
        yield listening


def unseen(listening: socket.socket) -> bool:
    try:
        listening.accept()
    except TimeoutError:
        return True
    return False


def asked(model: OpenAICompatible, loop: Callable[[], asyncio.AbstractEventLoop] | None = None) -> str:
    async def talk() -> str:
        try:
            return (await model.replies([ASKED]))[0].text
        finally:
            await model.close()

    with asyncio.Runner(loop_factory=loop) as runner:
        return runner.run(talk())


def test_what_is_not_allowed_opens_no_socket(eavesdropper: socket.socket) -> None:
    with pytest.raises(InputError, match="no request was sent"):
        OpenAICompatible("openai:tiny", base_url=f"http://127.0.0.2:{eavesdropper.getsockname()[1]}/v1", allow_hosts=LOOPBACK)
    assert unseen(eavesdropper)


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_a_redirect_is_told_and_not_followed(server: ChatServer, eavesdropper: socket.socket, status: int) -> None:
    to = f"http://127.0.0.2:{eavesdropper.getsockname()[1]}/v1/chat/completions"
    server.next(failing(status, "Moved", headers={"Location": to}))
    with pytest.raises(Rejected, match=r"redirects to http://127\.0\.0\.2"):
        asked(OpenAICompatible("openai:tiny", base_url=server.url, allow_hosts=LOOPBACK))
    one = endpoint(server.url)
    server.next(failing(status, "Moved", headers={"Location": to}))
    assert done(one, lambda: one.request("POST", "/chat/completions", b"{}"))[0] == status
    assert unseen(eavesdropper)


def test_proxies_of_the_environment_are_not_used(
    server: ChatServer, eavesdropper: socket.socket, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY"):
        for spelled in (name, name.lower()):
            monkeypatch.setenv(spelled, f"http://127.0.0.2:{eavesdropper.getsockname()[1]}")
    monkeypatch.delenv("NO_PROXY", raising=False)
    monkeypatch.delenv("no_proxy", raising=False)
    assert asked(OpenAICompatible("openai:tiny", base_url=server.url))
    assert unseen(eavesdropper)


@pytest.mark.parametrize("allowed", [None, LOOPBACK])
def test_localhost_is_loopback_and_nobody_is_asked_for_it(server: ChatServer, allowed: tuple[str, ...] | None) -> None:
    model = OpenAICompatible("openai:tiny", base_url=f"http://localhost:{server.port}/v1", allow_hosts=allowed)
    assert asked(model, NoNames)
    found = asyncio.run(Resolver(False, 1.0).resolve("LocalHost", 80))
    assert [one["host"] for one in found] == ["127.0.0.1", "::1"]


def test_a_closed_endpoint_looks_up_no_name_even_if_one_gets_through() -> None:
    one = endpoint("http://models.example", closed=True)
    with pytest.raises(Unreachable, match=r"the name models\.example is not looked up"):
        done(one, lambda: one.post(b""), NoNames)


def test_a_key_in_an_error_of_the_way_is_hidden() -> None:
    one = endpoint("http://sk-secret.invalid", closed=True)
    with pytest.raises(Unreachable) as caught:
        done(one, lambda: one.post(b""))
    assert "sk-secret" not in str(caught.value).partition(": ")[2]
