"""Connections that are kept, against servers that are nothing but bytes on a socket: asyncio's own, in the same event loop."""

from __future__ import annotations

import asyncio
import gc
import shutil
import socket
import ssl
import subprocess
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any

import pytest
from yarl import URL

from qrelkit.net.connections import IDLE_S, PIECE_BYTES, RACE_S, Connections, TooSlow, Waits
from qrelkit.net.http1 import Answer, Broken, head

Handler = Callable[["Server", asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]
Loops = Callable[[], asyncio.AbstractEventLoop]
MEGABYTE = 2**20


def loops() -> Iterator[Any]:
    yield pytest.param(asyncio.SelectorEventLoop, id="asyncio")
    try:
        import uvloop
    except ImportError:
        yield pytest.param(None, id="uvloop", marks=pytest.mark.skip("uvloop is not installed"))
    else:
        yield pytest.param(uvloop.new_event_loop, id="uvloop")


@pytest.fixture(params=loops())
def run(request: pytest.FixtureRequest) -> Iterator[Callable[[Awaitable[Any]], Any]]:
    """Runs a test in a loop of each kind; whatever it leaves open shows as a ResourceWarning, which is an error."""
    with asyncio.Runner(loop_factory=request.param) as runner:
        yield runner.run
    gc.collect()


def answer(body: bytes, *fields: bytes) -> bytes:
    return b"\r\n".join([b"HTTP/1.1 200 OK", *fields, b"Content-Length: %d" % len(body), b"", body])


class Server:
    """What it was sent, by how many connections, and how many of them were open together."""

    def __init__(self, handler: Handler) -> None:
        self.handler = handler
        self.bodies: list[bytes] = []
        self.raw: list[bytes] = []
        self.port = self.connections = self.open = self.most_open = 0

    async def __call__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        self.open += 1
        self.most_open = max(self.open, self.most_open)
        try:
            with suppress(asyncio.IncompleteReadError, ConnectionError):  # the client has gone
                await self.handler(self, reader, writer)
        finally:
            self.open -= 1
            writer.transport.abort()

    async def request(self, reader: asyncio.StreamReader) -> bytes:
        """The body of the next request."""
        asked = await reader.readuntil(b"\r\n\r\n")
        self.raw.append(asked)
        self.bodies.append(await reader.readexactly(int(asked.rpartition(b"Content-Length: ")[2])))
        return self.bodies[-1]


async def echo(server: Server, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while True:
        writer.write(answer(await server.request(reader)))
        await writer.drain()


@asynccontextmanager
async def serving(
    handler: Handler = echo,
    *,
    at_once: int = 64,
    connect_s: float = 5.0,
    stalled_s: float | None = None,
    host: str = "127.0.0.1",
    name: str | None = None,
    tls: ssl.SSLContext | None = None,
) -> AsyncIterator[tuple[Server, Connections]]:
    server = Server(handler)
    listening = await asyncio.start_server(server, host, 0, ssl=tls, limit=64 * MEGABYTE)
    server.port = listening.sockets[0].getsockname()[1]
    url = URL(f"http{'s' if tls else ''}://{name or host}:{server.port}/v1/chat")
    connections = Connections(url, head(url, {"X-Key": "k"}), at_once, Waits(connect_s, stalled_s), closed=False)
    try:
        yield server, connections
    finally:
        await connections.close()
        assert connections.standing == set()
        listening.close()
        for _ in range(100):
            if server.open:
                await asyncio.sleep(0.01)


def asking(run: Callable[[Awaitable[Any]], Any], talk: Callable[[Server, Connections], Awaitable[Any]], **more: Any) -> Any:
    async def whole() -> Any:
        async with serving(**more) as (server, connections):
            return await talk(server, connections)

    return run(asyncio.wait_for(whole(), 15))


# kept, and not kept


def test_one_connection_serves_one_request_after_the_other(run: Any) -> None:
    async def talk(server: Server, connections: Connections) -> None:
        for number in range(20):
            assert (await connections.post(b"%d" % number)).body == b"%d" % number
        assert (server.connections, len(server.bodies)) == (1, 20)
        assert server.raw[1] == (
            b"POST /v1/chat HTTP/1.1\r\nHost: 127.0.0.1:%d\r\nAccept: */*\r\nAccept-Encoding: identity\r\nX-Key: k\r\n"
            b"Content-Length: 1\r\n\r\n" % server.port
        )

    asking(run, talk)


def test_the_connection_used_last_is_used_first(run: Any) -> None:
    async def naming(server: Server, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        own = b"%d" % server.connections
        while True:
            await asyncio.sleep(float(await server.request(reader)))
            writer.write(answer(own))

    async def talk(server: Server, connections: Connections) -> None:
        waits = (b"0", b"0.06", b"0.03")
        names = [found.body for found in await asyncio.gather(*map(connections.post, waits))]
        assert sorted(names) == [b"1", b"2", b"3"]
        assert [(await connections.post(b"0")).body for _ in range(3)] == [names[1]] * 3  # the one that answered last

    asking(run, talk, handler=naming)


@pytest.mark.parametrize(
    "raw",
    [
        answer(b"x", b"Connection: close"),
        answer(b"x").replace(b"1.1", b"1.0"),
        answer(b"x") + b"HTTP/1.1 408 Request Timeout\r\n\r\n",
    ],
    ids=["close", "old", "more than was asked for"],
)
def test_a_connection_that_cannot_be_kept_is_closed(run: Any, raw: bytes) -> None:
    async def once(server: Server, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await server.request(reader)
        writer.write(raw)
        assert await reader.read() == b""  # the client closes, not the server

    async def talk(server: Server, connections: Connections) -> None:
        assert [(await connections.post(b"1")).body for _ in range(3)] == [b"x"] * 3
        assert server.connections == 3

    asking(run, talk, handler=once)


def test_bytes_that_come_while_nobody_asks_close_the_connection(run: Any) -> None:
    async def talking(server: Server, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(answer(await server.request(reader)))
        await asyncio.sleep(0.03)
        writer.write(answer(b"for nobody"))
        await reader.read()

    async def talk(server: Server, connections: Connections) -> None:
        assert (await connections.post(b"1")).body == b"1"
        await asyncio.sleep(0.08)
        assert (await connections.post(b"2")).body == b"2"
        assert server.connections == 2

    asking(run, talk, handler=talking)


class Ahead(asyncio.SelectorEventLoop):
    """A loop whose clock can be put forward."""

    ahead = 0.0

    def time(self) -> float:
        return super().time() + self.ahead


def test_a_connection_that_was_idle_for_long_is_not_used_again() -> None:
    async def talk(server: Server, connections: Connections) -> None:
        await asyncio.gather(connections.post(b"1"), connections.post(b"2"))
        loop = asyncio.get_running_loop()
        assert isinstance(loop, Ahead)
        loop.ahead = IDLE_S + 1
        await connections.post(b"3")
        assert server.connections == 3
        await connections.post(b"4")
        assert server.connections == 3
        assert len(connections.standing) == 1

    with asyncio.Runner(loop_factory=Ahead) as runner:

        async def whole() -> None:
            async with serving() as (server, connections):
                await talk(server, connections)

        runner.run(whole())


# what the server closes


async def one_then_gone(server: Server, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Answers once; the next request on the connection is read and left without an answer."""
    writer.write(answer(await server.request(reader)))
    await server.request(reader)


def test_a_kept_connection_that_is_closed_at_once_is_no_failure(run: Any) -> None:
    async def talk(server: Server, connections: Connections) -> None:
        assert [(await connections.post(body)).body for body in (b"1", b"2", b"3")] == [b"1", b"2", b"3"]
        assert (server.bodies, server.connections) == ([b"1", b"2", b"2", b"3", b"3"], 3)

    asking(run, talk, handler=one_then_gone)


def test_a_kept_connection_that_is_closed_later_is_a_failure_and_nothing_is_sent_again(run: Any) -> None:
    """The server may have worked, and be paid, until then: whoever asks again has to count it."""

    async def late(server: Server, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(answer(await server.request(reader)))
        await server.request(reader)
        await asyncio.sleep(RACE_S * 1.5)

    async def talk(server: Server, connections: Connections) -> None:
        await connections.post(b"1")
        with pytest.raises(Broken, match="closed before an answer came"):
            await connections.post(b"2")
        assert server.bodies == [b"1", b"2"]

    asking(run, talk, handler=late)


def test_one_that_is_closed_while_nobody_asks_is_never_asked(run: Any) -> None:
    async def once(server: Server, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(answer(await server.request(reader)))
        await writer.drain()
        writer.close()
        await writer.wait_closed()

    async def talk(server: Server, connections: Connections) -> None:
        for body in (b"1", b"2", b"3"):
            assert (await connections.post(body)).body == body
            await asyncio.sleep(0.03)
        assert (server.bodies, server.connections) == ([b"1", b"2", b"3"], 3)

    asking(run, talk, handler=once)


def test_a_new_connection_that_is_closed_is_a_failure_and_nothing_is_sent_again(run: Any) -> None:
    async def never(server: Server, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await server.request(reader)

    async def talk(server: Server, connections: Connections) -> None:
        with pytest.raises(Broken, match="closed before an answer came"):
            await connections.post(b"1")
        assert server.bodies == [b"1"]

    asking(run, talk, handler=never)


def test_a_server_that_is_gone_when_asked_again_is_a_failure(run: Any) -> None:
    async def talk(server: Server, connections: Connections) -> None:
        await connections.post(b"1")

        async def never(server: Server, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            await server.request(reader)

        server.handler = never
        with pytest.raises(Broken, match="closed before an answer came"):
            await connections.post(b"2")
        assert server.bodies == [b"1", b"2", b"2"]  # once on the kept connection, once on a new one, and not again

    asking(run, talk, handler=one_then_gone)


def test_an_answer_that_breaks_off_is_never_asked_for_again(run: Any) -> None:
    async def breaking(server: Server, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(answer(await server.request(reader)))
        await server.request(reader)
        writer.write(answer(b"x" * 1000)[: -1000 + 7])
        await writer.drain()
        writer.write_eof()

    async def talk(server: Server, connections: Connections) -> None:
        await connections.post(b"1")
        with pytest.raises(Broken, match="broke off after 7 of 1,000 bytes"):
            await connections.post(b"2")
        assert server.bodies == [b"1", b"2"]

    asking(run, talk, handler=breaking)


def test_a_connection_that_is_reset_says_so(run: Any) -> None:
    async def resetting(server: Server, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await server.request(reader)
        writer.write(answer(b"x" * 1000)[: -1000 + 7])
        await writer.drain()
        linger = (1).to_bytes(4, "little") + bytes(4)
        writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)

    async def talk(server: Server, connections: Connections) -> None:
        with pytest.raises(Broken, match=r"broke off after 7 of 1,000 bytes \(.*reset"):
            await connections.post(b"1")

    asking(run, talk, handler=resetting)


def test_an_answer_that_ends_with_its_connection_is_whole(run: Any) -> None:
    async def to_the_end(server: Server, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await server.request(reader)
        for piece in (b"HTTP/1.1 200 OK\r\n\r\n", b"ab", b"c"):
            writer.write(piece)
            await writer.drain()
            await asyncio.sleep(0.01)
        writer.write_eof()

    async def talk(server: Server, connections: Connections) -> None:
        assert [(await connections.post(b"1")).body for _ in range(2)] == [b"abc"] * 2

    asking(run, talk, handler=to_the_end)


def test_what_is_no_http_is_left_at_once(run: Any) -> None:
    async def greeting(server: Server, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"220 mail.example ESMTP\r\n")
        await reader.read()

    async def talk(server: Server, connections: Connections) -> None:
        with pytest.raises(Broken, match=r"no HTTP/1\.1|closed as soon as it stood"):
            await connections.post(b"1")

    asking(run, talk, handler=greeting)


# how many, in which order


def test_never_more_connections_than_allowed_and_who_came_first_is_first(run: Any) -> None:
    async def slow(server: Server, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while True:
            body = await server.request(reader)
            await asyncio.sleep(0.002)
            writer.write(answer(body))

    async def talk(server: Server, connections: Connections) -> None:
        bodies = [b"%d" % number for number in range(30)]
        found = await asyncio.gather(*map(connections.post, bodies))
        assert [one.body for one in found] == bodies
        assert (server.connections, server.most_open) == (most, most)
        if most == 1:
            assert server.bodies == bodies

    for most in (1, 3):
        asking(run, talk, handler=slow, at_once=most)


def test_who_gives_up_waiting_hands_the_turn_on(run: Any) -> None:
    async def talk(server: Server, connections: Connections) -> None:
        tasks = [asyncio.create_task(connections.post(b"%d" % number)) for number in range(6)]
        await asyncio.sleep(0)
        tasks[1].cancel()
        tasks[3].cancel()
        done = await asyncio.gather(*tasks, return_exceptions=True)
        assert [isinstance(one, Answer) for one in done] == [True, False, True, False, True, True]
        first, second = (asyncio.create_task(connections.post(b"x")) for _ in range(2))
        await asyncio.wait([first])
        second.cancel()  # in the same moment in which it gets its turn
        await asyncio.gather(second, return_exceptions=True)
        assert (await connections.post(b"last")).body == b"last"

    asking(run, talk, at_once=1)


def test_a_failure_frees_its_turn(run: Any) -> None:
    async def never(server: Server, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await server.request(reader)

    async def talk(server: Server, connections: Connections) -> None:
        done = await asyncio.gather(*(connections.post(b"1") for _ in range(10)), return_exceptions=True)
        assert all(isinstance(one, Broken) for one in done)

    asking(run, talk, handler=never, at_once=2)


# large, slow, late


def patterned(megabytes: int) -> bytes:
    return bytes(range(251)) * (megabytes * MEGABYTE // 251)


def test_twenty_megabytes_go_up_and_come_down(run: Any) -> None:
    async def talk(server: Server, connections: Connections) -> None:
        body = patterned(20)
        for _ in range(2):
            assert (await connections.post(body)).body == body
        assert server.connections == 1

    asking(run, talk)


def test_twenty_megabytes_come_in_chunks(run: Any) -> None:
    body = patterned(20)

    async def chunks(server: Server, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await server.request(reader)
        writer.write(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
        for start in range(0, len(body), 99_991):
            piece = body[start : start + 99_991]
            writer.write(b"%X\r\n%b\r\n" % (len(piece), piece))
            await writer.drain()
        writer.write(b"0\r\n\r\n")
        await reader.read()

    async def talk(server: Server, connections: Connections) -> None:
        assert (await connections.post(b"1")).body == body

    asking(run, talk, handler=chunks)


def test_a_large_body_is_written_as_it_is_taken(run: Any) -> None:
    async def deaf(server: Server, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.transport.pause_reading()
        await asyncio.sleep(60)

    async def talk(server: Server, connections: Connections) -> None:
        task = asyncio.create_task(connections.post(patterned(40)))
        await asyncio.sleep(0.2)
        (connection,) = connections.standing
        waiting = connection._transport.get_write_buffer_size()
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        assert 0 < waiting <= 2 * PIECE_BYTES
        for other in asyncio.all_tasks() - {asyncio.current_task()}:
            if other.get_coro().__qualname__.startswith("Server"):
                other.cancel()

    asking(run, talk, handler=deaf)


def test_an_answer_before_the_question_is_over_is_taken_and_the_connection_left(run: Any) -> None:
    async def refusing(server: Server, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(answer(b"too large").replace(b"200 OK", b"413 Too Large"))
        await writer.drain()
        await asyncio.sleep(0.05)

    async def talk(server: Server, connections: Connections) -> None:
        for _ in range(2):
            found = await connections.post(patterned(40))
            assert (found.status, found.body, found.keeps) == (413, b"too large", False)
        assert server.connections == 2

    asking(run, talk, handler=refusing)


def test_bytes_that_come_one_by_one_are_an_answer(run: Any) -> None:
    async def dripping(server: Server, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        for byte in answer(await server.request(reader)):
            writer.write(bytes([byte]))
            await writer.drain()
            await asyncio.sleep(0.001)
        await reader.read()

    async def talk(server: Server, connections: Connections) -> None:
        assert (await connections.post(b"slowly")).body == b"slowly"

    asking(run, talk, handler=dripping, stalled_s=0.5)


@pytest.mark.parametrize("first", [b"", b"HTTP/1.1 200", b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\na"])
def test_who_stops_sending_is_left(run: Any, first: bytes) -> None:
    async def stopping(server: Server, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await server.request(reader)
        writer.write(first)
        await reader.read()

    async def talk(server: Server, connections: Connections) -> None:
        with pytest.raises(TooSlow, match=r"stopped sending for 0\.1 s"):
            await connections.post(b"1")
        await asyncio.sleep(0.02)
        assert (server.open, connections.standing) == (0, set())

    asking(run, talk, handler=stopping, stalled_s=0.1)


def test_a_request_that_is_cancelled_closes_its_connection_and_no_other(run: Any) -> None:
    async def slow(server: Server, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while True:
            body = await server.request(reader)
            writer.write(answer(body)[:20])
            await reader.read(0 if body == b"fast" else -1)
            writer.write(answer(body)[20:])

    async def talk(server: Server, connections: Connections) -> None:
        task = asyncio.create_task(connections.post(b"slow"))
        assert (await connections.post(b"fast")).body == b"fast"
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        await asyncio.sleep(0.02)
        assert (server.connections, server.open) == (2, 1)
        assert (await connections.post(b"fast")).body == b"fast"
        assert server.connections == 2

    asking(run, talk, handler=slow)


def test_closing_ends_whoever_waits(run: Any) -> None:
    async def never(server: Server, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while await server.request(reader) == b"1":
            writer.write(answer(b"1"))
        await reader.read()

    async def talk(server: Server, connections: Connections) -> None:
        await connections.post(b"1")
        tasks = [asyncio.create_task(connections.post(b"2")) for _ in range(4)]  # one kept, one new, two wait for their turn
        await asyncio.sleep(0.05)
        await connections.close()
        done = await asyncio.gather(*tasks, return_exceptions=True)
        assert all(isinstance(one, Broken) for one in done)
        assert server.bodies == [b"1", b"2", b"2"]

    asking(run, talk, handler=never, at_once=2)


# addresses


class Names(asyncio.SelectorEventLoop):
    """A name service with one name."""

    looked_up = 0

    async def getaddrinfo(self, host: Any, port: Any, **more: Any) -> Any:
        if host == "127.0.0.1":
            return await super().getaddrinfo(host, port, **more)
        self.looked_up += 1
        await asyncio.sleep(0.01)
        if host != "models.example":
            raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", ("127.0.0.1", port))]


@pytest.mark.parametrize("name", ["models.example", "nowhere.example"])
def test_a_name_is_looked_up_once_for_all_who_connect(name: str) -> None:
    async def whole() -> tuple[list[Any], bytes]:
        async with serving(name=name) as (server, connections):
            done = await asyncio.gather(*(connections.post(b"1") for _ in range(9)), return_exceptions=True)
            return done, b"".join(server.raw[:1])

    with asyncio.Runner(loop_factory=Names) as runner:
        done, asked = runner.run(whole())
        loop = runner.get_loop()
        assert isinstance(loop, Names)
        assert loop.looked_up == 1
    if name == "models.example":
        assert [one.body for one in done] == [b"1"] * 9
        assert b"Host: models.example:" in asked
    else:
        assert all("Name or service not known" in str(one) for one in done)


def test_localhost_is_found_where_only_ipv6_listens(run: Any) -> None:
    try:
        with socket.socket(socket.AF_INET6) as probe:
            probe.bind(("::1", 0))
    except OSError:
        pytest.skip("this machine has no IPv6")

    async def talk(server: Server, connections: Connections) -> None:
        assert (await connections.post(b"1")).body == b"1"

    asking(run, talk, host="::1", name="localhost")
    asking(run, talk, host="::1", name="[::1]")


# TLS


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A certificate of our own for localhost, with its key, made on the spot."""
    if shutil.which("openssl") is None:
        pytest.skip("openssl, which makes the certificate, is not installed")
    folder = tmp_path_factory.mktemp("tls")
    command = ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2"]
    command += ["-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost", "-keyout", "key.pem", "-out", "cert.pem"]
    subprocess.run(command, cwd=folder, check=True, capture_output=True)
    return folder


@pytest.fixture
def tls(certificate: Path) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate / "cert.pem", certificate / "key.pem")
    return context


@pytest.fixture
def trusted(certificate: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate / "cert.pem"))


@pytest.mark.usefixtures("trusted")
def test_https_works_and_is_kept_for_small_and_large(run: Any, tls: ssl.SSLContext) -> None:
    async def talk(server: Server, connections: Connections) -> None:
        for body in (b"1", patterned(20), b"2"):
            assert (await connections.post(body)).body == body
        assert server.connections == 1

    asking(run, talk, tls=tls, name="localhost")


@pytest.mark.usefixtures("trusted")
def test_https_that_is_closed_while_nobody_asks_is_never_asked(run: Any, tls: ssl.SSLContext) -> None:
    async def once(server: Server, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(answer(await server.request(reader)))
        await writer.drain()
        writer.close()
        await writer.wait_closed()

    async def talk(server: Server, connections: Connections) -> None:
        for body in (b"1", b"2"):
            assert (await connections.post(body)).body == body
            await asyncio.sleep(0.05)
        assert (server.bodies, server.connections) == ([b"1", b"2"], 2)

    asking(run, talk, handler=once, tls=tls, name="localhost")


def test_a_certificate_of_nobody_is_refused(run: Any, tls: ssl.SSLContext) -> None:
    async def talk(server: Server, connections: Connections) -> None:
        with pytest.raises(OSError, match="certificate verify failed"):
            await connections.post(b"1")
        assert server.bodies == []

    asking(run, talk, tls=tls, name="localhost")


@pytest.mark.usefixtures("trusted")
def test_a_certificate_of_another_name_is_refused(run: Any, tls: ssl.SSLContext) -> None:
    async def talk(server: Server, connections: Connections) -> None:
        with pytest.raises(OSError, match=r"not valid for '127\.0\.0\.1'|IP address mismatch"):
            await connections.post(b"1")
        assert server.bodies == []

    asking(run, talk, tls=tls)


def test_a_handshake_that_never_ends_is_no_connection(run: Any) -> None:
    async def silent(server: Server, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read()

    async def whole() -> None:
        async with serving(silent) as (server, _):
            url = URL(f"https://127.0.0.1:{server.port}/")
            connections = Connections(url, head(url, {}), 4, Waits(0.15, None), closed=False)
            with pytest.raises(TooSlow, match=r"no connection within 0\.15 s"):
                await connections.post(b"1")
            await connections.close()
            await asyncio.sleep(0.05)
            assert (server.connections, server.open) == (1, 0)

    run(whole())
