"""What a cascade and a panel have in common: judges that judge as one, and conversations held side by side."""

from __future__ import annotations

from collections.abc import Generator, Mapping, Sequence
from functools import cached_property
from typing import Any, TypeVar

from qrelkit.core.doors import Judge
from qrelkit.core.errors import InputError, Mismatch
from qrelkit.core.guideline import Scale
from qrelkit.core.records import Judgment
from qrelkit.core.wire import Flow, Reply, Round, digest_of

T = TypeVar("T")


class Several:
    """Judges of one scale under one name and one key. `rules` say how they become one: what of it changes a verdict.

    Raises InputError for fewer than two or for two of one name (their votes could not be told apart), Mismatch where scales
    differ.
    """

    kind = "several"

    def __init__(self, judges: Sequence[Judge], name: str, rules: Mapping[str, Any]) -> None:
        if len(judges) < 2:
            raise InputError(f"a {self.kind} needs at least two judges, not {len(judges)}")
        names = [judge.name for judge in judges]
        if twice := [name for i, name in enumerate(names) if name in names[:i]]:
            raise InputError(f"two judges of the {self.kind} are called {twice[0]!r}; give each a `name:` of its own")
        scales = {digest_of(judge.settings.get("scale")): judge for judge in judges}
        if len(scales) > 1:
            one, other = list(scales.values())[:2]
            raise Mismatch(f"{one.name} and {other.name} judge on different scales; a {self.kind} needs judges of one scale")
        self.judges, self.name, self.rules = tuple(judges), name, rules
        self.scale = Scale.read(judges[0].settings["scale"], judges[0].name)

    @cached_property
    def models(self) -> tuple[str, ...]:
        """The models that may be asked, each once, in order."""
        return tuple(dict.fromkeys(model for judge in self.judges for model in models_of(judge.settings)))

    @cached_property
    def settings(self) -> Mapping[str, Any]:
        grouping = next((judge.settings for judge in self.judges if judge.settings.get("per_request", 1) > 1), None)
        largest = max(judge.settings.get("per_request", 1) for judge in self.judges)
        return {
            "kind": self.kind,
            **self.rules,
            **({"model": self.models[0], "models": list(self.models)} if self.models else {}),
            **({"per_request": largest, "seed": grouping["seed"]} if grouping else {}),
            "scale": self.scale.json(),
            "judges": [{name: value for name, value in judge.settings.items() if name != "scale"} for judge in self.judges],
        }

    @cached_property
    def key(self) -> str:
        return digest_of(self.settings)

    def query_key(self, query_id: str, fingerprint: str, images: Sequence[str]) -> str:
        return digest_of([judge.query_key(query_id, fingerprint, images) for judge in self.judges])

    def doc_key(self, doc_id: str, fingerprint: str, images: Sequence[str]) -> str:
        return digest_of([judge.doc_key(doc_id, fingerprint, images) for judge in self.judges])


def models_of(settings: Mapping[str, Any]) -> Sequence[str]:
    """The models that a judge of these settings may ask."""
    one = settings.get("model")
    return list(settings.get("models", [one] if one else []))


def looks_at_images(settings: Mapping[str, Any]) -> bool:
    """Whether a judge of these settings may be given images in some form; of one that says nothing of it, that is not known."""
    if "judges" in settings:
        return any(looks_at_images(judge) for judge in settings["judges"])
    alone = settings.get("kind") == "labels" or str(settings.get("judge", "")).startswith("lexical")
    return not alone and settings.get("route") != "text"


def gives_probabilities(settings: Mapping[str, Any]) -> bool:
    """Whether a judge of these settings says how probable each grade is: by several samples, its tokens' own probabilities, those
    recorded with its labels, the votes of a panel, or as one of the stages of a cascade."""
    kind, sampling = settings.get("kind"), settings.get("sampling", {})
    if kind == "cascade":
        return any(gives_probabilities(judge) for judge in settings["judges"])
    if kind == "labels":
        return bool(settings.get("probabilities"))
    return bool(kind == "panel" or settings.get("samples", 1) > 1 or sampling.get("token_probabilities"))


def paid(judgments: Sequence[Judgment]) -> float | None:
    """What they cost together; None where none says."""
    costs = [judgment.cost_usd for judgment in judgments if judgment.cost_usd is not None]
    return sum(costs) if costs else None


def together(flows: Sequence[Flow[T]]) -> Flow[list[T]]:
    """Conversations side by side: their rounds become one round, and each is sent its own replies. Results in their order."""
    results: dict[int, T] = {}
    replies: Mapping[int, Sequence[Reply] | None] = dict.fromkeys(range(len(flows)))
    try:
        while True:
            rounds: dict[int, Round] = {}
            for i, said in replies.items():
                try:
                    rounds[i] = _next(flows[i], said)
                except StopIteration as end:
                    results[i] = end.value
            if not rounds:
                return [results[i] for i in range(len(flows))]
            answered = iter((yield [request for asked in rounds.values() for request in asked]))
            replies = {i: [next(answered) for _ in asked] for i, asked in rounds.items()}
    finally:
        for flow in flows:
            flow.close()


def _next(flow: Generator[Round, Sequence[Reply], Any], said: Sequence[Reply] | None) -> Round:
    return next(flow) if said is None else flow.send(said)
