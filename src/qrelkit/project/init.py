"""init: the first qrelkit.yaml, with a word on every key that people change."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import orjson

from qrelkit.core.errors import InputError
from qrelkit.core.guideline import Scale
from qrelkit.project.config import NAME, read_config

TEMPLATE = """\
# qrelkit: {place}
collection: {collection}   # a folder (corpus.jsonl, queries.jsonl or topics.tsv), or irds:…
runs: {runs}   # TREC runs, patterns allowed
{qrels}
scale: {scale}   # product-3, binary, trec-0-3, likert-0-4, answer-1-4, or your own grades
depth: 20   # how far down each run the pool goes
measures: [nDCG@10, P@5, Judged@10]

judge:
  model: {model}   # provider:name (openai:gpt-4o-mini), or lexical: BM25 cut into grades, no model
  route: text   # text; described: images as text; shown: the images themselves
# guide: {{model: "openai:gpt-4o-mini"}}      # who writes each query's requirements
# describe: {{model: palette}}               # who describes images: a model, or palette (colours and patterns only)

# prices: {{"openai:gpt-4o-mini": {{input: 0.15, cached_input: 0.075, output: 0.60}}}}   # $ per million tokens
# budget_usd: 5
at_once: 16
# local_only: true   # no request leaves for a host that is not in allow_hosts
# allow_hosts: [localhost]
"""


def write_config(folder: Path, *, collection: str, runs: Sequence[str], qrels: str, model: str, scale: str) -> Path:
    """Writes qrelkit.yaml into a folder; raises InputError where there is one already, or a value cannot be used."""
    path = folder / NAME
    if path.exists():
        raise InputError(f"{path} exists already; edit it, or remove it first")
    Scale.read(scale)
    folder.mkdir(parents=True, exist_ok=True)
    human = f"qrels: {{human: {_quoted(qrels)}}}" if qrels else "# qrels: {ann: judged.qrels}   # human judgments by assessor"
    text = TEMPLATE.format(
        place=folder.resolve().name,
        collection=_quoted(collection or "."),
        runs="[" + ", ".join(map(_quoted, runs)) + "]",
        qrels=human,
        scale=scale,
        model=_quoted(model),
    )
    path.write_text(text, encoding="utf-8", newline="\n")
    read_config(path)  # what we hand out must be readable
    return path


def _quoted(value: str) -> str:
    """A YAML scalar: JSON strings are YAML strings."""
    return orjson.dumps(value).decode()
