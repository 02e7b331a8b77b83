"""The line of a project: its objects, ready for `plan` and `run`."""

from __future__ import annotations

from collections.abc import Mapping

import polars as pl

from qrelkit.core.doors import Judge
from qrelkit.core.pool import Pool
from qrelkit.project.project import BUILT_IN, Project
from qrelkit.steps.plan import Line


def line_of(project: Project) -> Line:
    """Everything that the configuration names, opened; stages it does not name are left out."""
    config = project.config
    stages = [stage for stage in (config.guide, config.describe, config.judge) if stage is not None]
    models = project.models(*{stage.model for stage in stages if stage.model not in BUILT_IN})
    described = config.judge.route == "described" or (config.judge.model == "lexical" and config.judge.route == "shown")

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
        at_once=config.at_once,
        budget_usd=config.budget_usd,
        excluded=lambda pool: excluded(project, pool),
        by=columns(project),
        weights=project.weights(),
        seed=config.seed,
    )


def excluded(project: Project, pool: Pool) -> pl.DataFrame | None:
    """The pairs shown to the judge as examples: they never count as agreement."""
    from qrelkit.judges.examples import pairs_shown

    if project.config.judge.examples is None:
        return None
    query_ids = pool.frame["query_id"].unique(maintain_order=True).to_list()
    return pairs_shown(project.examples(query_ids))


def columns(project: Project) -> pl.DataFrame | None:
    """The columns of the queries that tables are split by (`by:` in the configuration)."""
    return project.collection.queries.select("query_id", *project.config.by) if project.config.by else None
