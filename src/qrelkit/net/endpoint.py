"""One address that is asked: bytes go out, status, headers and bytes come back, and every way of breaking off has a name.

Redirects, cookies, proxies and `.netrc` are not used: what was named is what is asked. Which hosts may be named at all is
`hosts.py`'s to say. Sockets are opened here (by aiohttp, for forms and files and lists) and in `connections.py` (for what is
asked all the time), and nowhere else.
"""

from __future__ import annotations

import asyncio
import io
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from qrelkit.core.errors import InputError, Unreachable
from qrelkit.net.connections import Connections, TooSlow, Waits
from qrelkit.net.hosts import Resolver
from qrelkit.net.http1 import head

if TYPE_CHECKING:
    from aiohttp import ClientSession
    from yarl import URL

KEY_FROM = 12  # characters: servers without keys are given words such as EMPTY
LARGE_BODY = 2**20  # aiohttp warns of plain bytes beyond this


@dataclass(slots=True)
class Endpoint:
    """Where requests go: `post` to the one path that is asked all the time, `request` to any other behind `base`.

    A connection must stand within `connect_timeout_s`, the answer be whole within `timeout_s`, and between two of its bytes
    may pass `stalled_s` (None: as much as is left). With `closed`, no name but localhost is resolved. `secret` is taken out of
    every text that a person may see; `at_once` bounds the connections. They serve the running event loop; in another loop new
    ones are opened.
    """

    base: URL
    path: str
    headers: Mapping[str, str] = field(repr=False)
    secret: str = field(repr=False)
    timeout_s: float
    at_once: int
    connect_timeout_s: float = 10.0
    stalled_s: float | None = None
    closed: bool = False
    url: URL = field(init=False)
    _connections: Connections | None = field(default=None, init=False, repr=False)
    _session: ClientSession | None = field(default=None, init=False, repr=False)
    _late: _Late | None = field(default=None, init=False, repr=False)
    _key: bytes = field(init=False, repr=False)

    def __post_init__(self) -> None:
        self.url, self._key = self._at(self.path), self.secret.encode() if len(self.secret) >= KEY_FROM else b""

    async def post(self, body: bytes) -> tuple[int, Mapping[str, str], bytes]:
        """Status, headers and body of the answer; raises Unreachable where none came whole."""
        late, connections = self._late, self._connections
        if late is None or connections is None or late.loop is not asyncio.get_running_loop():
            late, connections = await self._open()
        task = late.begins()
        try:
            answer = await connections.post(body)
            return answer.status, answer.headers, self._without_key(answer.body)
        except asyncio.CancelledError:
            if not late.was(task):
                raise
            raise self._unreachable(TimeoutError(), self.timeout_s) from None
        except OSError as error:
            raise self._unreachable(error, self.timeout_s) from None
        finally:
            late.ends(task)

    async def request(
        self,
        method: str,
        path: str,
        body: Any = None,
        headers: Mapping[str, str] | None = None,
        *,
        timeout_s: float | None = None,
    ) -> tuple[int, Mapping[str, str], bytes]:
        """Like `post`, to `path` behind the base address, whose query stays (Azure's api-version).

        `path` may have a query of its own, or be a whole address of the same origin. `body` is bytes, or a form or payload of
        aiohttp, which says itself what type it is; `headers` override the endpoint's; `timeout_s` is for what takes longer.
        Raises InputError for an address elsewhere.
        """
        from aiohttp import ClientError, ClientTimeout, FormData
        from aiohttp.payload import Payload

        if self._late is None or self._late.loop is not asyncio.get_running_loop():
            await self._open()
        session = self._session = self._session or self._client()
        own = dict(headers or {})
        data = io.BytesIO(body) if isinstance(body, bytes) and len(body) > LARGE_BODY else body
        if isinstance(data, FormData):
            data = data()
        if isinstance(data, Payload):  # else the session's type would hide the form's boundary
            own.setdefault("Content-Type", data.content_type)
        total = timeout_s or self.timeout_s
        limits = ClientTimeout(total=total, sock_connect=self.connect_timeout_s, sock_read=self.stalled_s)
        try:
            async with session.request(
                method, self._at(path), data=data, headers=own, allow_redirects=False, timeout=limits
            ) as response:
                return response.status, response.headers, self._without_key(await response.read())
        except (ClientError, OSError) as error:
            raise self._unreachable(error, total) from None

    async def close(self) -> None:
        """Closes the connections; the endpoint may be used again afterwards."""
        connections, session, late = self._connections, self._session, self._late
        self._connections = self._session = self._late = None
        if session is not None:
            await session.close()
        if connections is not None and late is not None and late.loop is asyncio.get_running_loop():
            await connections.close()

    @property
    def place(self) -> str:
        """Host and port, for people: never a query, which may hold a secret."""
        return self.base.authority

    def hidden(self, text: str) -> str:
        """The text without the secret."""
        return text.replace(self.secret, "***") if self.secret else text

    def _without_key(self, raw: bytes) -> bytes:
        """An answer in which nothing repeats the key: before it is cut for an error, or stored. (What is shorter is no key.)"""
        return raw.replace(self._key, b"***") if self._key and self._key in raw else raw

    def _at(self, path: str) -> URL:
        from yarl import URL

        if path.startswith("/"):
            return under(self.base, path)
        url = URL(path, encoded=True)
        if url.origin() != self.base.origin():
            raise InputError(f"{self.place}: it names an address elsewhere, {url.host}, which is not asked")
        return url

    def _unreachable(self, error: Exception, total: float) -> Unreachable:
        """What broke off, in words that say which limit it was."""
        from aiohttp import ConnectionTimeoutError, SocketTimeoutError

        if isinstance(error, TooSlow):
            return Unreachable(f"{self.place}: {error}")
        if isinstance(error, ConnectionTimeoutError):
            return Unreachable(f"{self.place}: no connection within {self.connect_timeout_s:g} s")
        if isinstance(error, SocketTimeoutError):
            return Unreachable(f"{self.place}: stopped sending for {self.stalled_s:g} s")
        if isinstance(error, TimeoutError):
            return Unreachable(f"{self.place}: no whole answer within {total:g} s")
        said = self.hidden(str(error) or type(error).__name__)
        return Unreachable(f"{self.place}: {said}; is the server running, and the address right?")

    async def _open(self) -> tuple[_Late, Connections]:
        loop, waits = asyncio.get_running_loop(), Waits(self.connect_timeout_s, self.stalled_s)
        if self._session is not None and self._late is not None and self._late.loop.is_closed():
            await self._session.close()
        self._session, self._late = None, _Late(loop, self.timeout_s)
        begin = head(self.url, self.headers)
        self._connections = Connections(self.url, begin, self.at_once, waits, closed=self.closed)
        return self._late, self._connections

    def _client(self) -> ClientSession:
        from aiohttp import ClientSession, DummyCookieJar, TCPConnector

        resolver: Any = Resolver(self.closed, self.connect_timeout_s)
        return ClientSession(
            connector=TCPConnector(limit=self.at_once, resolver=resolver),
            cookie_jar=DummyCookieJar(),
            headers=self.headers,
            trust_env=False,
        )


