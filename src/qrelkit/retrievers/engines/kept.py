"""What an engine has answered is on disk as it comes, beside the run that will be made of it: `.RUN.part`.

One line of JSON says what was asked (a digest of the engine's settings and the depth), then there is one for each answered
query. A search that was killed goes on after the last whole line; one with other settings begins anew.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import orjson

from qrelkit.core.errors import InputError
from qrelkit.core.records import Query
from qrelkit.core.wire import digest_of
from qrelkit.retrievers.engines.hits import Answer, Hit

FORMAT = 1


def part_of(run: str | Path) -> Path:
    """The file beside a run."""
    path = Path(run)
    return path.with_name(f".{path.name}.part")


def key_of(query: Query) -> str:
    """The digest of all that a query's answer depends on."""
    rule = query.combine.name if query.combine is not None else ""
    return digest_of([query.query_id, query.text, query.fingerprint, list(query.rewrites), rule])


class Kept:
    """The answers of one search by the queries' keys, in memory, and in the file `path` where there is one."""

    def __init__(self, path: Path | None, stamp: str) -> None:
        self.path, self.stamp = path, stamp
        self._answers: dict[str, Answer] = {}
        if path is not None:
            self._answers = _read(path, stamp)

    def get(self, key: str) -> Answer | None:
        return self._answers.get(key)

    def __contains__(self, key: str) -> bool:
        return key in self._answers

    def __len__(self) -> int:
        return len(self._answers)

    def add(self, key: str, answer: Answer) -> None:
        """Keeps an answer; it is on its way to the disk when this returns."""
        first = self.path is not None and not self._answers
        self._answers[key] = answer
        if self.path is None:
            return
        hits = [[one.doc_id, one.score, one.parent] for one in answer.hits]
        line = orjson.dumps({"query": key, "hits": hits, "cut_short": answer.cut_short}) + b"\n"
        if first:
            line = orjson.dumps({"format": FORMAT, "asked": self.stamp}) + b"\n" + line
        try:
            with self.path.open("wb" if first else "ab") as file:
                file.write(line)
        except OSError as error:
            raise InputError(f"{self.path}: cannot be written ({error.strerror or error})") from None

    def drop(self) -> None:
        """Forgets everything, the file too."""
        self._answers = {}
        if self.path is not None:
            self.path.unlink(missing_ok=True)


def _read(path: Path, stamp: str) -> dict[str, Answer]:
    """The answers of a file that are about this; a last line that broke off is cut away."""
    try:
        data = path.read_bytes()
    except OSError:
        return {}
    whole, _, torn = data.rpartition(b"\n")
    lines = whole.split(b"\n")
    answers: dict[str, Answer] = {}
    try:
        head = orjson.loads(lines[0])
        if not isinstance(head, dict) or head.get("format") != FORMAT or head.get("asked") != stamp:
            return {}
        for line in lines[1:]:
            said = orjson.loads(line)
            answers[said["query"]] = _answer(said)
    except (ValueError, KeyError, TypeError):
        return {}
    if torn:
        path.write_bytes(whole + b"\n")
    return answers


def _answer(said: Mapping[str, Any]) -> Answer:
    return Answer([Hit(doc_id, score, parent) for doc_id, score, parent in said["hits"]], said["cut_short"])
