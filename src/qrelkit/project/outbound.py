"""outbound: what would leave this machine and to whom, and what has left it; for a privacy office. No model is asked."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import orjson
import polars as pl

from qrelkit.core.collection import Collection
from qrelkit.core.doors import Model
from qrelkit.judges.several import models_of
from qrelkit.net.hosts import LOOPBACK
from qrelkit.project.config import JudgeConfig, StageConfig
from qrelkit.project.judging import each_judge
from qrelkit.project.line import line_of
from qrelkit.project.project import Project
from qrelkit.steps.forgotten import forgotten
from qrelkit.steps.guide import newest, texts_of
from qrelkit.steps.judge import standing
from qrelkit.steps.plan import Line, plan, queries_of
from qrelkit.steps.stages import Part, Stage
from qrelkit.text.prompt import Prompt, read_prompt

IN_PROCESS = ("local", "scripted", "replay")
HERE = "this machine"
NOT_SAID = "not said by its plugin"
COMMON = {"query": {"text", "images"}, "document": {"text", "title", "images"}}  # what prompts use anyway
ONLINE = "what a provider keeps of a call is for the contract with it"
RETENTION = {
    True: f"no_retention: batches are refused; {ONLINE}",
    False: f"a batch (judge --batch) stays with its provider for days or weeks, no_retention: true refuses that; {ONLINE}",
}


@dataclass(frozen=True, kw_only=True)
class Leaving:
    """What a stage would send to one model: `requests` at least and at most, and the things that they are about."""

    stage: str
    model: str
    host: str
    this_machine: bool
    fields: tuple[str, ...]
    requests: tuple[float, float]
    queries: int
    documents: int
    images: int


@dataclass(frozen=True, kw_only=True)
class Left:
    """What a stage has sent on behalf of one assessor, by whatever configuration; documents and queries are the judge's."""

    stage: str
    by: str
    models: tuple[str, ...]
    requests: int
    queries: int | None
    documents: int | None
    images: int | None


@dataclass(frozen=True, kw_only=True)
class Outbound:
    """All of it; `batches` are with their providers now."""

    line: Line
    leaving: tuple[Leaving, ...]
    left: tuple[Left, ...]
    batches: tuple[str, ...]
    rules: Mapping[str, Any]
    retention: str


def outbound(project: Project) -> Outbound:
    """What leaves and has left. Models are opened, for their addresses, and not asked."""
    line, config = line_of(project), project.config
    stages = {stage.name: stage for stage in plan(line)}
    pairs = _to_judge(line, asked_anew="guide" in stages)
    leaving = [one for name, stage in stages.items() for one in _of_stage(project, line, stage, name, pairs)]
    rules = {name: getattr(config, name) for name in ("local_only", "allow_hosts", "may_leave", "no_retention")}
    waiting = [row for row in line.store.batches() if not row.ended]
    batches = tuple(f"{row.requests:,} requests to {row.model} as {row.ticket or row.tag}" for row in waiting)
    return Outbound(
        line=line,
        leaving=tuple(leaving),
        left=tuple(_left(project)),
        batches=batches,
        rules=rules,
        retention=RETENTION[config.no_retention],
    )


def host_of(model: Model) -> tuple[str, bool]:
    """Where a model is asked, and whether that is this machine."""
    provider = model.name.partition(":")[0]
    if provider in IN_PROCESS:
        return HERE, True
    if provider == "ray":
        place = getattr(model, "address", None)
        return (f"the Ray cluster at {place}", False) if place else (f"{HERE} (Ray)", True)
    place = str(getattr(model, "place", NOT_SAID))
    return place, place.rpartition(":")[0].strip("[]") in LOOPBACK or place.strip("[]") in LOOPBACK


def _to_judge(line: Line, *, asked_anew: bool) -> pl.DataFrame:
    """The pairs that the judge would be asked about; all of a query whose guideline is still to be written."""
    state = standing(line.pool, line.judge(line.pool, None, False), line.collection, line.store)
    todo = pl.col("todo")
    if asked_anew:
        queries = queries_of(line, line.pool)
        written = newest(line.store, line.guidelines, texts=texts_of(queries))
        gone = forgotten(line.store).implode()
        todo |= ~pl.col("query_id").is_in(list(written)) & ~pl.col("doc_id").is_in(gone)
    return state.filter(todo).select("query_id", "doc_id")


def _of_stage(project: Project, line: Line, stage: Stage, name: str, pairs: pl.DataFrame) -> Iterator[Leaving]:
    config = project.config
    known = {part.model: part for part in stage.parts}
    if name == "guide" and config.guide is not None:
        about = {"queries": stage.todo, "documents": 0, "images": 0}
        yield _leaving(project, config.guide, known, name, _fields_of_guide(project, config.guide), about)
    elif name == "describe" and config.describe is not None and config.describe.model != "palette":
        about = {"queries": 0, "documents": 0, "images": stage.todo}
        yield _leaving(project, config.describe, known, name, _picture_words(config.describe), about)
    elif name == "judge":
        for one in each_judge(config.judge):
            if one.model in ("lexical", "") or one.model.startswith("labels:"):
                continue
            shown = _pictures(line.collection, pairs, one.images) if one.route == "shown" else 0
            about = {"queries": pairs["query_id"].n_unique(), "documents": pairs["doc_id"].n_unique(), "images": shown}
            yield _leaving(project, one, known, name, _fields_of_judge(project, one), about)


