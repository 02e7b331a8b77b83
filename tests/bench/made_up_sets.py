"""Datasets of a few lines in the layouts of the two projects."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

QUERIES = [
    {"id": "0", "text": "moths light", "doc_id": ["a"], "answer": "phototaxis", "body_system": "nervous"},
    {"id": "1", "text": "nostril breath", "doc_id": ["b"], "answer": "nasal cycle", "body_system": "respiratory"},
]
CORPUS = [
    {"id": "a", "text": "phototaxis moves moths to the light"},
    {"id": "b", "text": "one nostril takes the breath in the nasal cycle"},
    {"id": "c", "text": "bones of giants"},
]
QRELS = [{"q_id": "0", "p_id": "a", "score": 1}, {"q_id": "1", "p_id": "b", "score": 1}]
Rows = Sequence[Mapping[str, Any]]


def lines(path: Path, rows: Rows) -> Path:
    """Writes JSON lines."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows), encoding="utf-8", newline="\n")
    return path


def dataset(folder: Path, queries: Rows = QUERIES, corpus: Rows | None = CORPUS, qrels: Rows = QRELS) -> Path:
    """The folder of a dataset; without a corpus, only its queries and grades."""
    lines(folder / "query.jsonl", queries)
    lines(folder / "qrels.jsonl", qrels)
    if corpus is not None:
        lines(folder / "corpus.jsonl", corpus)
    return folder
