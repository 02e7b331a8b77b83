"""Kept-alive connections to one address: what a chat call needs of them, and nothing else.

    post ─▶ its turn (at most `at_once` are out, first come first served) ─▶ the connection used last, or a new one ─▶ Answer

aiohttp's client does far more, and so takes half of the time of a whole call. What is sent and read is `http1.py`'s.
"""

from __future__ import annotations

import asyncio
import socket
from collections import deque
from contextlib import suppress
from dataclasses import dataclass
from ipaddress import ip_address
from typing import TYPE_CHECKING, Any, cast

from qrelkit.models.hosts import Resolver
from qrelkit.models.http1 import Answer, Broken

if TYPE_CHECKING:
    import ssl

    from yarl import URL

IDLE_S = 15.0  # routers forget a silent connection without a word, some after a minute
NAMES_S = 10.0  # how long found addresses are good; who is not found is asked for again after NO_NAME_S
NO_NAME_S = 1.0
OTHER_FAMILY_S = 0.25  # the wait before IPv4 is tried beside IPv6 (RFC 8305 §8)
PIECE_BYTES = 2**18  # what is handed to the system at a time


class Unasked(Broken):
    """The connection was over before a byte of the answer came."""


class TooSlow(TimeoutError):
    """A limit was passed; the text says which."""


@dataclass(frozen=True, slots=True)
class Waits:
    """Seconds: until a connection must stand, and between two bytes of an answer (None: any)."""

    connect_s: float
    stalled_s: float | None


class Connections:
    """The connections of one event loop to one address; `head` is what every request begins with (`http1.head`)."""

    def __init__(self, url: URL, head: bytes, at_once: int, waits: Waits, *, closed: bool) -> None:
        self.loop, self.waits = asyncio.get_running_loop(), waits
        self.open: set[Connection] = set()
        self._head, self._free = head, at_once
        self._idle: list[Connection] = []
        self._waiting: deque[asyncio.Future[None]] = deque()
        self._addresses = _Addresses(url.raw_host or "", url.port or 0, Resolver(closed, waits.connect_s), self.loop)
        self._tls = _tls() if url.scheme == "https" else None
        self._server_name = (url.raw_host or "").rstrip(".") if self._tls else None
        self._looking: asyncio.TimerHandle | None = None

    async def post(self, body: bytes) -> Answer:
        """The answer to one POST; raises OSError (`TooSlow` for a limit) where none came whole.

        A connection that was kept may have been closed by the server while the request was on its way, which shows as an end
        before the first byte of an answer: then the request is sent once more, on a new connection. It may be, although it is
        a POST, because a chat call changes nothing at the server, and the caller would try again all the same; where the
        connection is new, the server itself is at fault, and that is told.
        """
        if self._free and not self._waiting:
            self._free -= 1
        else:
            await self._turn()
        try:
            if (kept := self._kept()) is not None:
                with suppress(Unasked):
                    return await self._asked(kept, body)
            return await self._asked(await self._connected(), body)
        finally:
            self._pass_on()

    async def close(self) -> None:
        """Ends all connections and whoever waits for an answer."""
        if self._looking is not None:
            self._looking.cancel()
        over = [connection.over for connection in self.open]
        for connection in self.open:
            connection.transport.abort()
        if over:
            await asyncio.wait(over)
        await self._addresses.close()

    def watch(self) -> None:
        """Looks after stalled answers while there are any to come."""
        if self._looking is None and self.waits.stalled_s is not None:
            self._looking = self.loop.call_later(min(self.waits.stalled_s / 10, 1.0), self._look, self.waits.stalled_s)

    async def _asked(self, connection: Connection, body: bytes) -> Answer:
        answer = await connection.ask(b"%b%d\r\n\r\n" % (self._head, len(body)), body)
        if answer.keeps and not connection.transport.is_closing():
            connection.since = self.loop.time()
            self._idle.append(connection)
        return answer

    def _kept(self) -> Connection | None:
        """The connection that was used last; what has been idle for too long, and all below it, is closed."""
        while self._idle:
            connection = self._idle.pop()
            if not connection.transport.is_closing():
                if connection.since + IDLE_S > self.loop.time():
                    return connection
                connection.transport.abort()
        return None

    async def _connected(self) -> Connection:
        from aiohappyeyeballs import start_connection

        found, sock = await self._addresses.found(), None
        try:
            async with asyncio.timeout(self.waits.connect_s):
                sock = await start_connection(found, happy_eyeballs_delay=OTHER_FAMILY_S, interleave=1, loop=self.loop)
                sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                return (
                    await self.loop.create_connection(
                        lambda: Connection(self), sock=sock, ssl=self._tls, server_hostname=self._server_name
                    )
                )[1]
        except BaseException as error:
            if sock is not None:
                sock.close()  # if no transport has it yet
            if isinstance(error, TimeoutError):
                raise TooSlow(f"no connection within {self.waits.connect_s:g} s") from None
            raise

    async def _turn(self) -> None:
        turn = self.loop.create_future()
        self._waiting.append(turn)
        try:
            await turn
        except asyncio.CancelledError:
            if turn.done() and not turn.cancelled():
                self._pass_on()
            raise

    def _pass_on(self) -> None:
        while self._waiting:
            turn = self._waiting.popleft()
            if not turn.done():
                turn.set_result(None)
                return
        self._free += 1

    def _look(self, stalled_s: float) -> None:
        self._looking, before = None, self.loop.time() - stalled_s
        waiting = [connection for connection in self.open if connection.waits]
        for connection in waiting:
            if connection.since <= before:
                connection.fail(TooSlow(f"stopped sending for {stalled_s:g} s"))
        if waiting:
            self.watch()


