"""Which hosts may be asked: the address is checked before a socket is opened, and a name never becomes another machine.

Where nothing may leave (`local_only`), a host is allowed by being named: as `localhost`, which is always this machine's
loopback here, whatever DNS or a hosts file say of it, or as an exact IP address. Any other *name* is refused there, on either
side, as whoever answers for it would decide where the data go.
"""

from __future__ import annotations

import asyncio
import math
import socket
import time
from collections.abc import Collection
from ipaddress import ip_address
from typing import TYPE_CHECKING, Any

from qrelkit.core.errors import InputError

if TYPE_CHECKING:
    from yarl import URL

LOCALHOST = "localhost"
LOOPBACK = (LOCALHOST, "127.0.0.1", "::1")  # for `allow_hosts` where nothing may leave this machine
FOUND_S = 10.0  # how long addresses that were found are good
NOT_FOUND_S = 1.0  # and how long it is good that there are none


def address(base_url: str, allow_hosts: Collection[str] | None = None) -> URL:
    """`base_url` as an address that may be asked.

    Raises InputError where it is no http(s) address, holds a password, or its host is not among `allow_hosts` (`localhost`
    or an IP address, each with `:port` if only that one is meant); None allows every host.
    """
    from yarl import URL

    try:
        url = URL(base_url)
        port = url.port
    except ValueError as error:
        raise InputError(f"base_url {base_url!r}: {error}") from None
    host = (url.host or "").lower()
    if url.scheme not in ("http", "https") or not host:
        raise InputError(f"base_url {base_url!r} is no address: it begins with http:// or https:// and a host")
    if url.user or url.password:
        raise InputError(f"base_url of {host}: leave name and password out of it; the key goes into the environment")
    if allow_hosts is not None:
        allowed = {_place(entry) for entry in allow_hosts}
        if not {(_plain(host), None), (_plain(host), port)} & allowed:
            known = ", ".join(sorted(allow_hosts)) or "none"
            raise InputError(f"the host {host} is not allowed (allowed: {known}); no request was sent")
    return url


def _place(entry: str) -> tuple[str, int | None]:
    """Host and port (None: every port) of an entry of `allow_hosts`."""
    host, port = entry.strip().lower(), ""
    if _plain(host) is None and (found := host.rpartition(":"))[2].isdecimal():
        host, port = found[0].removeprefix("[").removesuffix("]"), found[2]
    plain = _plain(host)
    if plain is None:
        raise InputError(
            f"allow_hosts: {entry!r} is neither localhost nor an IP address; give the machine's address (base_url too), "
            "since whoever answers for a name decides where it leads"
        )
    return plain, int(port) if port else None


def _plain(host: str) -> str | None:
    """`localhost`, or an IP address in its one short form; None for any other name."""
    if host == LOCALHOST:
        return host
    try:
        return str(ip_address(host))
    except ValueError:
        return None


class Resolver:
    """What aiohttp asks for the addresses of a name: localhost is loopback; where `closed`, no other name has any."""

    def __init__(self, closed: bool, timeout_s: float) -> None:
        self._closed, self._timeout_s = closed, timeout_s
        self._system: Any = None

    async def resolve(self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_UNSPEC) -> list[Any]:
        """Addresses in aiohttp's form; raises OSError where there is none, or none may be used."""
        if host.lower() == LOCALHOST:
            kinds = (("127.0.0.1", socket.AF_INET), ("::1", socket.AF_INET6))
            flags = socket.AI_NUMERICHOST | socket.AI_NUMERICSERV
            return [
                {"hostname": host, "host": ip, "port": port, "family": kind, "proto": 0, "flags": flags}
                for ip, kind in kinds
                if family in (kind, socket.AF_UNSPEC)
            ]
        if self._closed:
            raise OSError(None, f"the name {host} is not looked up where only named addresses are allowed")
        if self._system is None:
            from aiohttp import DefaultResolver

            self._system = DefaultResolver()
        try:
            return list(await asyncio.wait_for(self._system.resolve(host, port, family), self._timeout_s))
        except TimeoutError:
            raise OSError(None, f"the name {host} was not resolved within {self._timeout_s:g} s") from None

    async def close(self) -> None:
        """Nothing is asked afterwards."""
        if self._system is not None:
            await self._system.close()


class Addresses:
    """Where a host is, by the rule of `Resolver`; one look-up serves all who want to connect meanwhile."""

    def __init__(self, host: str, port: int, closed: bool, timeout_s: float) -> None:
        self._host, self._port, self._resolver = host, port, Resolver(closed, timeout_s)
        self._one_asks, self._good_until = asyncio.Lock(), 0.0
        self._found: list[Any] = []
        self._error = ""

    async def found(self) -> list[Any]:
        """Addresses as `socket.getaddrinfo` gives them; raises OSError where there is none, or none may be used."""
        async with self._one_asks:
            if time.monotonic() >= self._good_until:
                await self._look_up()
        if self._error:
            raise OSError(self._error)
        return list(self._found)

    async def close(self) -> None:
        """Nothing is asked afterwards."""
        await self._resolver.close()

    async def _look_up(self) -> None:
        plain = _plain(self._host)
        named: list[Any]
        if plain is not None and plain != LOCALHOST:  # there is nothing to look up
            named, good_s = [{"host": self._host, "family": socket.AF_INET6 if ":" in plain else socket.AF_INET}], math.inf
        else:
            try:
                named, good_s, self._error = await self._resolver.resolve(self._host, self._port), FOUND_S, ""
            except OSError as error:
                named, good_s, self._error = [], NOT_FOUND_S, str(error)
        self._found = [self._info(one["host"], one["family"]) for one in named]
        self._good_until = time.monotonic() + good_s

    def _info(self, ip: str, family: int) -> Any:
        place = (ip, self._port, 0, 0) if family == socket.AF_INET6 else (ip, self._port)
        return (family, socket.SOCK_STREAM, socket.IPPROTO_TCP, "", place)
