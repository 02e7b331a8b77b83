"""Who reranks, by name; and what it would ask.

cross:MODEL          a cross-encoder: bge-reranker, monobert, rankllama, a hub id, a folder
encoder:MODEL        an encoder (`models/encoders.yaml`, a hub id, a folder): only what is reranked is encoded
rerank:MODEL         an endpoint of the form of Cohere, Jina, vLLM; tei:MODEL one of text-embeddings-inference
judge, judge:MODEL   the project's judge, or the same with another model
listwise:MODEL       a language model that puts windows in order
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import lru_cache
from itertools import islice
from typing import TYPE_CHECKING, Any

from qrelkit.core.doors import Judge, Model, Reranker
from qrelkit.core.errors import InputError, UnknownName
from qrelkit.core.pool import Pool
from qrelkit.core.run import Run
from qrelkit.project.config import ModelConfig
from qrelkit.project.judging import settings_of
from qrelkit.project.local_only import allowed_hosts

if TYPE_CHECKING:
    from qrelkit.project.project import Project
    from qrelkit.retrievers.listwise import Listwise
    from qrelkit.steps.stages import Stage

OPTIONS: Mapping[str, tuple[str, ...]] = {
    "cross": ("max_length", "logit", "batch_size"),
    "encoder": ("task", "like", "query_prefix", "document_prefix", "trust_remote_code", "base_url"),
    "rerank": ("base_url",),
    "tei": ("base_url",),
    "judge": ("budget_usd",),
    "listwise": ("window", "step", "max_document_chars", "budget_usd"),
}
ENDPOINT_KEYS = ("base_url", "timeout_s", "extra_body")


@dataclass(frozen=True, kw_only=True)
class Who:
    """A reranker, the way it goes, and the models it asks by conversation (none where it asks none)."""

    reranker: Reranker | Judge | Listwise
    way: str
    models: Mapping[str, Model] = field(default_factory=dict)

    @property
    def converses(self) -> bool:
        return self.way in ("judge", "listwise")


def way_of(name: str, options: Mapping[str, Any]) -> tuple[str, str, dict[str, Any]]:
    """The way, the model, and the options that were given. Raises UnknownName for another way, InputError for a name without a
    model and for an option of another way."""
    way, _, model = name.partition(":")
    if way not in OPTIONS:
        raise UnknownName("way of reranking", way, OPTIONS)
    if not model and way != "judge":
        raise InputError(f"--model {name}: say which, as in {way}:MODEL")
    given = {key: value for key, value in options.items() if value is not None}
    for key in given:
        if key not in OPTIONS[way]:
            whose = " and ".join(known for known, keys in OPTIONS.items() if key in keys)
            raise InputError(f"--{key.replace('_', '-')} is for {whose}, and means nothing to {way}")
    return way, model, given


@contextmanager
def reranker_of(project: Project, name: str, run: Run, depth: int, options: Mapping[str, Any]) -> Iterator[Who]:
    """The reranker of a name, for the first `depth` documents of a run; closed in the end."""
    way, model, given = way_of(name, options)
    given.pop("budget_usd", None)
    if way == "cross":
        from qrelkit.models.cross_encoder import CrossEncoder

        yield Who(way=way, reranker=CrossEncoder(model, offline=project.config.local_only, **given))
    elif way == "encoder":
        yield Who(way=way, reranker=_encoder(project, model, given))
    elif way == "judge":
        yield Who(way=way, reranker=project.judge(Pool.of([run], depth)), models=project.judge_models())
    elif way == "listwise":
        from qrelkit.retrievers.listwise import Listwise

        sampling = settings_of(project.config.judge.sampling)
        lister = Listwise(project.model(model).name, sampling=sampling, may_leave=project.config.may_leave, **given)
        yield Who(way=way, reranker=lister, models=project.models(model))
    else:
        from qrelkit.core.cache import cache_folder
        from qrelkit.models.rerank_endpoint import RerankEndpoint

        endpoint = RerankEndpoint(name, keep=cache_folder("vectors"), **_place_of(project, name, given.get("base_url")))
        try:
            yield Who(way=way, reranker=endpoint)
        finally:
            endpoint.close()


def _encoder(project: Project, model: str, given: dict[str, Any]) -> Reranker:
    """An encoder as a reranker; where it is behind an endpoint, only what may leave is encoded."""
    from qrelkit.models.embeddings import Embeddings
    from qrelkit.models.encoder_reranker import EncoderReranker
    from qrelkit.models.encoders import encoder

    stated = {side: given.pop(f"{side}_prefix", None) for side in ("query", "document")}
    here = {"offline": project.config.local_only, "trust": given.pop("trust_remote_code", False)}
    made = encoder(model, stated=stated, allow_hosts=allowed_hosts(project.config), **here, **given)
    return EncoderReranker(made, project.config.may_leave if isinstance(made, Embeddings) else None)


def _place_of(project: Project, name: str, base_url: str | None) -> dict[str, Any]:
    """Where an endpoint is: what was said here counts before `models:` of the configuration."""
    config = project.config
    own = config.models.get(name, ModelConfig())
    for key in own.model_fields_set:
        if key not in ENDPOINT_KEYS:
            raise InputError(f"models.{name}.{key} means nothing for {name}; what does: {', '.join(ENDPOINT_KEYS)}")
    where = base_url or own.base_url
    if not where:
        raise InputError(f"{name}: where is it? Give --base-url, or `models: {{'{name}': {{base_url: …}}}}` in qrelkit.yaml")
    options = {"timeout_s": own.timeout_s, "extra_body": own.extra_body, "may_leave": config.may_leave}
    limit = {} if project.at_once is None else {"at_once": project.at_once}
    return {"base_url": where, "allow_hosts": allowed_hosts(config), **options, **limit}


def listing_stage(project: Project, lister: Listwise, model: Model, run: Run, depth: int) -> Stage:
    """What a list-maker would ask: the number of windows, and from some first ones what they take."""
    from qrelkit.models.prices import measured
    from qrelkit.retrievers.listwise import windows
    from qrelkit.steps.rerank import by_query
    from qrelkit.steps.stages import SAMPLED, Asked, Means, Part, Stage, first_rounds, part

    top = run.cut(depth)
    counts = top.frame.group_by("query_id").len()["len"].to_list()
    total = float(sum(1 for count in counts for _ in windows(count, lister.window, lister.step)))
    rounds = first_rounds(
        lister.flow(query, documents) for query, documents in islice(by_query(project.collection, top), SAMPLED)
    )
    means = Means(store=project.store, at_once=project.at_once, size=lru_cache(maxsize=None)(measured))
    parts: tuple[Part, ...] = ()
    if rounds:
        asked = Asked(model=model, rounds=rounds, items=len(rounds), todo=(total, total))
        parts = (part(asked, means),)
    return Stage(name="rerank", by=lister.name, items=len(counts), todo=len(counts), parts=parts)
