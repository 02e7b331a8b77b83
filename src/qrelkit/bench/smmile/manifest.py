"""What was made of what: problems derived from others carry the rule, its settings and the digest of what they came from."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from qrelkit.bench.smmile.problems import Problem, Problems

FORMAT = 1
REVISION_DIGITS = 12


def own_revision(problems: Problems) -> str:
    """The revision of problems that nobody else names: the beginning of their digest."""
    return problems.digest[:REVISION_DIGITS]


def derived(source: Problems, made: Sequence[Problem], *, name: str, rule: str, settings: Mapping[str, Any]) -> Problems:
    """Problems that a generator made, with the manifest under `notes["made"]`; their revision is that of their own content."""
    origin = {"name": source.name, "revision": source.revision, "digest": source.digest, "problems": len(source)}
    before = source.notes.get("made")
    notes = {"made": {"rule": rule, **settings, "from": origin | ({"made": before} if before else {})}}
    unnamed = Problems(name=name, revision="", problems=tuple(made), text_only=source.text_only, notes=notes)
    return revised(unnamed)


def revised(problems: Problems, revision: str = "") -> Problems:
    """The same under a revision, its own where none is given."""
    return Problems(
        name=problems.name,
        revision=revision or own_revision(problems),
        problems=problems.problems,
        text_only=problems.text_only,
        notes=problems.notes,
    )


def manifest_of(problems: Problems) -> dict[str, Any]:
    """What stands beside a folder of problems, as JSON."""
    return {
        "format": FORMAT,
        "name": problems.name,
        "revision": problems.revision,
        "digest": problems.digest,
        "problems": len(problems),
        "triplets": sum(len(p.triplets) for p in problems.problems),
        "bases": len({p.base_id for p in problems.problems}),
        "text_only": problems.text_only,
        **({"notes": dict(problems.notes)} if problems.notes else {}),
    }
