"""Files of hypothetical documents: ours, and those of other projects, told apart by their fields. One JSON object per line.

    ours                     id, text, method, model, rewrites [...], raw [...], counts {...}
    R2MED                    id, text, hy_doc                 what the model said, thinking and all
    AutoMIR (CMIRB)          id, text, rewrite_query
    HyDE (texttron/hyde)     qid, query, generations [...]
    by hand                  id, rewrite (a text, or several)

Whatever else a line holds is not looked at: R2MED's `doc_id` and AutoMIR's `doc` are the right answer. What is taken as it is in
the file is not changed, except that blank texts are left out and counted `empty`, absent ones (null) `failed`, and those that
hold a reasoning model's thinking `with_thinking`.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import orjson

from qrelkit.core.errors import InputError, UnknownName
from qrelkit.core.files import write_whole
from qrelkit.core.rewriting import METHODS, Rewrite
from qrelkit.core.thinking import FAMILIES, MISHAPS, Unclosed, answer_of
from qrelkit.formats.jsonl import read_jsonl
from qrelkit.formats.sidecars import read_sidecar, sha256_of

IDS = ("id", "qid", "query_id", "_id")
QUERIES = ("text", "query")
OURS = "rewrites"
THEIRS = ("hy_doc", "rewrite_query", "generations", "rewrite")
Texts = list[str | None]
_EXAMPLE = '{"id": "q1", "rewrite": "…"}'


class Rewrites(dict[str, Rewrite]):
    """Rewrites by query id. `source` is the file they are of: its name and SHA-256, `family` where the thinking was taken out
    anew, and `made`, what the sidecar of the file says of its making."""

    def __init__(self, rewrites: Mapping[str, Rewrite], source: Mapping[str, Any]) -> None:
        super().__init__(rewrites)
        self.source = source


def read_rewrites(path: str | Path, *, method: str = "", family: str = "", unclosed: Unclosed = "keep") -> Rewrites:
    """The rewrites of a file by query id, in its order.

    `method` goes before what the file says. With a `family` (`core/thinking.py`) the texts are made anew from what the model
    said, its thinking taken out; without one they are as the file has them. Raises InputError (file:line) for a line that cannot
    be read or a query that is there twice, UnknownName for a method or family.
    """
    if method and method not in METHODS:
        raise UnknownName("method of rewriting", method, METHODS)
    if family and family not in FAMILIES:
        raise UnknownName("family of reasoning models", family, FAMILIES)
    found: dict[str, Rewrite] = {}
    lines: dict[str, int] = {}
    for line in read_jsonl(Path(path)):
        where = f"{path}:{line.number}"
        query_id = _id(line.value, where)
        if query_id in lines:
            raise InputError(f"{where}: query {query_id!r} has its rewrites in line {lines[query_id]} already; keep one")
        lines[query_id] = line.number
        found[query_id] = _rewrite(line.value, query_id, where, method, family, unclosed)
    if not found:
        raise InputError(f"{path}: holds no rewrite; it needs one JSON object per line, such as {_EXAMPLE}")
    said: dict[str, Any] = {"file": Path(path).name, "sha256": sha256_of(path)}
    said |= {"family": family, "unclosed": unclosed} if family else {}
    made = read_sidecar(path)
    return Rewrites(found, said if made is None else {**said, "made": made})


def write_rewrites(rewrites: Mapping[str, Rewrite], path: str | Path) -> None:
    """Writes our form, one line per query, whole or not at all."""
    write_whole(lines_of(rewrites), path)


def lines_of(rewrites: Mapping[str, Rewrite]) -> bytes:
    """Our form as bytes. A text that is the raw one is written in both places: what was said stays what was said."""
    return b"".join(orjson.dumps(_json(rewrite), option=orjson.OPT_APPEND_NEWLINE) for rewrite in rewrites.values())


def _json(rewrite: Rewrite) -> dict[str, Any]:
    return {
        "id": rewrite.query_id,
        "text": rewrite.query,
        "method": rewrite.method,
        "model": rewrite.model,
        "rewrites": rewrite.texts,
        "raw": rewrite.raw,
        "counts": {name: count for name, count in rewrite.counts.items() if count},
    }


def _rewrite(value: dict[str, Any], query_id: str, where: str, method: str, family: str, unclosed: Unclosed) -> Rewrite:
    given, said, counts = _ours(value, where, bool(family)) if OURS in value else _theirs(value, where)
    answers = [answer_of(text, family or "none", unclosed) for text in given if text is not None]
    mishaps = Counter(answer.mishap for answer in answers if answer.mishap)
    if "counts" in value and not family:  # whoever wrote the line has looked at what stands in its texts
        del mishaps["with_thinking"]
    counts.update(mishaps)
    counts["failed"] += sum(text is None for text in given)
    return Rewrite(
        query_id=query_id,
        texts=tuple(answer.text for answer in answers if answer.text),
        raw=tuple(text for text in said if text is not None),
        query=_string(value, next((name for name in QUERIES if name in value), ""), where),
        method=method or _string(value, "method", where),
        model=_string(value, "model", where),
        counts={name: count for name, count in sorted(counts.items()) if count},
    )


def _ours(value: dict[str, Any], where: str, anew: bool) -> tuple[Texts, Texts, Counter[str]]:
    """The texts of a line of ours, what the model said, and what went wrong; `anew` from what it said, if that was kept."""
    said = _texts(value, "raw", where) if value.get("raw") else []
    kept = value.get("counts") or {}
    if not isinstance(kept, dict) or not all(type(count) is int and count >= 0 for count in kept.values()):
        raise InputError(f"{where}: counts must be whole numbers by name, found {_shown(kept)}")
    if anew and said:
        return said, said, Counter({name: count for name, count in kept.items() if name not in MISHAPS})
    return _texts(value, OURS, where), said, Counter(kept)


def _theirs(value: dict[str, Any], where: str) -> tuple[Texts, Texts, Counter[str]]:
    """The same of another project's line."""
    field = next((name for name in THEIRS if name in value), "")
    if not field:
        known = ", ".join((OURS, *THEIRS))
        raise InputError(f"{where}: has no rewrite in any of {known}; its fields are {', '.join(value) or 'none'}")
    texts = _texts(value, field, where)
    return texts, texts, Counter()


def _id(value: dict[str, Any], where: str) -> str:
    field = next((name for name in IDS if name in value), "")
    query_id = value.get(field)
    if isinstance(query_id, int) and not isinstance(query_id, bool):
        return str(query_id)
    if not isinstance(query_id, str) or not query_id:
        raise InputError(f"{where}: the query's id must be a text in {' or '.join(IDS)}, found {_shown(query_id)}")
    return query_id


def _texts(value: dict[str, Any], field: str, where: str) -> Texts:
    """One text or several, null for one that never came."""
    held = value.get(field, [])
    texts = held if isinstance(held, list) else [held]
    if not all(text is None or isinstance(text, str) for text in texts):
        raise InputError(f"{where}: {field} must be a text or a list of texts, found {_shown(held)}")
    return texts


def _string(value: dict[str, Any], field: str, where: str) -> str:
    held = value.get(field)
    if held is not None and not isinstance(held, str):
        raise InputError(f"{where}: {field} must be a text, found {_shown(held)}")
    return held or ""


def _shown(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 60 else text[:60] + "…"
