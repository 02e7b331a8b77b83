"""Which rewriter was asked for: names and files become one object."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from qrelkit.core.errors import InputError, UnknownName
from qrelkit.core.qrels import Qrels
from qrelkit.core.rewriting import METHODS
from qrelkit.core.thinking import Unclosed, family_of
from qrelkit.core.wire import Settings
from qrelkit.project.project import BUILT_IN, Project
from qrelkit.rewriters.demonstrations import Demonstrations, drawn_from, gold_of, read_demonstrations
from qrelkit.rewriters.hypothetical import LONG, SAMPLING, SHOWN, Hypothetical, Shown, Thinking
from qrelkit.steps.forgotten import without_forgotten
from qrelkit.text.prompt import read_prompt


@dataclass(frozen=True, kw_only=True)
class Wanted:
    """A rewriter as it is asked for. "" is the usual: the method's prompt, the prompt's task, the family of the model's name, and
    demonstrations drawn from the collection's qrels."""

    method: str
    model: str
    generations: int = 1
    prompt: str = ""
    task: str = ""
    temperature: float | None = SAMPLING.temperature
    max_tokens: int | None = None
    seed: int | None = None
    thinking: str = ""
    unclosed: Unclosed = "keep"
    examples: str = ""
    shots: int = 4
    shown: Shown = SHOWN


def rewriter_of(project: Project, wanted: Wanted) -> Hypothetical:
    """The rewriter, ready to be asked. Raises UnknownName or InputError for what is not there."""
    if wanted.method not in METHODS:
        raise UnknownName("method of rewriting", wanted.method, METHODS)
    if wanted.unclosed not in ("keep", "drop"):
        raise UnknownName("rule for thinking that is not closed", wanted.unclosed, ("keep", "drop"))
    if wanted.model in BUILT_IN:
        raise InputError(f"{wanted.model} cannot write; that needs a language model (provider:name)")
    model = project.model(wanted.model).name
    family = wanted.thinking or family_of(model)
    longest = wanted.max_tokens or (SAMPLING.max_tokens if family == "none" else LONG)
    return Hypothetical(
        wanted.method,
        model,
        read_prompt(_prompt(project, wanted), "rewrite"),
        generations=wanted.generations,
        sampling=Settings(temperature=wanted.temperature, max_tokens=longest, seed=wanted.seed),
        thinking=Thinking(family=family, unclosed=wanted.unclosed),
        task=wanted.task,
        demonstrations=_demonstrations(project, wanted) if wanted.method == "query2doc" else None,
        shown=wanted.shown,
        may_leave=project.config.may_leave,
    )


def _prompt(project: Project, wanted: Wanted) -> str:
    own = project.at(wanted.prompt)
    return str(own) if wanted.prompt and own.is_file() else wanted.prompt or wanted.method


def _demonstrations(project: Project, wanted: Wanted) -> Demonstrations:
    """Those of a file, or drawn from the first qrels; either way no query is shown what answers it, as far as qrels say."""
    human = [Qrels(without_forgotten(qrels.frame, project.store), qrels.name) for qrels in project.human().values()]
    gold = gold_of(project.collection, human)
    if wanted.examples:
        return Demonstrations(read_demonstrations(Path(wanted.examples)), wanted.shots, gold)
    if not human:
        raise InputError(
            "query2doc shows queries with a passage each: name a file (--examples), for there are no qrels to draw from"
        )
    drawn = drawn_from(project.collection, human[0], seed=wanted.seed or 0, may_leave=project.config.may_leave)
    return Demonstrations(drawn, wanted.shots, gold)
