"""A language model decides whether a free answer says what the gold answer says: 1, 0, or nothing that can be read.

The judge sees question, gold answer and answer as texts, never the image, at temperature 0. Its verdict is the whole reply: one
digit. Verdicts live in the ledger like every reply, so that judging the same answers again asks nobody.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, Literal

import polars as pl

from qrelkit.bench.smmile.exact import COMPLETED, with_exact
from qrelkit.core.doors import Model, Store
from qrelkit.core.wire import Flow, Message, Reply, Request, Settings, digest_of, text
from qrelkit.steps.drive import drive
from qrelkit.steps.tally import Tally
from qrelkit.steps.terms import Terms
from qrelkit.text.prompt import Prompt, read_prompt

SAMPLING = Settings(temperature=0.0, max_tokens=256)
Outcome = Literal["judged", "unreadable", "refused", "truncated", "failed"]
CASE = ("question", "gold", "answer")
_OPEN = COMPLETED & (pl.col("form") == "open")
_THOUGHT = re.compile(r"\A\s*<think>.*?</think>", re.DOTALL)


@dataclass(frozen=True, kw_only=True, slots=True)
class Verdict:
    """1 or 0; None with an outcome other than "judged"."""

    value: int | None
    outcome: Outcome = "judged"


@dataclass(frozen=True, kw_only=True)
class Judged:
    """`frame` is the answers with `verdict` (1, 0, null), `verdict_by` and `verdict_outcome` (both null where there is no open
    answer to judge); `unreadable` counts answers that have no verdict."""

    frame: pl.DataFrame
    judge: str
    unreadable: int
    tally: Tally

    @property
    def violations(self) -> pl.DataFrame:
        return violations(self.frame)


class AnswerJudge:
    """Asks one model; `key` digests everything that a verdict depends on besides the texts."""

    def __init__(self, model: str, prompt: Prompt | None = None, *, sampling: Settings = SAMPLING) -> None:
        self.model, self.sampling = model, sampling
        self.prompt = prompt or read_prompt("verdict", "verdict")
        self._system = Message("system", (text(self.prompt.render("system")),))

    @cached_property
    def settings(self) -> Mapping[str, Any]:
        return {
            "kind": "smmile verdict",
            "model": self.model,
            "prompt": self.prompt.name,
            "prompt_digest": self.prompt.digest,
            "sampling": self.sampling.json(),
        }

    @cached_property
    def key(self) -> str:
        return digest_of(self.settings)

    def flow(self, question: str, gold: str, answer: str) -> Flow[Verdict]:
        """One request, asked once."""
        user = Message("user", (text(self.prompt.render("ask", question=question, gold=gold, answer=answer)),))
        (reply,) = yield [Request(model=self.model, messages=(self._system, user), settings=self.sampling)]
        return read_verdict(reply)


def read_verdict(reply: Reply) -> Verdict:
    """The verdict that a whole reply is: 1 or 0, blanks around it and thinking in front of it aside; a longer text has none."""
    if reply.outcome in ("refused", "truncated", "failed"):
        return Verdict(value=None, outcome=reply.outcome)
    said = _THOUGHT.sub("", reply.text).strip()
    if reply.outcome == "answered" and said in ("0", "1"):
        return Verdict(value=int(said))
    return Verdict(value=None, outcome="unreadable")


def judge_answers(
    frame: pl.DataFrame,
    judge: AnswerJudge,
    *,
    store: Store,
    models: Mapping[str, Model],
    at_once: int | None = 16,
    budget_usd: float | None = None,
    terms: Terms = Terms(),
    progress: Callable[[Tally], None] | None = None,
) -> Judged:
    """Asks about every distinct (question, gold, answer) of the open answers that there are; the rest has no verdict.

    What was not asked (money ran out, interrupted) has the outcome "failed" and is asked by the next call.
    """
    cases = cases_of(frame)
    found: dict[tuple[str, str, str], Verdict] = {}

    def done(result: tuple[tuple[str, str, str], Verdict]) -> None:
        found[result[0]] = result[1]

    flows = (_of_case(judge, case) for case in _rows(cases))
    dials: dict[str, Any] = {"at_once": at_once, "budget_usd": budget_usd, "progress": progress}
    dials["terms"] = replace(terms, what=terms.what or f"smmile verdicts {judge.key}")
    tally = drive(flows, models=models, store=store, done=done, **dials)
    store.add_spending("bench smmile", judge.key, tally.numbers())
    verdicts = [found.get(case, Verdict(value=None, outcome="failed")) for case in _rows(cases)]
    told = cases.with_columns(
        pl.Series("verdict", [v.value for v in verdicts], dtype=pl.Int8),
        pl.Series("verdict_outcome", [v.outcome for v in verdicts], dtype=pl.String),
        verdict_by=pl.lit(judge.model),
        form=pl.lit("open"),
        status=pl.lit("answered"),
    )
    kept = frame.drop("verdict", "verdict_by", "verdict_outcome", strict=False)
    judged = kept.join(told, on=[*CASE, "form", "status"], how="left", maintain_order="left")
    return Judged(frame=judged, judge=judge.model, unreadable=unjudged(judged).height, tally=tally)


def cases_of(frame: pl.DataFrame) -> pl.DataFrame:
    """The distinct open answers that there are: question, gold, answer."""
    return frame.filter(_OPEN).select(CASE).drop_nulls("answer").unique(maintain_order=True)


def violations(frame: pl.DataFrame) -> pl.DataFrame:
    """Rows that a judge called wrong although they match exactly (flexible): a judge cannot be trusted that has many."""
    return with_exact(frame).filter(pl.col("exact_flexible") & (pl.col("verdict") == 0))


def unjudged(frame: pl.DataFrame) -> pl.DataFrame:
    """Open answers without a verdict: the judge was not heard or not understood, or never asked. They are neither right nor
    wrong."""
    return frame.filter(_OPEN & pl.col("answer").is_not_null() & pl.col("verdict").is_null())


def _of_case(judge: AnswerJudge, case: tuple[str, str, str]) -> Flow[tuple[tuple[str, str, str], Verdict]]:
    verdict = yield from judge.flow(*case)
    return case, verdict


def _rows(cases: pl.DataFrame) -> Iterator[tuple[str, str, str]]:
    yield from cases.iter_rows()
