"""What the test servers share: an application of aiohttp in a thread with an event loop of its own, on a port of its own."""

from __future__ import annotations

import asyncio
import ssl
import threading
from typing import Self

from aiohttp import web


class InThread:
    """A server while its `with` block lasts; `url` is its address with `path` behind it, `application` is what it serves."""

    path = ""
    tls: ssl.SSLContext | None = None

    def application(self) -> web.Application:
        raise NotImplementedError

    def __enter__(self) -> Self:
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._thread.start()
        self.port = asyncio.run_coroutine_threadsafe(self._start(), self._loop).result(10)
        self.url = f"{'https' if self.tls else 'http'}://127.0.0.1:{self.port}{self.path}"
        return self

    def __exit__(self, *error: object) -> None:
        asyncio.run_coroutine_threadsafe(self._runner.cleanup(), self._loop).result(10)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(10)
        self._loop.close()

    async def _start(self) -> int:
        self._runner = web.AppRunner(self.application(), access_log=None, shutdown_timeout=0.1)
        await self._runner.setup()
        await web.TCPSite(self._runner, "127.0.0.1", 0, ssl_context=self.tls).start()
        port: int = self._runner.addresses[0][1]
        return port
