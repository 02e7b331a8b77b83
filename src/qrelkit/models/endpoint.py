"""One address that is asked: bytes go out, status, headers and bytes come back, and every way of breaking off has a name.

The only file here that opens sockets. Redirects, cookies, proxies and `.netrc` are not used: what was named is what is asked.
Which hosts may be named at all is `hosts.py`'s to say.
"""

from __future__ import annotations

import asyncio
import io
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from qrelkit.core.errors import InputError, Unreachable
from qrelkit.models.hosts import Resolver

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
    every text that a person may see; `at_once` bounds the connections. One session serves the running event loop; in another
    loop a new one is opened.
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
    _session: ClientSession | None = field(default=None, init=False, repr=False)
    _late: _Late | None = field(default=None, init=False, repr=False)
    _broken: tuple[type[Exception], ...] = field(default=(OSError,), init=False, repr=False)

    def __post_init__(self) -> None:
        self.url = self._at(self.path)

    async def post(self, body: bytes) -> tuple[int, Mapping[str, str], bytes]:
        """Status, headers and body of the answer; raises Unreachable where none came whole."""
        late = self._late
        if late is None or late.loop is not asyncio.get_running_loop():
            late = await self._open()
        assert self._session is not None
        data = body if len(body) <= LARGE_BODY else io.BytesIO(body)
        task = late.begins()
        try:
            async with self._session.post(self.url, data=data, allow_redirects=False) as response:
                return response.status, response.headers, self._without_key(await response.read())
        except asyncio.CancelledError:
            if not late.was(task):
                raise
            raise self._unreachable(TimeoutError(), self.timeout_s) from None
        except self._broken as error:
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
        from aiohttp import ClientTimeout, FormData
        from aiohttp.payload import Payload

        if self._late is None or self._late.loop is not asyncio.get_running_loop():
            await self._open()
        assert self._session is not None
        own = dict(headers or {})
        data = io.BytesIO(body) if isinstance(body, bytes) and len(body) > LARGE_BODY else body
        if isinstance(data, FormData):
            data = data()
        if isinstance(data, Payload):  # else the session's type would hide the form's boundary
            own.setdefault("Content-Type", data.content_type)
        total = timeout_s or self.timeout_s
        limits = ClientTimeout(total=total, sock_connect=self.connect_timeout_s, sock_read=self.stalled_s)
        try:
            async with self._session.request(
                method, self._at(path), data=data, headers=own, allow_redirects=False, timeout=limits
            ) as response:
                return response.status, response.headers, self._without_key(await response.read())
        except self._broken as error:
            raise self._unreachable(error, total) from None

    async def close(self) -> None:
        """Closes the connections; the endpoint may be used again afterwards."""
        session, self._session, self._late = self._session, None, None
        if session is not None:
            await session.close()

    @property
    def place(self) -> str:
        """Host and port, for people: never a query, which may hold a secret."""
        return self.base.authority

    def hidden(self, text: str) -> str:
        """The text without the secret."""
        return text.replace(self.secret, "***") if self.secret else text

    def _without_key(self, raw: bytes) -> bytes:
        """An answer in which nothing repeats the key: before it is cut for an error, or stored. (What is shorter is no key.)"""
        key = self.secret.encode()
        return raw.replace(key, b"***") if len(key) >= KEY_FROM and key in raw else raw

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

        if isinstance(error, ConnectionTimeoutError):
            return Unreachable(f"{self.place}: no connection within {self.connect_timeout_s:g} s")
        if isinstance(error, SocketTimeoutError):
            return Unreachable(f"{self.place}: stopped sending for {self.stalled_s:g} s")
        if isinstance(error, TimeoutError):
            return Unreachable(f"{self.place}: no whole answer within {total:g} s")
        said = self.hidden(str(error) or type(error).__name__)
        return Unreachable(f"{self.place}: {said}; is the server running, and the address right?")

    async def _open(self) -> _Late:
        from aiohttp import ClientError, ClientSession, ClientTimeout, DummyCookieJar, TCPConnector

        if self._session is not None and self._late is not None and self._late.loop.is_closed():
            await self._session.close()
        resolver: Any = Resolver(self.closed, self.connect_timeout_s)
        self._session = ClientSession(
            connector=TCPConnector(limit=self.at_once, resolver=resolver),
            cookie_jar=DummyCookieJar(),
            headers=self.headers,
            timeout=ClientTimeout(total=None, sock_connect=self.connect_timeout_s, sock_read=self.stalled_s),
            trust_env=False,
        )
        self._late, self._broken = _Late(asyncio.get_running_loop(), self.timeout_s), (ClientError, OSError)
        return self._late


def under(base: URL, path: str) -> URL:
    """`path`, which may have a query, behind the path of `base`, whose own query stays (Azure's api-version)."""
    from yarl import URL

    name, _, query = path.partition("?")
    whole = base.raw_path.rstrip("/") + URL(name).raw_path
    queries = "&".join(part for part in (base.raw_query_string, query) if part)
    return URL(f"{base.origin()}{whole}" + (f"?{queries}" if queries else ""), encoded=True)


class _Late:
    """Ends posts that take longer than `timeout_s`. All have the same time, so the oldest is the first to be late and one
    timer serves all: aiohttp's own, one for each post, is a tenth of the work of a whole post."""

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