def _leaving(
    project: Project, config: StageConfig, known: Mapping[str, Part], stage: str, fields: Sequence[str], about: dict[str, int]
) -> Leaving:
    model = project.model(config.model)
    host, here = host_of(model)
    requests = known[model.name].requests if model.name in known else (0.0, 0.0)
    return Leaving(stage=stage, model=model.name, host=host, this_machine=here, fields=tuple(fields), requests=requests, **about)


def _pictures(collection: Collection, pairs: pl.DataFrame, most: int | None) -> int:
    """How many different pictures the pairs show, those of the queries included."""
    if pairs.is_empty():
        return 0
    images = collection.images(pairs["doc_id"].unique()).sort("doc_id", "position")
    shown = images if most is None else images.group_by("doc_id", maintain_order=True).head(most)
    asking = [image.digest for query_id in pairs["query_id"].unique() for image in collection.query(query_id).images]
    return len({*shown["digest"].drop_nulls(), *asking})


# which fields


def _fields_of_judge(project: Project, one: JudgeConfig) -> list[str]:
    may = project.config.may_leave
    seen = {"shown": _picture_words(one), "described": ("descriptions of images, with captions",)}.get(one.route, ())
    if may is not None and "images" not in may:
        seen = tuple(words.replace(", with captions", "") for words in seen)
    told = [f"{name} of documents" for name in one.fields]
    texts = " and ".join(name for name in ("title", "text") if may is None or name in may)
    where = [f"{texts} of documents (at most {one.max_document_chars:,} characters)"] if texts else []
    examples = [f"judged documents as examples ({one.examples.n} a query), with their grades"] if one.examples else []
    written = project.config.guide is not None or project.store.guidelines().height
    guided = ["guidelines of queries"] if one.guided and written else []
    prompt = read_prompt(project.prompt_of(one, "pointwise" if one.per_request == 1 else "group"), _purpose(one))
    return ["text of queries", *guided, *where, *told, *seen, *examples, *used_beside(prompt, may)]


def _purpose(one: JudgeConfig) -> str:
    return "judge" if one.per_request == 1 else "group"


def _fields_of_guide(project: Project, stage: StageConfig) -> list[str]:
    prompt = read_prompt(project.prompt_of(stage, "guide"), "guide")
    return ["text of queries", *used_beside(prompt, project.config.may_leave)]


def _picture_words(stage: StageConfig) -> tuple[str, ...]:
    captions = ", with captions" if isinstance(stage, JudgeConfig) else ""
    return (f"images (at most {stage.max_side_px} px, without metadata){captions}",)


def used_beside(prompt: Prompt, may_leave: Sequence[str] | None) -> list[str]:
    """What a prompt uses of queries and documents beside texts and images: `document.columns.brand`, `query.query_id`; less
    what may not leave."""
    from jinja2 import nodes

    tree = prompt.blocks["template"].environment.parse(prompt.source)
    paths = {path for node in tree.find_all((nodes.Getattr, nodes.Getitem)) if (path := _path(node))}
    longest = {path for path in paths if not any(other[: len(path)] == path and other != path for other in paths)}
    beside = {path for path in longest if path[0] in COMMON and path[1] not in COMMON[path[0]]}
    allowed = {path for path in beside if may_leave is None or path[-1] in may_leave or path[1:] == ("columns",)}
    return [".".join(path) for path in sorted(allowed)]


def _path(node: Any) -> tuple[str, ...]:
    """`document.columns.brand` as its names; empty for what is no such path."""
    from jinja2 import nodes

    if isinstance(node, nodes.Name):
        return (node.name,)
    if isinstance(node, nodes.Getattr):
        inner = _path(node.node)
        return (*inner, node.attr) if inner else ()
    if isinstance(node, nodes.Getitem) and isinstance(node.arg, nodes.Const):
        inner = _path(node.node)
        return (*inner, str(node.arg.value)) if inner else ()
    return ()


# what has left


def _left(project: Project) -> Iterator[Left]:
    """Every stage and assessor that asked a model, whatever the configuration says now."""
    store = project.store
    judges = {key: (name, orjson.loads(text)) for key, name, text in store.judges().select(*_JUDGE).iter_rows()}
    asked = store.judgments().filter(pl.col("request") != "").select("judge_key", "query_id", "doc_id")
    for stage, key, count in store.spending().filter(pl.col("asked") > 0).select("stage", "key", "asked").iter_rows():
        name, settings = judges.get(key, (key[:8], {}))
        rows = asked.filter(pl.col("judge_key") == key)
        judged = stage == "judge"
        images: int | None = None if stage == "bench" else 0  # of a benchmark only its own records know
        if stage == "describe":
            images = len(store.descriptions(key))
        elif judged:
            images = _shown(project, rows, settings)
        yield Left(
            stage=stage,
            by=name,
            models=tuple(models_of(settings)),
            requests=count,
            queries=rows["query_id"].n_unique() if judged else None,
            documents=rows["doc_id"].n_unique() if judged else None,
            images=images,
        )


_JUDGE = ("judge_key", "assessor", "settings")


def _shown(project: Project, rows: pl.DataFrame, settings: Mapping[str, Any]) -> int:
    """How many pictures a judge was shown, of documents that the collection still has."""
    shows = [one for one in (settings, *settings.get("judges", ())) if one.get("route") == "shown"]
    if not shows:
        return 0
    there = rows.filter(project.collection.contains(rows["doc_id"]))
    known = there.filter(pl.col("query_id").is_in(project.collection.queries["query_id"].implode()))
    return max(_pictures(project.collection, known, one.get("images")) for one in shows)
