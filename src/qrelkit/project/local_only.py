"""`local_only: true` fails closed: whatever could reach another machine is refused before a socket is opened.

models        an address that is not allowed (net/hosts.py); weights come from this machine only; a cluster by its address
collection    irds: and plugins fetch what they have not got; a remote image is never opened by any source anyway
store         a PostgreSQL server by its exact address, or through a socket of this machine
"""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping, Sequence
from typing import TYPE_CHECKING

from qrelkit.core.errors import InputError

if TYPE_CHECKING:
    from qrelkit.project.config import Config

_FETCHES = re.compile(r"[a-z][a-z0-9_-]+:.+")  # irds:ID, PLUGIN:REST
_SERVICES = ("service", "servicefile"), ("PGSERVICE", "PGSERVICEFILE")


def allowed_hosts(config: Config) -> Collection[str] | None:
    """The hosts that may be asked; None where every one may."""
    from qrelkit.net.hosts import LOOPBACK

    return (config.allow_hosts or LOOPBACK) if config.local_only else None


def hosts_asked(config: Config, collection: str, allow_host: Sequence[str], local_only: bool) -> Collection[str] | None:
    """The hosts that a command may ask, by its options or else by the configuration; None where every one may.

    Raises InputError for a collection that would be fetched where only named hosts may be asked.
    """
    from qrelkit.net.hosts import LOOPBACK

    hosts = [*allow_host, *(LOOPBACK if local_only else ())] or allowed_hosts(config)
    if hosts is not None:
        refuse_source(collection)
    return hosts


def refuse_host(what: str, host: str, allowed: Collection[str], port: str = "") -> None:
    """Raises InputError, beginning with `what`, for a host that may not be asked."""
    from qrelkit.net.hosts import address

    plain = f"[{host}]" if ":" in host else host
    try:
        address(f"http://{plain}:{port}" if port else f"http://{plain}", allowed)
    except InputError as error:
        raise InputError(f"{what}: {error}") from None


def fetched(spec: str) -> bool:
    """Whether a collection is named by who fetches it (`irds:ID`, `PLUGIN:REST`), and not by a path."""
    return _FETCHES.fullmatch(spec) is not None


def refuse_source(spec: str) -> None:
    """Raises InputError for a collection that may be fetched."""
    if fetched(spec):
        raise InputError(
            f"collection: {spec} may be fetched from another machine, and local_only is set; "
            "write it to a folder once, and name that folder"
        )


def refuse_cluster(model: str, place: str, allowed: Collection[str]) -> None:
    """Raises InputError for a Ray cluster whose head may not be asked, or is not named."""
    if place == "local":
        return
    host, colon, port = place.removeprefix("ray://").rpartition(":")
    if not colon:
        host, port = place, ""
    if host in ("auto", ""):
        raise InputError(f"models.{model}.address: {place!r} may be any machine, and local_only is set; give the exact address")
    refuse_host(f"models.{model}.address", host.strip("[]"), allowed, port)


def refuse_store(where: str, allowed: Collection[str], environment: Mapping[str, str]) -> None:
    """Raises InputError for a database on a machine that may not be asked, or whose machine the URL does not say.

    libpq takes from the environment, or from a file of services, what a URL leaves open.
    """
    from sqlalchemy.engine import make_url

    url = make_url(where)
    names, variables = _SERVICES
    if any(name in url.query for name in names) or any(environment.get(name) for name in variables):
        raise InputError("store: a service file may name any machine, and local_only is set; give the address in the URL")
    said = [url.host or "", environment.get("PGHOSTADDR", "")]
    said += [*_listed(url.query.get("host")), *_listed(url.query.get("hostaddr"))]
    hosts = [host for listed in said for host in listed.split(",") if host]
    if not hosts:
        raise InputError("store: the URL names no host, and local_only is set; name it: postgresql://127.0.0.1/NAME")
    for host in hosts:
        if host.lower() == "localhost":
            raise InputError("store: the system looks localhost up, and local_only is set; write 127.0.0.1 or ::1")
        if not host.startswith(("/", "@")):  # a socket of this machine
            name, colon, port = host.rpartition(":")
            only = (host, "") if not colon or not port.isdecimal() or ":" in name else (name, port)
            refuse_host("store", only[0].strip("[]"), allowed, only[1] or str(url.port or ""))


def _listed(value: str | tuple[str, ...] | None) -> tuple[str, ...]:
    return () if value is None else (value,) if isinstance(value, str) else tuple(value)
