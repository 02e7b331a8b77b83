"""The judge of a configuration, made of its names: one model, one file of labels, a cascade or a panel of such."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Literal

import polars as pl

from qrelkit.core.collection import Collection
from qrelkit.core.doors import Judge
from qrelkit.core.errors import InputError, UnknownName
from qrelkit.core.pool import Pool
from qrelkit.core.qrels import Qrels
from qrelkit.core.wire import Settings, Shrink
from qrelkit.project.config import JudgeConfig, SamplingConfig
from qrelkit.steps.forgotten import forgotten

if TYPE_CHECKING:
    from qrelkit.judges.pointwise import Look, Pointwise
    from qrelkit.project.project import Project
    from qrelkit.text.prompt import Prompt

LABELS = "labels:"
OWN = ("name", "cascade", "unsure", "panel", "rule", "quorum")  # keys that a judge within a judge does not take over


def members(stage: JudgeConfig) -> list[JudgeConfig]:
    """The judges within a cascade or panel: what one does not say for itself it takes from the judge around it."""
    if stage.cascade and stage.panel:
        raise InputError("judge: it is a cascade or a panel; one may stand inside the other (`panel: [{cascade: […]}, …]`)")
    around = {name: getattr(stage, name) for name in stage.model_fields_set if name not in OWN}
    own = [{name: getattr(one, name) for name in one.model_fields_set} for one in stage.cascade or stage.panel]
    return [JudgeConfig(**{**around, **said}) for said in own]


def each_judge(stage: JudgeConfig) -> Iterator[JudgeConfig]:
    """Every judge that decides for itself, however deep it stands."""
    within = members(stage)
    if not within:
        yield stage
    for one in within:
        yield from each_judge(one)


def sees_images(stage: JudgeConfig) -> bool:
    """Whether images, in some form, are part of what any judge is given."""
    return any(one.route != "text" for one in each_judge(stage))


def needs_descriptions(stage: JudgeConfig) -> bool:
    """Whether any judge reads what a describer wrote: on the route `described`, and `lexical` wherever it is to see."""
    return any(one.route == "described" or (one.model == "lexical" and one.route == "shown") for one in each_judge(stage))


def judge_of(
    project: Project, stage: JudgeConfig, pool: Pool, descriptions: Mapping[str, str] | None = None, *, draft: bool = False
) -> Judge:
    """The judge that a stage of the configuration names, for a pool."""
    if not stage.cascade and stage.unsure is not None:
        raise InputError("judge.unsure says what goes on in a cascade, and there is no judge.cascade")
    if within := members(stage):
        judges = [judge_of(project, one, pool, descriptions, draft=draft) for one in within]
        return _together(stage, judges)
    if stage.model.startswith(LABELS):
        return _labels(project, stage)
    reads = stage.route == "described" or (stage.model == "lexical" and stage.route == "shown")
    told = project.descriptions(reads) if descriptions is None else descriptions
    return _lexical(project, stage, pool, told) if stage.model == "lexical" else _of_model(project, stage, pool, told, draft)


def _together(stage: JudgeConfig, judges: Sequence[Judge]) -> Judge:
    from qrelkit.judges.cascade import Cascade, Unsure
    from qrelkit.judges.panel import Panel

    if stage.panel:
        return Panel(judges, rule=stage.rule, quorum=stage.quorum, name=stage.name)
    unsure = Unsure() if stage.unsure is None else Unsure(below=stage.unsure.below, grades=tuple(stage.unsure.grades))
    return Cascade(judges, unsure, name=stage.name)


def _labels(project: Project, stage: JudgeConfig) -> Judge:
    from qrelkit.formats.files import checked_columns, read_any_qrels
    from qrelkit.judges.labels import Labels

    path = stage.model.removeprefix(LABELS)
    qrels = read_any_qrels(str(project.at(path)), columns=checked_columns(project.config.columns))
    return Labels(qrels, project.scale, name=stage.name, source=path)


def _of_model(project: Project, stage: JudgeConfig, pool: Pool, descriptions: Mapping[str, str], draft: bool) -> Pointwise:
    from qrelkit.judges.groupwise import Groupwise
    from qrelkit.judges.pointwise import Pointwise
    from qrelkit.text.prompt import read_prompt

    query_ids: list[str] = pool.frame["query_id"].unique(maintain_order=True).to_list()
    options: dict[str, Any] = {
        "sampling": settings_of(stage.sampling),
        "samples": stage.samples,
        "examples": project.examples(query_ids, stage),
        "descriptions": descriptions,
        "name": stage.name,
    }
    model, guideline = project.model(stage.model).name, project.guideline(stage, draft=draft)
    shipped, purpose = ("pointwise", "judge") if stage.per_request == 1 else ("group", "group")
    prompt = read_prompt(project.prompt_of(stage, shipped), purpose)
    options["look"] = _look(stage, prompt, project.config.may_leave)
    if stage.per_request == 1:
        return Pointwise(model, guideline, prompt, **options)
    return Groupwise(model, guideline, prompt, per_request=stage.per_request, seed=stage.seed, **options)


def _lexical(project: Project, stage: JudgeConfig, pool: Pool, descriptions: Mapping[str, str]) -> Judge:
    from qrelkit.judges.lexical import Lexical

    described, cuts, pooled = stage.route != "text", _cuts(project, stage.cuts), pool.frame["doc_id"]
    there = project.collection.contains(pooled)
    known = there | ~pooled.is_in(forgotten(project.store).implode())
    read = pooled.filter(there) if cuts == "quantile" else None  # cuts that are learnt rest on documents outside the pool too
    return Lexical.fit(
        pool.frame.filter(known).select("query_id", "doc_id"),
        project.collection,
        project.scale,
        descriptions=described_documents(project.collection, descriptions, read) if described else None,
        cuts=cuts,
        analyzer=stage.analyzer,
        seed=project.config.seed,
        requires_description=described,
    )


def _cuts(project: Project, name: str) -> Literal["quantile"] | Qrels:
    """Where the lexical judge's cuts come from: the pool's own quantiles, or the qrels of an assessor."""
    if name == "quantile":
        return "quantile"
    human = project.human()
    if name not in human:
        raise UnknownName("assessor to learn cuts from", name, ["quantile", *human])
    return human[name]


def _look(stage: JudgeConfig, prompt: Prompt, may_leave: Sequence[str] | None) -> Look:
    """What the judge is given of a document, in the way that its prompt asks for (`look:` in its front matter)."""
    from qrelkit.judges.article import Articles
    from qrelkit.judges.pointwise import Look

    looks = {look.kind: look for look in (Look, Articles)}
    wanted = prompt.meta.get("look", "documents")
    if wanted not in looks:
        raise UnknownName(f"look in the front matter of prompt {prompt.name}", str(wanted), looks)
    return looks[wanted](
        route=stage.route,
        fields=tuple(stage.fields),
        max_document_chars=stage.max_document_chars,
        images=stage.images,
        shrink=Shrink(max_side_px=stage.max_side_px),
        may_leave=None if may_leave is None else tuple(may_leave),
    )


def settings_of(sampling: SamplingConfig) -> Settings:
    return Settings(**sampling.model_dump())


def described_documents(
    collection: Collection, descriptions: Mapping[str, str], doc_ids: pl.Series | None = None
) -> dict[str, str]:
    """Document id (of all, or of those named) → the descriptions of its images, joined in their order."""
    columns = {"digest": list(descriptions.keys()), "text": list(descriptions.values())}
    texts = pl.DataFrame(columns, schema={"digest": pl.String, "text": pl.String})
    images = collection.images(doc_ids).select("doc_id", "digest", "position")
    rows = images.join(texts, on="digest").sort("doc_id", "position")
    joined = rows.group_by("doc_id", maintain_order=True).agg(pl.col("text").str.join(" "))
    return dict(joined.iter_rows())
