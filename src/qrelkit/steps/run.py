"""run: does what is still missing of the whole line, and ends in what the report says.

    guide ─▶ describe ─▶ judge ─▶ agree ─▶ expand ─▶ evaluate ─▶ compare

Every verb twice is free, so this is the same call whether nothing, something or everything is there already.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, field, replace
from typing import Any

from qrelkit.core.errors import InputError
from qrelkit.core.pool import Pool
from qrelkit.core.qrels import Qrels
from qrelkit.measures.aggregate import Scores
from qrelkit.measures.bounds import Unjudged
from qrelkit.steps.agree import agree
from qrelkit.steps.agreement import Agreement
from qrelkit.steps.compare import compare
from qrelkit.steps.comparison import Differences, Ranking
from qrelkit.steps.decision import Decision, decide
from qrelkit.steps.describe import Described, describe, images_to_describe
from qrelkit.steps.evaluate import evaluate
from qrelkit.steps.expand import Expansion, expand
from qrelkit.steps.forgotten import forgotten
from qrelkit.steps.guide import Guided, guide, newest, texts_of
from qrelkit.steps.judge import Judged, found, judge, standing
from qrelkit.steps.leave_out import leave_out
from qrelkit.steps.plan import Line, Watch, queries_of
from qrelkit.steps.tally import Tally


@dataclass(frozen=True, kw_only=True)
class Done:
    """What the line brought; stages that were not part of it are None, and so is what a stop did not allow. `uncorrected`: why
    people's grades do not correct the judge, where there are some that might have."""

    line: Line
    pool: Pool
    guided: Guided | None = None
    described: Described | None = None
    judged: Judged | None = None
    stopped: str = ""
    views: Mapping[str, Qrels] = field(default_factory=dict)
    agreements: Sequence[Agreement] = ()
    expansion: Expansion | None = None
    scores: Scores | None = None
    by: Mapping[str, Scores] = field(default_factory=dict)
    differences: Differences | None = None
    ranking: Ranking | None = None
    decision: Decision | None = None
    uncorrected: str = ""

    @property
    def tallies(self) -> dict[str, Tally]:
        """How each stage fared, in order."""
        stages = {"guide": self.guided, "describe": self.described, "judge": self.judged}
        return {name: stage.tally for name, stage in stages.items() if stage is not None}


def run(line: Line, watch: Watch = lambda name, todo: nullcontext()) -> Done:
    """Does the line; `watch(stage, todo)` gives a progress callback. A stop (budget, Ctrl-C) ends it with what there is."""
    done = Done(line=line, pool=line.pool)
    for stage in (_guide, _describe, _judge):
        done = stage(done, watch)
        if done.stopped:
            break
    return analysed(done)


def judged_so_far(line: Line) -> Judged | None:
    """The judgments of the line's judge that are in the store, nothing asked; None where no pair of the pool has a grade."""
    pooled = line.pool
    assessor = line.judge(pooled, None, False)
    judged = found(standing(pooled, assessor, line.collection, line.store), assessor, line.store)
    return judged if judged.ungraded < judged.frame.height else None


def known(line: Line) -> Done:
    """What the line brought so far, without asking anything: the judgments that are in the store.

    Where nothing is judged yet, the scores are by the human judgments alone; InputError where there are none either.
    """
    done = Done(line=line, pool=line.pool)
    if (judged := judged_so_far(line)) is not None:
        return analysed(replace(done, judged=judged))
    if not line.human:
        raise InputError("nothing is judged yet, and people judged nothing either: `qrelkit judge` comes first")
    first = next(iter(line.human.values()))
    return compared(replace(done, views={first.name: first}))


def _left(done: Done) -> float | None:
    """What is left of the budget."""
    if done.line.budget_usd is None:
        return None
    left = done.line.budget_usd - sum(tally.cost_usd for tally in done.tallies.values())
    return max(left, 1e-9)  # 0 would mean no budget; nothing costs less than this


def _dials(done: Done) -> dict[str, Any]:
    line = done.line
    return {"models": line.models, "at_once": line.at_once, "budget_usd": _left(done), "terms": line.terms}


def _guide(done: Done, watch: Watch) -> Done:
    line = done.line
    if line.guide_writer is None:
        return done
    queries = queries_of(line, done.pool)
    known = newest(line.store, line.guidelines, texts=texts_of(queries))
    with watch("guide", sum(q.query_id not in known for q in queries)) as show:
        dials = _dials(done) | {"progress": show}
        guided = guide(queries, line.guide_writer, store=line.store, folder=line.guidelines, **dials)
    return replace(done, guided=guided, stopped=guided.tally.stopped)


def _describe(done: Done, watch: Watch) -> Done:
    line = done.line
    if line.describer is None:
        return done
    doc_ids, query_ids = done.pool.frame["doc_id"], done.pool.frame["query_id"]
    digests = images_to_describe(line.collection, doc_ids, query_ids, forgotten(line.store))["digest"]
    with watch("describe", len(set(digests) - set(line.store.descriptions(line.describer.key)))) as show:
        dials = _dials(done) | {"progress": show}
        described = describe(line.collection, line.describer, store=line.store, doc_ids=doc_ids, query_ids=query_ids, **dials)
    return replace(done, described=described, stopped=described.tally.stopped)


