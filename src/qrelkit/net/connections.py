"""Kept-alive connections to one address: what a chat call needs of them, and nothing else.

    post ─▶ its turn (at most `at_once` are out, first come first served) ─▶ the connection used last, or a new one ─▶ Answer

aiohttp's client does far more, and so takes half of the time of a whole call. What is sent and read is `http1.py`'s.
"""

from __future__ import annotations

import asyncio
import socket
from collections import deque
from dataclasses import dataclass
from typing import TYPE_CHECKING, cast

from qrelkit.net.hosts import Addresses
from qrelkit.net.http1 import Answer, Broken

if TYPE_CHECKING:
    import ssl

    from yarl import URL

IDLE_S = 15.0  # routers forget a silent connection without a word, some after a minute
OTHER_FAMILY_S = 0.25  # the wait before IPv4 is tried beside IPv6 (RFC 8305 §8)
RACE_S = 0.1  # an end this soon after a question was on its way before it: half of the longest way there and back
PIECE_BYTES = 2**18  # what is handed to the system at a time


class Unanswered(Broken):
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
        self.standing: set[Connection] = set()
        self._head, self._free = head, at_once
        self._idle: list[Connection] = []
        self._waiting: deque[asyncio.Future[None]] = deque()
        self._addresses = Addresses(url.raw_host or "", url.port or 0, closed, waits.connect_s)
        self._tls = _tls() if url.scheme == "https" else None
        self._server_name = (url.raw_host or "").rstrip(".") if self._tls else None
        self._looking: asyncio.TimerHandle | None = None
        self._over = False

    async def post(self, body: bytes) -> Answer:
        """The answer to one POST; raises OSError (`TooSlow` for a limit) where none came whole.

        A connection that was kept may have been closed by the server, as idle, while the request was on its way. That shows as
        an end at once (`RACE_S`) and before the first byte of an answer: then the request, which nobody has read, is sent once
        more, on a new connection. An end that comes later may have been paid for, and on a new connection the server itself is
        at fault: both are told, so that the caller counts what it asks again.
        """
        if self._free and not self._waiting:
            self._free -= 1
        else:
            await self._turn()
        try:
            connection = self._kept() or await self._connected()
            start = self.loop.time()
            try:
                return await self._asked(connection, body)
            except Unanswered:
                if not connection.kept or self.loop.time() - start > RACE_S:
                    raise
            return await self._asked(await self._connected(), body)
        finally:
            self._pass_on()

    async def close(self) -> None:
        """Ends all connections and whoever waits for an answer."""
        self._over = True
        if self._looking is not None:
            self._looking.cancel()
        still = list(self.standing)
        for connection in still:
            connection.close()
        await asyncio.gather(*(connection.over for connection in still))
        await self._addresses.close()

    def watch(self) -> None:
        """Looks after stalled answers while there are any to come."""
        if self._looking is None and self.waits.stalled_s is not None:
            self._looking = self.loop.call_later(min(self.waits.stalled_s / 10, 1.0), self._look, self.waits.stalled_s)

    async def _asked(self, connection: Connection, body: bytes) -> Answer:
        answer = await connection.ask(b"%b%d\r\n\r\n" % (self._head, len(body)), body)
        if answer.keeps and connection.open and not self._over:
            connection.kept, connection.since = True, self.loop.time()
            self._idle.append(connection)
        else:
            connection.close()
        return answer

    def _kept(self) -> Connection | None:
        """The connection that was used last; what has been idle for too long, and all below it, is closed."""
        while self._idle:
            connection = self._idle.pop()
            if connection.open and connection.since + IDLE_S > self.loop.time():
                return connection
            connection.close()
        return None

    async def _connected(self) -> Connection:
        from aiohappyeyeballs import start_connection

        if self._over:
            raise Broken("its connections were closed")
        found, sock = await self._addresses.found(), None
        try:
            async with asyncio.timeout(self.waits.connect_s):
                sock = await start_connection(found, happy_eyeballs_delay=OTHER_FAMILY_S, interleave=1, loop=self.loop)
                sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                _, connection = await self.loop.create_connection(
                    lambda: Connection(self), sock=sock, ssl=self._tls, server_hostname=self._server_name
                )
                return connection
        except BaseException as error:
            if sock is not None:
                sock.close()  # if no transport has it yet
            if isinstance(error, TimeoutError) and error.errno is None:  # ours, not the system's
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
        waiting = [connection for connection in self.standing if connection.waits]
        for connection in waiting:
            if connection.since <= before:
                connection.fail(TooSlow(f"stopped sending for {stalled_s:g} s"))
        if waiting:
            self.watch()


