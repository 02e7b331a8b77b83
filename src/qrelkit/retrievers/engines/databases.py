"""PostgreSQL and SQLite as engines: one statement per query, in worker threads, on connections that cannot write."""

from __future__ import annotations

import asyncio
import sqlite3
import threading
import time
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

from qrelkit.core.errors import InputError, MissingExtra, Rejected, Unreachable
from qrelkit.net.hosts import address
from qrelkit.retrievers.engines.asking import Manners
from qrelkit.retrievers.engines.config import EngineConfig
from qrelkit.retrievers.engines.hits import Answer
from qrelkit.retrievers.engines.sql import Statement, for_psycopg
from qrelkit.retrievers.engines.template import fts5
from qrelkit.retrievers.engines.web import secret_of

Rows = tuple[Sequence[str], Sequence[Sequence[Any]]]
_STEPS = 20_000  # of SQLite's machine between two looks at the clock
_WRONG_TEMPLATE = ("42P01", "42703", "42883", "42501", "25006", "3F000", "42P02", "42846")  # the same for every query


class Server(Protocol):
    """A database: opens connections and asks them. Raises Unreachable, Rejected or InputError, without secrets."""

    def connect(self) -> Any: ...
    def rows(self, connection: Any, values: Mapping[str, Any]) -> Rows: ...


class Database:
    """The way to an engine that is asked by SQL; a connection that met an error is not used again."""

    def __init__(self, server: Server, statement: Statement) -> None:
        self._server, self._statement = server, statement
        self._idle: list[Any] = []
        self._lock = threading.Lock()

    async def answer(self, variables: Mapping[str, Any], manners: Manners) -> Answer:
        values = self._statement.bound(variables)
        columns, rows = await manners.ask(lambda: asyncio.to_thread(self._rows, values))
        return Answer(self._statement.hits(columns, rows))

    async def close(self) -> None:
        while self._idle:
            self._idle.pop().close()

    def _rows(self, values: Mapping[str, Any]) -> Rows:
        with self._lock:
            connection = self._idle.pop() if self._idle else None
        connection = connection or self._server.connect()
        try:
            found = self._server.rows(connection, values)
        except BaseException:
            connection.close()
            raise
        with self._lock:
            self._idle.append(connection)
        return found


class Postgres:
    """A PostgreSQL server; every statement is a read-only transaction of its own, with a time limit, and is rolled back."""

    def __init__(
        self, config: EngineConfig, statement: Statement, allow_hosts: Collection[str] | None, environment: Mapping[str, str]
    ) -> None:
        self._config, self._environment = config, environment
        self._sql = for_psycopg(statement.text)
        self._where = conninfo(config.database)
        if allow_hosts is not None:
            refuse_place(self._where, allow_hosts, environment)
        self._secret = ""

    def connect(self) -> Any:
        import psycopg

        config, own = self._config, dict[str, Any](self._where)
        if config.auth.user:
            own["user"] = config.auth.user
        if config.auth.password_env:
            self._secret = own["password"] = secret_of(config.auth.password_env, self._environment)
        own.setdefault("connect_timeout", str(max(2, round(config.connect_timeout_s))))
        own.setdefault("application_name", "qrelkit")
        try:
            connection: Any = psycopg.connect(**own, autocommit=True, prepare_threshold=None)
            connection.execute("SET default_transaction_read_only = on")
            connection.execute(f"SET statement_timeout = {round(config.timeout_s * 1000)}")
        except psycopg.Error as error:
            raise Unreachable(f"PostgreSQL: {self._said(error)}") from None
        return connection

    def rows(self, connection: Any, values: Mapping[str, Any]) -> Rows:
        import psycopg

        try:
            connection.execute("BEGIN TRANSACTION READ ONLY")
            try:
                cursor = connection.execute(self._sql, values)
                if cursor.description is None:
                    raise InputError("postgres: template: the statement gives no rows; write a SELECT")
                return [column.name for column in cursor.description], cursor.fetchall()
            finally:
                if not connection.closed:
                    connection.execute("ROLLBACK")
        except psycopg.errors.QueryCanceled as error:
            raise Unreachable(f"PostgreSQL: no answer within {self._config.timeout_s:g} s ({self._said(error)})") from None
        except (psycopg.OperationalError, psycopg.InterfaceError) as error:
            raise Unreachable(f"PostgreSQL: {self._said(error)}") from None
        except psycopg.Error as error:
            raise Rejected(f"PostgreSQL: {self._said(error)}", fatal=error.sqlstate in _WRONG_TEMPLATE) from None

    def _said(self, error: Exception) -> str:
        text = " ".join(str(error).split())[:300]
        return text.replace(self._secret, "***") if self._secret else text