def _judge(done: Done, watch: Watch) -> Done:
    line, assessor = done.line, done.line.judge(done.pool, None, False)
    todo = int(standing(done.pool, assessor, line.collection, line.store)["todo"].sum())
    with watch("judge", todo) as show:
        dials = _dials(done) | {"progress": show}
        judged = judge(done.pool, assessor, line.collection, store=line.store, **dials)
    return replace(done, judged=judged, stopped=judged.tally.stopped)


def analysed(done: Done) -> Done:
    """Agreement, expansion, scores and comparisons of what has been judged; nothing is asked."""
    line = done.line
    if done.judged is None:
        return done
    model = done.judged.qrels()
    if not model.graded.height:
        if done.stopped:
            return done
        raise InputError(f"{model.name} gave no grade at all; the first reasons: {_reasons(done)}")
    people = list(line.human.values())
    if people:
        expansion = _left_out(done, expand(people[0], model, pool=done.pool, scale=line.scale), people[0], model)
        excluded = line.excluded(done.pool)
        agreements = [agree(model, people, scale=line.scale, exclude=excluded, weights=line.weights, seed=line.seed)]
        done = replace(done, expansion=expansion, agreements=agreements)
    return compared(replace(done, views=views_of(done, model)))


def _left_out(done: Done, expansion: Expansion, people: Qrels, model: Qrels) -> Expansion:
    """The expansion with how far each system would move, had it not been in the pool; or with why nobody can tell."""
    line = done.line
    try:
        left = leave_out(line.measures[0], line.runs, people, filled={model.name: model}, depth=done.pool.depth)
    except InputError as error:
        return replace(expansion, not_left_out=str(error))
    return replace(expansion, left_out=left)


def views_of(done: Done, model: Qrels) -> dict[str, Qrels]:
    """The qrels that scores are shown under, side by side: people, the model, and people with the holes filled."""
    people = list(done.line.human.values())[:1]
    mixed = {"mixed": done.expansion.qrels} if done.expansion is not None else {}
    return {qrels.name: qrels for qrels in (*people, model)} | mixed


def compared(done: Done) -> Done:
    """Scores under every view, and how far holes could move them; the systems' differences under the first view, and, where that
    is people's, whether the second ranks the systems alike."""
    line = done.line
    views = list(done.views.values())
    dials: dict[str, Any] = {"weights": line.weights, "seed": line.seed}
    scores = evaluate(line.measures, line.runs, done.views, ranges=Unjudged.over(views, line.scale, done.pool), **dials)
    columns = [] if line.by is None else [line.by.select("query_id", name) for name in line.by.columns[1:]]
    by = {column.columns[1]: evaluate(line.measures, line.runs, views[0], by=column, **dials) for column in columns}
    done = replace(done, scores=scores, by=by)
    if len(line.runs) < 2:
        return done
    differences = compare(line.measures[0], line.runs, views[:1], **dials)
    by_people = done.judged is None or views[0].name != done.judged.judge.name
    ranking = compare(line.measures[0], line.runs, views[:2], **dials) if by_people and len(views) > 1 else None
    assert isinstance(differences, Differences)
    assert ranking is None or isinstance(ranking, Ranking)
    return replace(done, differences=differences, ranking=ranking)


def decided(done: Done, people: Qrels | None, *, seconds: float | None = None, warnings: Sequence[str] = ()) -> Done:
    """The judge corrected by `people`, a sample of human grades that was drawn by chance (`seconds`: their pace; `warnings`: what
    must be said of it, also where there is none).

    A sample leaves holes nearly everywhere, so the scores and comparisons beside it are then the judge's, and not people's with
    the holes as 0. Where people graded every pair, these are by all of their grades; where nothing can be corrected,
    `uncorrected` says why.
    """
    line = done.line
    if done.judged is None or not done.views or len(line.runs) < 2:
        return done
    if people is None:
        return replace(done, uncorrected="; ".join(warnings))
    model, levels = done.judged.qrels(), line.scale.values if line.scale is not None else ()
    dials: dict[str, Any] = {"levels": levels, "weights": line.weights, "seconds": seconds, "warnings": warnings}
    try:
        found = decide(line.measures[0], line.runs, model, people, sequential=True, **dials)
    except InputError as error:
        return replace(done, uncorrected="; ".join([str(error), *warnings]))
    done = replace(done, decision=found)
    theirs = [qrels.name for qrels in line.human.values()]
    views = {name: view for name, view in done.views.items() if name not in theirs}
    if found.corrected.design == "census":
        if len(theirs) < 2:
            return done
        views = {people.name: people} | views
    return compared(replace(done, views=views, ranking=None))


def _reasons(done: Done) -> str:
    assert done.judged is not None
    rows = done.line.store.judgments(done.judged.judge.key)
    reasons: list[str] = rows["reason"].unique(maintain_order=True).head(3).to_list()
    return "; ".join(reasons) or "none"