def under(base: URL, path: str) -> URL:
    """`path`, which may have a query, behind the path of `base`, whose own query stays (Azure's api-version)."""
    from yarl import URL

    name, _, query = path.partition("?")
    whole = base.raw_path.rstrip("/") + URL(name).raw_path
    queries = "&".join(part for part in (base.raw_query_string, query) if part)
    return URL(f"{base.origin()}{whole}" + (f"?{queries}" if queries else ""), encoded=True)


class _Late:
    """Ends posts that take longer than `timeout_s`. All have the same time, so the oldest is the first to be late and one
    timer serves all: one for each would be a good part of the work of a post."""

    def __init__(self, loop: asyncio.AbstractEventLoop, timeout_s: float) -> None:
        self.loop, self.timeout_s = loop, timeout_s
        self.posts: dict[asyncio.Task[Any], float] = {}
        self.over: set[asyncio.Task[Any]] = set()
        self.looking = False

    def begins(self) -> asyncio.Task[Any]:
        task = asyncio.current_task()
        assert task is not None
        self.posts[task] = self.loop.time() + self.timeout_s
        if not self.looking:
            self._look_again()
        return task

    def ends(self, task: asyncio.Task[Any]) -> None:
        self.posts.pop(task, None)

    def was(self, task: asyncio.Task[Any]) -> bool:
        """Whether a post was cancelled because it was late, and not by somebody else."""
        if task not in self.over:
            return False
        self.over.discard(task)
        return task.uncancel() == 0  # else somebody cancelled it besides, and is obeyed

    def _look_again(self) -> None:
        self.looking = True
        self.loop.call_later(min(self.timeout_s / 10, 1.0), self._look)

    def _look(self) -> None:
        now = self.loop.time()
        while self.posts and next(iter(self.posts.values())) <= now:
            task = next(iter(self.posts))
            del self.posts[task]
            self.over.add(task)
            task.cancel()
        if self.posts:
            self._look_again()
        else:
            self.looking = False
