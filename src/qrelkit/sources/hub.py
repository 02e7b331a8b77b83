"""Datasets of the Hugging Face hub in the layout of their projects' folders (extra `hub`).

    cache/hub/R2MED--Biology@8b9fec2d…/
      corpus.jsonl  query.jsonl  qrels.jsonl       of the configurations corpus, query|queries, qrels|default
      hyde/gpt4/query_with_hydoc.jsonl             of any other: configuration, split
      origin.json                                  which commit it is; written last

A configuration is found by what the card's head (`README.md`) says of it, else by names of folders and files; JSONL and Parquet.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from fnmatch import fnmatch
from pathlib import Path
from typing import Any

import orjson
import polars as pl

from qrelkit.core.cache import cache_folder
from qrelkit.core.errors import InputError, MissingExtra
from qrelkit.core.files import write_whole
from qrelkit.formats.jsonl import read_jsonl

ORIGIN = "origin.json"
KINDS = {
    "corpus": "corpus.jsonl",
    "query": "query.jsonl",
    "queries": "query.jsonl",
    "qrels": "qrels.jsonl",
    "default": "qrels.jsonl",
}
SHARD = re.compile(r"-\d{5}-of-\d{5}$")


def hub_folder(repo: str, revision: str = "") -> Path:
    """The folder of a dataset in the cache, downloaded if it is not there; without a `revision`, the newest commit.

    Raises MissingExtra without huggingface_hub, InputError where the hub does not have it or does not answer.
    """
    if revision and (known := _home(repo, revision)) and (known / ORIGIN).exists():
        return known
    snapshot, commit = downloaded(repo, revision)
    return laid_out(snapshot, _home(repo, commit), {"repo": repo, "asked": revision, "commit": commit})


def _home(repo: str, commit: str) -> Path:
    return cache_folder("hub") / f"{repo.replace('/', '--')}@{commit}"


def downloaded(repo: str, revision: str) -> tuple[Path, str]:
    """A snapshot of a dataset, and the commit that it is."""
    try:
        from huggingface_hub import snapshot_download
    except ImportError:
        raise MissingExtra(f"the dataset {repo} from the hub", "hub") from None
    try:
        snapshot = Path(snapshot_download(repo, repo_type="dataset", revision=revision or None))
    except (OSError, ValueError) as error:  # all that the hub's client raises derives from them
        first = (str(error).strip() or type(error).__name__).splitlines()[0]
        raise InputError(f"{repo} at {revision or 'its newest commit'}: cannot be had from the hub ({first})") from None
    return snapshot, snapshot.name  # the client keeps a snapshot under its commit


def laid_out(snapshot: Path, target: Path, origin: Mapping[str, str]) -> Path:
    """Writes a snapshot's configurations as the files of a dataset's folder. Raises InputError where one is missing."""
    target.mkdir(parents=True, exist_ok=True)
    parts: dict[Path, list[Path]] = {}
    for config, split, path in configured(snapshot) or named(snapshot):
        name = KINDS.get(config, f"{config}/{split}/query_with_hydoc.jsonl")
        parts.setdefault(target / name, []).append(path)
    for needed in ("corpus.jsonl", "query.jsonl", "qrels.jsonl"):
        if target / needed not in parts:
            there = ", ".join(sorted(p.relative_to(snapshot).as_posix() for p in snapshot.rglob("*") if p.is_file())[:10])
            raise InputError(f"{origin.get('repo', snapshot)}: has no configuration for {needed}; there is {there}")
    for path, sources in parts.items():
        path.parent.mkdir(parents=True, exist_ok=True)
        write_whole(b"".join(orjson.dumps(row) + b"\n" for source in sources for row in rows(source)), path)
    write_whole(orjson.dumps(dict(origin), option=orjson.OPT_INDENT_2), target / ORIGIN)
    return target


def configured(snapshot: Path) -> list[tuple[str, str, Path]]:
    """Configuration, split and file, as the head of the card says; nothing where it says nothing."""
    import yaml

    card = snapshot / "README.md"
    found = re.match(r"---\s*\n(.*?)\n---", card.read_text(encoding="utf-8"), re.DOTALL) if card.is_file() else None
    head: Any = yaml.safe_load(found[1]) if found else None
    configs = head.get("configs") if isinstance(head, dict) else None
    return [
        (config["config_name"], split, path)
        for config in configs or ()
        for split, pattern in _patterns(config)
        for path in _matching(snapshot, pattern)
    ]


def _patterns(config: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    files = config.get("data_files") or []
    for entry in [files] if isinstance(files, str | dict) else files:
        split, paths = ("train", entry) if isinstance(entry, str) else (entry.get("split", "train"), entry["path"])
        for path in [paths] if isinstance(paths, str) else paths:
            yield split, path


def _matching(snapshot: Path, pattern: str) -> list[Path]:
    there = sorted(p for p in snapshot.rglob("*") if p.is_file())
    return [path for path in there if fnmatch(path.relative_to(snapshot).as_posix(), pattern)]


def named(snapshot: Path) -> list[tuple[str, str, Path]]:
    """The same by names: `corpus.jsonl`, `corpus/corpus-00000-of-00001.parquet`, `hyde/gpt4.jsonl`."""
    out = []
    for path in sorted(p for p in snapshot.rglob("*") if p.suffix in (".jsonl", ".parquet")):
        inside = path.relative_to(snapshot)
        stem = SHARD.sub("", path.stem)
        folders = [part for part in inside.parent.parts if part != "data"]
        config = folders[0] if folders else stem
        out.append((config, folders[1] if len(folders) > 1 else stem, path))
    return out


def rows(path: Path) -> Iterator[dict[str, Any]]:
    """The rows of a JSONL or Parquet file."""
    if path.suffix == ".parquet":
        yield from pl.read_parquet(path).iter_rows(named=True)
        return
    yield from (line.value for line in read_jsonl(path))


def read_origin(folder: Path) -> dict[str, str]:
    """Where a folder came from; nothing for one that is not of the hub."""
    try:
        said: Any = orjson.loads((folder / ORIGIN).read_bytes())
    except (OSError, ValueError):
        return {}
    return {name: str(value) for name, value in said.items()} if isinstance(said, dict) else {}