class Connection(asyncio.Protocol):
    """One connection, which is asked one question at a time. `since` is when it last sent a byte, or fell idle."""

    __slots__ = ("_answer", "_coming", "_connections", "_room", "over", "since", "transport")

    def __init__(self, connections: Connections) -> None:
        self._connections = connections
        self._answer: Answer | None = None
        self._coming: asyncio.Future[Answer] = connections.loop.create_future()
        self._room: asyncio.Future[None] | None = None
        self.over: asyncio.Future[None] = connections.loop.create_future()
        self.since = 0.0

    async def ask(self, head: bytes, body: bytes) -> Answer:
        """The answer. Raises OSError; then, and when it is cancelled, the connection is closed."""
        connections, answer = self._connections, Answer()
        self._answer = answer
        self._coming = coming = connections.loop.create_future()
        if connections.waits.stalled_s is not None:
            self.since = connections.loop.time()
            connections.watch()
        try:
            if len(body) <= PIECE_BYTES:
                self.transport.write(head + body)
            else:
                await self._pour(head, body)
            return await coming
        finally:
            self._answer = None
            if not answer.keeps or coming.cancelled() or coming.exception() is not None:
                self.transport.abort()

    @property
    def waits(self) -> bool:
        """Whether an answer is to come."""
        return self._answer is not None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast(asyncio.Transport, transport)  # uvloop's are no subclass of it
        self._connections.open.add(self)

    def data_received(self, data: bytes) -> None:
        answer = self._answer
        if answer is None:  # nobody asked: what comes next could be taken for an answer to another question
            self.transport.abort()
            return
        if self._connections.waits.stalled_s is not None:
            self.since = self._connections.loop.time()
        try:
            if answer.feed(data):
                self._finish(answer)
        except Broken as error:
            self.fail(error)

    def connection_lost(self, error: Exception | None) -> None:
        self._connections.open.discard(self)
        self.over.set_result(None)
        if (answer := self._answer) is None:
            return
        if not answer.begun:
            self.fail(Unasked(answer.broke_off))
        elif error is not None:
            self.fail(Broken(f"{answer.broke_off} ({error})"))
        else:
            try:
                answer.end()
                self._finish(answer)
            except Broken as broken:
                self.fail(broken)

    def pause_writing(self) -> None:
        self._room = self._connections.loop.create_future()

    def resume_writing(self) -> None:
        self.since = self._connections.loop.time()
        self._make_room()

    def fail(self, error: OSError) -> None:
        """Whoever waits for the answer gets the error instead."""
        self._answer = None
        if not self._coming.done():
            self._coming.set_exception(error)
        self._make_room()

    def _finish(self, answer: Answer) -> None:
        self._answer = None
        if self.transport.get_write_buffer_size():
            answer.keeps = False  # it did not hear the question out
        if not self._coming.done():
            self._coming.set_result(answer)
        self._make_room()

    def _make_room(self) -> None:
        room, self._room = self._room, None
        if room is not None and not room.done():
            room.set_result(None)

    async def _pour(self, head: bytes, body: bytes) -> None:
        """Writes a large body as the other side takes it, or until it has answered."""
        self.transport.write(head)
        view = memoryview(body)
        for start in range(0, len(view), PIECE_BYTES):
            self.transport.write(view[start : start + PIECE_BYTES])
            if self._room is not None:
                await self._room
            if self._coming.done():
                if len(view) - start > PIECE_BYTES and self._coming.exception() is None:
                    self._coming.result().keeps = False
                return


class _Addresses:
    """Where a host is, by the rule of `hosts.Resolver`; one look-up serves all who connect meanwhile."""

    def __init__(self, host: str, port: int, resolver: Resolver, loop: asyncio.AbstractEventLoop) -> None:
        self._host, self._port, self._resolver, self._loop = host, port, resolver, loop
        self._lock, self._good_until = asyncio.Lock(), 0.0
        self._found: list[Any] = []
        self._error = ""

    async def found(self) -> list[Any]:
        """Addresses as `socket.getaddrinfo` gives them; raises OSError."""
        async with self._lock:
            if self._loop.time() >= self._good_until:
                await self._look_up()
        if self._error:
            raise OSError(self._error)
        return list(self._found)

    async def close(self) -> None:
        await self._resolver.close()

    async def _look_up(self) -> None:
        self._error = ""
        try:
            family = socket.AF_INET6 if ip_address(self._host).version == 6 else socket.AF_INET
            self._found, self._good_until = [self._one(self._host, family, 0)], float("inf")
            return
        except ValueError:
            pass  # a name
        try:
            named = await self._resolver.resolve(self._host, self._port)
            self._found = [self._one(one["host"], one["family"], one["proto"]) for one in named]
            self._good_until = self._loop.time() + NAMES_S
        except OSError as error:
            self._error, self._good_until = str(error), self._loop.time() + NO_NAME_S

    def _one(self, ip: str, family: int, proto: int) -> Any:
        place = (ip, self._port, 0, 0) if family == socket.AF_INET6 else (ip, self._port)
        return (family, socket.SOCK_STREAM, proto, "", place)


def _tls() -> ssl.SSLContext:
    """Certificates and names are checked, against the authorities that this machine trusts."""
    import ssl

    context = ssl.create_default_context()
    context.set_alpn_protocols(["http/1.1"])
    return context
