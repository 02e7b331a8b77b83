"""What the assessor is told: the grade scale, the instructions, and each query's own requirements and notes.

The scale is data. Built in: `product-3`, `binary`, `trec-0-3`, `likert-0-4`, `answer-1-4`; your own in YAML:

    scale:
      name: mine
      grades:
        - {value: 0, label: irrelevant, meaning: "another kind of product"}
        - {value: 1, label: relevant, meaning: "what was asked for"}
      relevant_from: 1
      cannot_judge: true
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, get_args

from qrelkit.core.errors import InputError, Mismatch, UnknownName
from qrelkit.core.wire import digest_of

Importance = Literal["must_have", "approximate_is_okay", "nice_to_have"]
IMPORTANCES: tuple[str, ...] = get_args(Importance)
CANNOT_JUDGE = "cannot_judge"


@dataclass(frozen=True, kw_only=True, slots=True)
class Grade:
    """One step of a scale."""

    value: int
    label: str
    meaning: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Scale:
    """The grades an assessor may give, lowest first; `relevant_from` is the lowest that counts as relevant."""

    name: str
    grades: tuple[Grade, ...]
    relevant_from: int = 1
    cannot_judge: bool = False

    def __post_init__(self) -> None:
        values = [g.value for g in self.grades]
        labels = [g.label.lower() for g in self.grades]
        if len(values) < 2 or values != sorted(set(values)):
            raise InputError(f"scale {self.name!r}: needs two or more grades with rising values, has {values}")
        if len(set(labels)) < len(labels) or CANNOT_JUDGE in labels:
            raise InputError(f"scale {self.name!r}: labels must differ and none may be {CANNOT_JUDGE!r}")
        if not values[0] < self.relevant_from <= values[-1]:
            raise InputError(
                f"scale {self.name!r}: relevant_from {self.relevant_from} must lie above {values[0]} and not above {values[-1]}"
            )

    @property
    def values(self) -> tuple[int, ...]:
        return tuple(g.value for g in self.grades)

    @property
    def labels(self) -> tuple[str, ...]:
        return tuple(g.label for g in self.grades)

    def fits(self, grades: Iterable[int], name: str) -> None:
        """Raises Mismatch when `grades` (of qrels called `name`) are not all on this scale."""
        outside = sorted(set(grades) - set(self.values))
        if outside:
            known = ", ".join(map(str, self.values))
            raise Mismatch(f"{name} has grades {outside} outside scale {self.name!r} ({known}); name the right scale, or clip")

    def json(self) -> dict[str, Any]:
        return {
            "name": self.name,
            "grades": [{"value": g.value, "label": g.label, "meaning": g.meaning} for g in self.grades],
            "relevant_from": self.relevant_from,
            "cannot_judge": self.cannot_judge,
        }

    @staticmethod
    def read(value: Any, where: str = "scale") -> Scale:
        """A scale from its name or from the mapping of a YAML file."""
        if isinstance(value, str):
            if value not in SCALES:
                raise UnknownName("scale", value, SCALES)
            return SCALES[value]
        try:
            grades = tuple(
                Grade(value=int(g["value"]), label=str(g["label"]), meaning=str(g.get("meaning", g["label"])))
                for g in value["grades"]
            )
            unknown = set(value) - {"name", "grades", "relevant_from", "cannot_judge"}
            if unknown:
                raise UnknownName(f"key in {where}", sorted(unknown)[0], ("name", "grades", "relevant_from", "cannot_judge"))
            return Scale(
                name=str(value.get("name", "own")),
                grades=grades,
                relevant_from=int(value.get("relevant_from", grades[1].value)),
                cannot_judge=bool(value.get("cannot_judge", False)),
            )
        except (KeyError, TypeError, ValueError, IndexError, AttributeError) as error:
            raise InputError(
                f"{where}: cannot be read as a scale ({error}); it needs grades with value, label and meaning"
            ) from None


def _scale(name: str, relevant_from: int, *grades: tuple[int, str, str]) -> Scale:
    return Scale(name=name, grades=tuple(Grade(value=v, label=n, meaning=m) for v, n, m in grades), relevant_from=relevant_from)


SCALES: Mapping[str, Scale] = {
    s.name: s
    for s in (
        _scale(
            "product-3",
            1,
            (0, "irrelevant", "misses something the query asks for without leeway; a shopper would not consider it"),
            (1, "acceptable_substitute", "meets every must-have; something that may be approximate is only near"),
            (2, "highly_relevant", "meets everything the query asks for"),
        ),
        _scale("binary", 1, (0, "not_relevant", "of no use for the query"), (1, "relevant", "of use for the query")),
        _scale(
            "trec-0-3",
            2,
            (0, "irrelevant", "has nothing to do with the query"),
            (1, "related", "on the topic of the query, without answering it"),
            (2, "highly_relevant", "has an answer, unclear or among other matters"),
            (3, "perfectly_relevant", "is about the query and answers it"),
        ),
        _scale(
            "likert-0-4",
            2,
            (0, "irrelevant", "nothing in common with what was asked"),
            (1, "marginal", "shares a detail with what was asked"),
            (2, "partial", "meets part of what was asked"),
            (3, "good", "meets most of what was asked"),
            (4, "perfect", "exactly what was asked"),
        ),
        _scale(
            "answer-1-4",
            3,
            (1, "incorrect", "does not answer the question"),
            (2, "related", "about the same matter, no answer"),
            (3, "incomplete", "answers in part"),
            (4, "excellent", "answers completely and correctly"),
        ),
    )
}


@dataclass(frozen=True, kw_only=True, slots=True)
class Requirement:
    """One thing a query asks for, and how strictly."""

    name: str
    value: str
    importance: str

    def __post_init__(self) -> None:
        if self.importance not in IMPORTANCES:
            raise UnknownName("importance", self.importance, IMPORTANCES)


@dataclass(frozen=True, kw_only=True, slots=True)
class QueryGuideline:
    """The query's own part of a guideline, written by a model or a person; versions are content digests."""

    query_id: str
    query: str
    translation: str = ""
    specificity: str = ""
    requirements: tuple[Requirement, ...] = ()
    notes: Mapping[str, str] = field(default_factory=dict)  # grade label → what it means for this query
    approved: str = ""  # who approved it; "" nobody

    def content(self) -> dict[str, Any]:
        """What an assessor is shown of it, and what its version is the digest of."""
        return {
            "query": self.query,
            "translation": self.translation,
            "specificity": self.specificity,
            "requirements": [{"name": r.name, "value": r.value, "importance": r.importance} for r in self.requirements],
            "notes": dict(self.notes),
        }

    @property
    def version(self) -> str:
        return digest_of(self.content())

    @staticmethod
    def read(value: Mapping[str, Any], where: str = "guideline") -> QueryGuideline:
        """From the mapping of a YAML file or of a stored row; raises InputError naming the file."""
        known = ("query_id", "query", "translation", "specificity", "requirements", "notes", "approved")
        if not isinstance(value, Mapping):
            raise InputError(f"{where}: is not a mapping with {', '.join(known)}")
        for key in value:
            if key not in known:
                raise UnknownName(f"key in {where}", str(key), known)
        try:
            requirements = tuple(
                Requirement(name=str(r["name"]), value=str(r["value"]), importance=str(r["importance"]))
                for r in value.get("requirements") or ()
            )
            return QueryGuideline(
                query_id=str(value["query_id"]),
                query=str(value.get("query", "")),
                translation=str(value.get("translation") or ""),
                specificity=str(value.get("specificity") or ""),
                requirements=requirements,
                notes={str(k): str(v) for k, v in (value.get("notes") or {}).items()},
                approved=str(value.get("approved") or ""),
            )
        except UnknownName as error:
            raise InputError(f"{where}: {error}") from None
        except (KeyError, TypeError, AttributeError) as error:
            raise InputError(
                f"{where}: cannot be read as a query's guideline ({error!r}); requirements need name, value and importance"
            ) from None


@dataclass(frozen=True, kw_only=True, slots=True)
class Guideline:
    """Scale and instructions for all queries, plus each query's own part where there is one."""

    scale: Scale
    instructions: str = ""
    queries: Mapping[str, QueryGuideline] = field(default_factory=dict)
    required: bool = False  # a query without a part of its own is not judged

    def version(self, query_id: str) -> str:
        """The version used for one query: that of its own part, "" where it has none."""
        own = self.queries.get(query_id)
        return own.version if own else ""

    def __repr__(self) -> str:
        approved = sum(bool(q.approved) for q in self.queries.values())
        return f"Guideline({self.scale.name}, {len(self.queries)} queries with a part of their own, {approved} approved)"