class Connection(asyncio.Protocol):
    """One connection, which is asked one question at a time.

    `kept` says that it has answered before, `since` when it last sent a byte or fell idle, `over` comes with its end. Whether
    it is `open` is for us to know: before Python 3.12 a transport of TLS does not say that the other side has closed it.
    """

    __slots__ = ("_answer", "_coming", "_connections", "_room", "_transport", "kept", "open", "over", "since")

    def __init__(self, connections: Connections) -> None:
        self._connections = connections
        self._answer: Answer | None = None
        self._coming: asyncio.Future[Answer] = connections.loop.create_future()
        self._room: asyncio.Future[None] | None = None
        self.over: asyncio.Future[None] = connections.loop.create_future()
        self.open, self.kept, self.since = False, False, 0.0

    async def ask(self, head: bytes, body: bytes) -> Answer:
        """The answer. Raises OSError; then, and when it is cancelled, the connection is closed."""
        if not self.open:
            raise Unanswered("the connection was closed as soon as it stood")
        connections = self._connections
        coming: asyncio.Future[Answer] = connections.loop.create_future()
        self._answer, self._coming = Answer(), coming
        if connections.waits.stalled_s is not None:
            self.since = connections.loop.time()
            connections.watch()
        try:
            if len(body) <= PIECE_BYTES:
                self._transport.write(head + body)
            else:
                await self._pour(head, body)
            return await coming
        except BaseException:
            self._answer = None
            self.close()
            if not coming.cancel() and not coming.cancelled():
                coming.exception()  # nobody else will ask for it
            raise

    @property
    def waits(self) -> bool:
        """Whether an answer is to come."""
        return self._answer is not None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)  # uvloop's are no subclass of it
        self.open = True
        self._connections.standing.add(self)

    def data_received(self, data: bytes) -> None:
        answer = self._answer
        if answer is None:  # nobody asked: what comes next could be taken for an answer to another question
            self.close()
            return
        if self._connections.waits.stalled_s is not None:
            self.since = self._connections.loop.time()
        try:
            if answer.feed(data):
                self._finish(answer)
        except Broken as error:
            self.fail(error)

    def eof_received(self) -> None:
        self._end(None)
        self.close()

    def connection_lost(self, error: Exception | None) -> None:
        self.open = False
        self._connections.standing.discard(self)
        self.over.set_result(None)
        self._end(error)

    def pause_writing(self) -> None:
        self._room = self._connections.loop.create_future()

    def resume_writing(self) -> None:
        self.since = self._connections.loop.time()
        self._make_room()

    def close(self) -> None:
        """Ends it at once."""
        if self.open:
            self.open = False
            self._transport.abort()

    def fail(self, error: OSError) -> None:
        """Whoever waits for the answer gets the error instead."""
        self._answer = None
        if not self._coming.done():
            self._coming.set_exception(error)
        self._make_room()

    def _end(self, error: Exception | None) -> None:
        """The other side sends no more: an answer that was to come is whole by that, or broke off."""
        if (answer := self._answer) is None:
            return
        try:
            if error is not None or not answer.begun:
                said = answer.broke_off + (f" ({error})" if error is not None else "")
                raise Broken(said) if answer.begun else Unanswered(said)
            answer.end()
            self._finish(answer)
        except Broken as broken:
            self.fail(broken)

    def _finish(self, answer: Answer) -> None:
        self._answer = None
        if self._transport.get_write_buffer_size():
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
        self._transport.write(head)
        view = memoryview(body)
        for start in range(0, len(view), PIECE_BYTES):
            self._transport.write(view[start : start + PIECE_BYTES])
            if self._room is not None:
                await self._room
            if self._coming.done():
                if len(view) - start > PIECE_BYTES and self._coming.exception() is None:
                    self._coming.result().keeps = False
                return


def _tls() -> ssl.SSLContext:
    """Certificates and names are checked, against the authorities that this machine trusts."""
    import ssl

    context = ssl.create_default_context()
    context.set_alpn_protocols(["http/1.1"])
    return context
