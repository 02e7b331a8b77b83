"""Families of models: a judge tends to prefer what its own family made, so a system of that family is warned of.

A family is known by the name of a model: in a run's tag, in its `notes["model"]`, or said by the user.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

from qrelkit.core.errors import UnknownName
from qrelkit.core.run import Run

FAMILIES = {
    "GPT": r"gpt|openai|(?<![a-z0-9])o[134](?![a-z0-9])",
    "Claude": r"claude|anthropic",
    "Gemini": r"gemini|gemma",
    "Llama": r"llama",
    "Qwen": r"qwen",
    "Mistral": r"(mis|mix|minis|pix)tral",
    "DeepSeek": r"deepseek",
    "T5": r"(?<![a-z0-9])(flan|mono|duo|rank|m|by)?[-_]?t5|flan",
}
DOOR = re.compile(r"(openai|azure|openrouter|local|ray|labels):", re.IGNORECASE)  # says how a model is reached, not whose it is


def families_of(name: str) -> set[str]:
    """The families that a name points to; none for most names. `openai:` before a name only says how it is reached."""
    rest = DOOR.sub("", name, count=1).lower()
    return {family for family, pattern in FAMILIES.items() if re.search(pattern, rest)}


def models_of(runs: Sequence[Run], named: Mapping[str, str] | None = None) -> dict[str, str]:
    """Run tag → what is known of its model: what `named` (tag → model) says, else the run's notes, else the tag itself.

    Raises UnknownName where `named` has a tag that no run has.
    """
    said, tags = dict(named or {}), [run.tag for run in runs]
    for tag in said:
        if tag not in tags:
            raise UnknownName("run", tag, tags)
    return {run.tag: said.get(run.tag) or str(run.notes.get("model") or run.tag) for run in runs}


def family_warnings(systems: Mapping[str, str], judges: Sequence[str]) -> list[str]:
    """One sentence for every system (tag → model, as `models_of` gives them) that is of the family of one of the `judges`."""
    own: dict[str, str] = {}
    for judge in judges:
        own |= {family: own.get(family, judge) for family in families_of(judge)}
    return [
        f"{tag} is of a judge's own model family ({family}: {model}, judged by {own[family]}), which judges tend to prefer; "
        "let people's grades decide about it"
        for tag, model in systems.items()
        for family in sorted(families_of(model) & own.keys())
    ]
