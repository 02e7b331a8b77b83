"""One address that is posted to: bytes go out, status, headers and bytes come back, and every way of breaking off has a name.

The only file here that opens sockets. Redirects, cookies, proxies and `.netrc` are not used: what was named is what is asked.
"""

from __future__ import annotations

import asyncio
import io
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from qrelkit.core.errors import InputError, Unreachable

if TYPE_CHECKING:
    from aiohttp import ClientSession
    from yarl import URL

LOOPBACK = ("localhost", "127.0.0.1", "::1")  # for `allow_hosts` where nothing may leave this machine
LARGE_BODY = 2**20  # aiohttp warns of plain bytes beyond this


@dataclass(slots=True)
class Endpoint:
    """Where requests go. `secret` is taken out of every text that a person may see; `at_once` bounds the connections.

    One session serves the running event loop; in another loop a new one is opened.
    """

    url: URL
    headers: Mapping[str, str] = field(repr=False)
    secret: str = field(repr=False)
    timeout_s: float
    at_once: int
    _session: ClientSession | None = field(default=None, repr=False)
    _loop: asyncio.AbstractEventLoop | None = field(default=None, repr=False)
    _broken: tuple[type[Exception], ...] = field(default=(OSError,), repr=False)

    async def post(self, body: bytes) -> tuple[int, Mapping[str, str], bytes]:
        """Status, headers and body of the answer; raises Unreachable where none came whole."""
        session = self._session
        if session is None or self._loop is not asyncio.get_running_loop():
            session = await self._open()
        data = body if len(body) <= LARGE_BODY else io.BytesIO(body)
        try:
            async with session.post(self.url, data=data, allow_redirects=False) as response:
                return response.status, response.headers, await response.read()
        except TimeoutError:
            raise Unreachable(f"{self.place}: no whole answer within {self.timeout_s:g} s") from None
        except self._broken as error:
            said = self.hidden(str(error) or type(error).__name__)
            raise Unreachable(f"{self.place}: {said}; is the server running, and the address right?") from None

    async def close(self) -> None:
        """Closes the connections; the endpoint may be used again afterwards."""
        session, self._session, self._loop = self._session, None, None
        if session is not None:
            await session.close()

    @property
    def place(self) -> str:
        """Host and port, for people: never a query, which may hold a secret."""
        return self.url.authority

    def hidden(self, text: str) -> str:
        """The text without the secret."""
        return text.replace(self.secret, "***") if self.secret else text

    async def _open(self) -> ClientSession:
        from aiohttp import ClientError, ClientSession, ClientTimeout, DummyCookieJar, TCPConnector

        if self._session is not None and self._loop is not None and self._loop.is_closed():
            await self._session.close()
        self._session = ClientSession(
            connector=TCPConnector(limit=self.at_once),
            cookie_jar=DummyCookieJar(),
            headers=self.headers,
            timeout=ClientTimeout(total=self.timeout_s),
        )
        self._loop, self._broken = asyncio.get_running_loop(), (ClientError, OSError)
        return self._session


def address(base_url: str, path: str, allow_hosts: Collection[str] | None = None) -> URL:
    """`base_url` with `path` behind its own, its query kept (Azure's api-version).

    Raises InputError where it is no http(s) address, holds a password, or its host (`host` or `host:port`) is not among
    `allow_hosts`; None allows every host.
    """
    from yarl import URL

    try:
        url = URL(base_url)
        host = (url.host or "").lower()
        allowed = allow_hosts is None or host in (names := {h.lower() for h in allow_hosts}) or f"{host}:{url.port}" in names
    except ValueError as error:
        raise InputError(f"base_url {base_url!r}: {error}") from None
    if url.scheme not in ("http", "https") or not host:
        raise InputError(f"base_url {base_url!r} is no address: it begins with http:// or https:// and a host")
    if url.user or url.password:
        raise InputError(f"base_url of {host}: leave name and password out of it; the key goes into the environment")
    if not allowed:
        known = ", ".join(sorted(allow_hosts or ())) or "none"
        raise InputError(f"the host {host} is not allowed (allowed: {known}); no request was sent")
    return url.with_path(url.path.rstrip("/") + path, keep_query=True)
