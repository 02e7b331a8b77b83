"""Somebody's own search engine as a retriever.

    engine.yaml ─▶ read_engine ─▶ an Engine for every configuration ─▶ search(queries, depth) ─▶ Run

qrelkit only ever asks: nothing is written into an engine. A query that was not answered is a failure and no empty answer.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Collection, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, cast

from qrelkit.core.errors import InputError, Rejected, Unreachable
from qrelkit.core.records import Query, counted
from qrelkit.core.run import Run
from qrelkit.core.wire import digest_of
from qrelkit.retrievers.engines.asking import Asked, Manners, ask_all, run_alone
from qrelkit.retrievers.engines.commands import Command
from qrelkit.retrievers.engines.config import EngineConfig, Value, read_engine_config
from qrelkit.retrievers.engines.databases import Database, Postgres, Sqlite
from qrelkit.retrievers.engines.dialects import dialect_of
from qrelkit.retrievers.engines.grid import points
from qrelkit.retrievers.engines.hits import Way, run_of
from qrelkit.retrievers.engines.kept import Kept, key_of
from qrelkit.retrievers.engines.search import Search
from qrelkit.retrievers.engines.sql import Statement
from qrelkit.retrievers.engines.template import variables_of
from qrelkit.retrievers.engines.web import Web

ASKED = {  # what of a file an engine's answers depend on
    "kind", "version", "url", "index", "database", "file", "argv", "input", "method", "template", "params", "headers",
    "content_type", "hits", "id", "score", "total", "parent", "incomplete", "paging",
}  # fmt: skip


class Engine:
    """One configuration of an engine; `name` is the tag of its run, `variables` are those of the grid.

    `folder` is where files that it names lie, `allow_hosts` which hosts may be asked at all (None: every one), `environment`
    where secrets are. With `keep` every answer is on disk as it comes (`kept.py`), so that a search that ended early goes on
    where it stopped. A search that did not get an answer to every query raises; with `partial` it gives what came, and says in
    `notes["failed"]` what did not. Raises InputError for what is wrong with a template, a path or an address.
    """

    def __init__(
        self,
        config: EngineConfig,
        variables: Mapping[str, Value] | None = None,
        *,
        tag: str = "",
        folder: str | Path = ".",
        allow_hosts: Collection[str] | None = None,
        environment: Mapping[str, str] | None = None,
        keep: str | Path | None = None,
        partial: bool = False,
    ) -> None:
        own_tag, point = (tag, dict(variables)) if variables is not None else points(config)[0]
        self.name = tag or own_tag or config.name or config.kind
        self.config, self.variables, self.partial = config, point, partial
        self._folder, self._allow_hosts = Path(folder), allow_hosts
        self._environment = os.environ if environment is None else environment
        self._keep = Path(keep) if keep is not None else None
        self._kept: Kept | None = None
        self._way()  # says what is wrong with it before anything is asked

    @property
    def settings(self) -> Mapping[str, Any]:
        said = self.config.model_dump(mode="json", include=ASKED, exclude_defaults=True)
        user = {"user": self.config.auth.user} if self.config.auth.user else {}
        return {**said, "kind": self.config.kind, "variables": self.variables, **user}

    def keeping(self, path: str | Path | None, *, partial: bool | None = None) -> Engine:
        """This engine with its answers kept in the file `path`."""
        return Engine(
            self.config,
            self.variables,
            tag=self.name,
            folder=self._folder,
            allow_hosts=self._allow_hosts,
            environment=self._environment,
            keep=path,
            partial=self.partial if partial is None else partial,
        )

    def search(self, queries: Sequence[Query], depth: int) -> Run:
        """The `depth` best documents of each query as the engine ranks them, ties among them broken as a Run does.

        Queries that found nothing are in `notes["without_hits"]`. Raises Unreachable where queries were not answered (and not
        `partial`), or none was: what came is kept, and the next search asks only for the rest.
        """
        if depth < 1:
            raise InputError(f"depth must be at least 1, not {depth}")
        kept = self._kept_for(depth)
        keys = {query.query_id: key_of(query) for query in queries}
        rest = [query for query in queries if keys[query.query_id] not in kept]
        asked = self._asked(rest, keys, kept, depth) if rest else Asked()
        self._refuse(asked, len(queries))
        answers = {query_id: found for query_id, key in keys.items() if (found := kept.get(key)) is not None}
        run = run_of(answers, self.name, depth, parent=bool(self.config.parent))
        notes = {**run.notes, "retriever": {"name": self.name, **self.settings}}
        notes["without_hits"] = [query_id for query_id, answer in answers.items() if not answer.hits]
        if asked.failed:
            notes["failed"] = asked.failed
        else:
            self._kept = None
        return Run(run.frame, run.tag, notes)

    @property
    def local_files(self) -> list[Path]:
        """The files beside its own that its answers come from: SQLite's, a command's program."""
        named = [word for word in (self.config.file, *self.config.argv) if word]
        return [path for word in named if (path := self._folder / word).is_file()]

    def drop_kept(self) -> None:
        """Forgets the answers that were kept: the run that was made of them is there."""
        if self._keep is not None:
            self._keep.unlink(missing_ok=True)
        self._kept = None

    def __repr__(self) -> str:
        return f"Engine({self.name}: {self.config.kind}{''.join(f', {k} {v}' for k, v in self.variables.items())})"

    def _kept_for(self, depth: int) -> Kept:
        stamp = digest_of({"settings": self.settings, "depth": depth})
        if self._kept is None or self._kept.stamp != stamp:
            self._kept = Kept(self._keep, stamp)
        return self._kept

    def _asked(self, queries: Sequence[Query], keys: Mapping[str, str], kept: Kept, depth: int) -> Asked:
        """Asks; what would go wrong with every query says which configuration it is."""
        try:
            return run_alone(self._ask(queries, keys, kept, depth))
        except InputError as error:
            raise InputError(f"{self.name}: {error}") from None
        except Rejected as error:
            raise Rejected(f"{self.name}: {error}", fatal=error.fatal) from None

    async def _ask(self, queries: Sequence[Query], keys: Mapping[str, str], kept: Kept, depth: int) -> Asked:
        way, manners = self._way(), Manners(self.config)
        asyncio.get_running_loop().set_default_executor(ThreadPoolExecutor(self.config.at_once))  # Python's own has few threads
        variables = {query.query_id: {**variables_of(query, depth), **self.variables} for query in queries}

        async def answer(query_id: str) -> None:
            kept.add(keys[query_id], await way.answer(variables[query_id], manners))

        try:
            if isinstance(way, Command) and way.for_all:
                for query_id, found in (await way.answers(list(variables.values()), manners)).items():
                    kept.add(keys[query_id], found)
                return Asked()
            return await ask_all(variables, answer, at_once=self.config.at_once, give_up_after=self.config.give_up_after)
        finally:
            await way.close()

    def _refuse(self, asked: Asked, queries: int) -> None:
        if not asked.failed or (self.partial and len(asked.failed) < queries):
            return
        first, why = next(iter(asked.failed.items()))
        said = asked.gave_up or f"query {first}: {why}"
        kept = "what came is kept, and the same call asks only for the rest"
        ways = "; a run without them can be asked for (partial)" if len(asked.failed) < queries else ""
        many = f"{len(asked.failed)} of {counted(queries, 'query')} not answered"
        raise Unreachable(f"{self.name}: {many}: {said}; {kept}{ways}")

    def _way(self) -> Way:
        config = self.config
        if config.kind == "command":
            if self._allow_hosts is not None:
                raise InputError("what a command reaches cannot be known, and only named hosts are allowed")
            return Command(config, self.variables, self._folder)
        if config.kind in ("postgres", "sqlite"):
            statement = Statement(config, self.variables)
            if config.kind == "postgres":
                return Database(Postgres(config, statement, self._allow_hosts, self._environment), statement)
            return Database(Sqlite(config, statement, self._folder), statement)
        web = Web(config, self._folder, self._allow_hosts, self._environment)
        return Search(web, dialect_of(config))


def read_engine(
    path: str | Path,
    *,
    allow_hosts: Collection[str] | None = None,
    environment: Mapping[str, str] | None = None,
    partial: bool = False,
) -> list[Engine]:
    """The engines that a file describes: one for every configuration of its grid, in order.

    Files that it names are looked for beside it. Raises InputError with the file and the key that is wrong.
    """
    config = read_engine_config(path)
    folder = Path(path).resolve().parent
    try:
        return [
            Engine(
                config,
                cast("Mapping[str, Value]", point),
                tag=tag,
                folder=folder,
                allow_hosts=allow_hosts,
                environment=environment,
                partial=partial,
            )
            for tag, point in points(config)
        ]
    except InputError as error:
        raise InputError(f"{path}: {error}") from None
