"""The line of a project: its objects, ready for `plan` and `run`."""

from __future__ import annotations

from collections.abc import Mapping

import polars as pl

from qrelkit.core.doors import Judge
from qrelkit.core.pool import Pool
from qrelkit.project.judging import each_judge, needs_descriptions
from qrelkit.project.project import Project
from qrelkit.steps.plan import Line


def line_of(project: Project) -> Line:
    """Everything that the configuration names, opened; stages it does not name are left out."""
    config = project.config
    models = {**project.models(*(s.model for s in (config.guide, config.describe) if s is not None)), **project.judge_models()}
    described = needs_descriptions(config.judge)

    def judge(pool: Pool, descriptions: Mapping[str, str] | None, draft: bool) -> Judge:
        return project.judge(pool, descriptions, draft=draft)

    return Line(
        collection=project.collection,
        runs=project.runs(),
        human=project.human(),
        store=project.store,
        judge=judge,
        models=models,
        guide_writer=project.guide_writer() if config.guide is not None else None,
        describer=project.describer() if described else None,
        guidelines=project.at(config.guidelines),
        scale=project.scale,
        measures=config.measures,
        depth=config.depth,
        at_once=project.at_once,
        budget_usd=project.budget_usd(),
        terms=project.terms(),
        excluded=lambda pool: excluded(project, pool),
        by=columns(project),
        weights=project.weights(),
        seed=config.seed,
    )


def excluded(project: Project, pool: Pool) -> pl.DataFrame | None:
    """The pairs shown as examples to the judge, or to any of its judges: they never count as agreement."""
    from qrelkit.judges.examples import pairs_shown

    query_ids = pool.frame["query_id"].unique(maintain_order=True).to_list()
    shows = [one for one in each_judge(project.config.judge) if one.examples is not None]
    shown = [pairs_shown(project.examples(query_ids, one)) for one in shows]
    return pl.concat(shown).unique(maintain_order=True) if shown else None


def columns(project: Project) -> pl.DataFrame | None:
    """The columns of the queries that tables are split by (`by:` in the configuration)."""
    return project.collection.queries.select("query_id", *project.config.by) if project.config.by else None