def conninfo(database: str) -> dict[str, str]:
    """The parts of an address or connection string; raises InputError for one that cannot be read, or holds a password."""
    try:
        from psycopg import ProgrammingError
        from psycopg.conninfo import conninfo_to_dict
    except ImportError:
        raise MissingExtra("an engine of kind postgres", "postgres") from None
    try:
        parts = conninfo_to_dict(database.replace("postgresql+psycopg://", "postgresql://", 1))
    except ProgrammingError:
        raise InputError("postgres: database: is neither postgresql://USER@HOST/NAME nor `host=… dbname=…`") from None
    if "password" in parts:
        raise InputError("postgres: database: leave the password out; `auth: {user: …, password_env: …}` names its variable")
    return {name: str(value) for name, value in parts.items()}


def refuse_place(parts: Mapping[str, str], allow_hosts: Collection[str], environment: Mapping[str, str]) -> None:
    """Raises InputError for a server on a machine that may not be asked, or whose machine is not named."""
    if "service" in parts or environment.get("PGSERVICE"):
        raise InputError("postgres: a service file may name any machine, and only named hosts are allowed; give the address")
    said = [parts.get("host", ""), parts.get("hostaddr", ""), environment.get("PGHOSTADDR", "")]
    hosts = [host.strip() for listed in said for host in listed.split(",") if host.strip()]
    if not hosts:
        raise InputError("postgres: database: name the host, as only named hosts are allowed: postgresql://127.0.0.1/NAME")
    for host in hosts:
        if host.lower() == "localhost":
            raise InputError("postgres: database: the system looks localhost up; write 127.0.0.1 or ::1")
        if not host.startswith(("/", "@")):  # a socket of this machine
            address(f"http://[{host}]" if ":" in host else f"http://{host}", allow_hosts)


class Sqlite:
    """A file of SQLite, opened for reading only; `fts5_words(text)` is the filter `fts5` as a function of SQL."""

    def __init__(self, config: EngineConfig, statement: Statement, folder: Path) -> None:
        self._path, self._timeout_s, self._sql = folder / config.file, config.timeout_s, statement.text

    def connect(self) -> sqlite3.Connection:
        if not self._path.is_file():
            raise InputError(f"sqlite: file: there is no {self._path}")
        where = f"{self._path.resolve().as_uri()}?mode=ro"
        connection = sqlite3.connect(
            where, uri=True, check_same_thread=False, timeout=self._timeout_s, isolation_level=None
        )  # fmt: skip
        try:
            connection.execute("PRAGMA query_only = ON")
            connection.create_function("fts5_words", -1, fts5, deterministic=True)
        except sqlite3.Error as error:
            connection.close()
            raise Rejected(f"sqlite: {self._path}: {error}", fatal=True) from None
        return connection

    def rows(self, connection: sqlite3.Connection, values: Mapping[str, Any]) -> Rows:
        until = time.monotonic() + self._timeout_s
        connection.set_progress_handler(lambda: time.monotonic() > until, _STEPS)
        try:
            cursor = connection.execute(self._sql, dict(values))
            if cursor.description is None:
                raise InputError("sqlite: template: the statement gives no rows; write a SELECT")
            return [column[0] for column in cursor.description], cursor.fetchall()
        except sqlite3.Warning as error:
            raise InputError(f"sqlite: template: {error}") from None
        except sqlite3.Error as error:
            text = str(error)
            if "interrupted" in text:
                raise Rejected(f"sqlite: no answer within {self._timeout_s:g} s") from None
            if "locked" in text or "busy" in text:
                raise Unreachable(f"sqlite: {text}") from None
            wrong = ("no such", "readonly", "not a database", "one statement", "malformed", "prohibited")
            raise Rejected(f"sqlite: {text}", fatal=any(word in text for word in wrong)) from None
