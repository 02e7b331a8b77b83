"""A program as an engine: it prints TREC lines, for all queries in one call or for one query in each.

    argv: [./search.sh, --alpha, "{alpha}"]                 once: the queries come on its standard input
    argv: [./search.sh, --depth, "{depth}", --, "{query}"]  once per query, because it says {query}

There is no shell in between: a query is one argument, or the rest of one line, whatever is in it. An exit code other than 0 is
a failure, whatever was printed.
"""

from __future__ import annotations

import asyncio
import re
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import orjson

from qrelkit.core.errors import InputError, Rejected, UnknownName, Unreachable
from qrelkit.core.records import counted
from qrelkit.formats.trec import run_layout, table
from qrelkit.retrievers.engines.asking import Manners
from qrelkit.retrievers.engines.config import EngineConfig
from qrelkit.retrievers.engines.hits import Answer, Hit

OF_A_QUERY = ("query", "text", "query_id")
_HOLE = re.compile(r"\{([A-Za-z_]\w*)\}")
_CONTROL = re.compile(r"[\0-\x1f\x7f]+")


class Command:
    """The way to a program. `for_all`: it is called once, by `answers`."""

    def __init__(self, config: EngineConfig, point: Mapping[str, Any], folder: Path) -> None:
        self._argv, self._config, self._folder = config.argv, config, folder
        names = {name for word in config.argv for name in _HOLE.findall(word)}
        for name in sorted(names - {*OF_A_QUERY, "depth", *point}):
            raise InputError(f"command: argv: {UnknownName('variable', name, [*OF_A_QUERY, 'depth', *point])}")
        self.for_all = not names & set(OF_A_QUERY)

    async def answer(self, variables: Mapping[str, Any], manners: Manners) -> Answer:
        query_id = variables["query_id"]
        said = await manners.ask(lambda: asyncio.to_thread(self._printed, variables, b""))
        found = self._read(said, [query_id])
        return Answer(found.get(query_id, []))

    async def answers(self, asked: Sequence[Mapping[str, Any]], manners: Manners) -> dict[str, Answer]:
        """Every query's hits, none for one that the program did not print; Rejected where it printed nothing for any."""
        lines = b"".join(self._line(variables) for variables in asked)
        said = await manners.ask(lambda: asyncio.to_thread(self._printed, asked[0], lines))
        if not said.strip() and len(asked) > 1:
            name, many = Path(self._argv[0]).name, counted(len(asked), "query")
            raise Rejected(f"{name}: printed nothing for {many}; does it read them from its standard input?", fatal=True)
        found = self._read(said, [variables["query_id"] for variables in asked])
        return {variables["query_id"]: Answer(found.get(variables["query_id"], [])) for variables in asked}

    async def close(self) -> None:
        """There is nothing to close: every call has ended."""

    def _line(self, variables: Mapping[str, Any]) -> bytes:
        if self._config.input == "jsonl":
            return orjson.dumps({name: variables[name] for name in ("query_id", "query", "rewrites")}) + b"\n"
        return f"{variables['query_id']}\t{_CONTROL.sub(' ', variables['query'])}\n".encode()

    def _printed(self, variables: Mapping[str, Any], stdin: bytes) -> bytes:
        """What the program prints; raises InputError where it cannot be started, Rejected where it fails."""
        argv = [_HOLE.sub(lambda hole: str(variables[hole[1]]).replace("\0", " "), word) for word in self._argv]
        if ("/" in argv[0] or "\\" in argv[0]) and not Path(argv[0]).is_absolute():
            argv[0] = str((self._folder / argv[0]).resolve())
        name, limit_s = Path(argv[0]).name, self._config.timeout_s
        try:
            done = subprocess.run(argv, input=stdin, capture_output=True, timeout=limit_s, cwd=self._folder, check=False)
        except subprocess.TimeoutExpired:
            raise Unreachable(f"{name}: not done within {limit_s:g} s, and ended") from None
        except OSError as error:
            raise InputError(f"command: argv: {self._argv[0]} cannot be started ({error.strerror or error})") from None
        if done.returncode:
            last = done.stderr.decode("utf-8", "replace").strip().splitlines()[-1:] or ["it said nothing"]
            raise Rejected(f"{name}: exit code {done.returncode}: {last[0][:300]}")
        return done.stdout

    def _read(self, said: bytes, query_ids: Sequence[str]) -> dict[str, list[Hit]]:
        """Hits by query; raises InputError for what is no TREC line, or about a query that was not asked."""
        where = f"what {Path(self._argv[0]).name} prints"
        if not said.strip():
            return {}
        frame = table(said, run_layout(said, where), where)
        found: dict[str, list[Hit]] = {query_id: [] for query_id in query_ids}
        for query_id, doc_id, score in frame.select("query_id", "doc_id", "score").iter_rows():
            if query_id not in found:
                raise InputError(f"{where}: query {query_id!r} was not asked; do the ids match?")
            found[query_id].append(Hit(doc_id, score))
        return found
