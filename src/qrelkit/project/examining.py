"""What a project needs of a model: as long a context as its longest prompt, as many pictures as it shows, and so on."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from heapq import nlargest
from itertools import chain

from qrelkit.core.errors import QrelkitError
from qrelkit.core.records import Document, Pair, Query
from qrelkit.core.wire import Picture, Request
from qrelkit.project.config import JudgeConfig
from qrelkit.project.judging import each_judge, judge_of
from qrelkit.project.project import Project
from qrelkit.steps.heard import Needs
from qrelkit.steps.plan import STAND_IN
from qrelkit.steps.pool import pool
from qrelkit.steps.stages import first_rounds

LOOKED_AT = 20_000  # documents of the pool among which the longest is looked for


def needs_of(project: Project, name: str) -> Needs:
    """What the stages that ask a model need of it; one that no stage names is taken for the judge's.

    The longest prompt is that of the longest document in the pool, as the judge would write it; where there is no pool yet it is
    not known.
    """
    config, model = project.config, project.model(name)
    stages = [stage for stage in each_judge(config.judge) if stage.model == name]
    others = [stage for stage in (config.guide, config.describe) if stage is not None and stage.model == name]
    if not stages and not others:
        stages = [config.judge.model_copy(update={"model": name, "cascade": [], "panel": [], "unsure": None})]
    requests = [request for stage in stages for request in _longest(project, stage)]
    seen = any(stage.route == "shown" for stage in stages) or config.describe in others
    return Needs(
        context_tokens=max(map(model.tokens_in, requests), default=None),
        images=max([int(seen), *map(_pictures, requests)]),
        token_probabilities=any(stage.sampling.token_probabilities for stage in stages),
        samples=any(stage.samples > 1 for stage in stages),
        price=config.budget is not None or config.budget_usd is not None,
    )


def _longest(project: Project, stage: JudgeConfig) -> list[Request]:
    """What the judge would ask first about the longest documents of the pool, and about those with the most pictures."""
    try:
        pooled = pool(project.runs(), project.config.depth)
        queries = map(project.collection.query, pooled.frame["query_id"].unique())
        query = max(queries, key=lambda query: (len(query.images) if stage.route == "shown" else 0, len(query.text)))
        ids: list[str] = pooled.frame["doc_id"].unique(maintain_order=True).head(LOOKED_AT).to_list()
        measures: list[Callable[[Document], int]] = [lambda document: len(document.text)]
        if stage.route == "shown":
            measures.append(lambda document: len(document.images))
        groups = [nlargest(stage.per_request, project.collection.documents(ids), key=measure) for measure in measures]
        told = dict.fromkeys(_images(query, groups) if stage.route == "described" else (), STAND_IN)
        judge = judge_of(project, stage, pooled, told, draft=True)
        rounds = first_rounds(judge.flow([Pair(query=query, document=document) for document in group]) for group in groups)
    except QrelkitError:  # what is wrong with runs or collection is said by the checks of the project itself
        return []
    return [request for together in rounds for request in together]


def _images(query: Query, groups: Iterable[Sequence[Document]]) -> Iterator[str]:
    """The digests of all images of a query and of some documents."""
    shown: list[Query | Document] = [query, *chain.from_iterable(groups)]
    yield from (image.digest for one in shown for image in one.images)


def _pictures(request: Request) -> int:
    return sum(isinstance(part, Picture) for message in request.messages for part in message.parts)
