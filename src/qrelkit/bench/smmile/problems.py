"""Problems: demonstrations in their order, and the query last. Nothing is ever shuffled in silence."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from qrelkit.core.errors import InputError
from qrelkit.core.records import Image, counted
from qrelkit.core.wire import digest_of

TAGS = ("speciality", "image_type", "answer_format", "cognitive_process", "rarity", "difficulty")


@dataclass(frozen=True, kw_only=True, slots=True)
class Triplet:
    """A question about an image, and its answer as it is written there: trailing blanks and all. `image` is None where only the
    text is known; `tags` are what experts said of it (`TAGS`, or a folder's own)."""

    question: str
    answer: str
    image: Image | None = None
    tags: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True, slots=True)
class Problem:
    """Demonstrations and the query that they are to help with. `base_id` names the problem that this is a variant of (a
    permutation, one with noise), itself where it is none; rows of one base are not independent. `changes` says what a
    generator did to it, as JSON."""

    problem_id: str
    demonstrations: tuple[Triplet, ...]
    query: Triplet
    base_id: str = ""
    changes: Mapping[str, object] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if not self.base_id:
            object.__setattr__(self, "base_id", self.problem_id)

    @property
    def triplets(self) -> tuple[Triplet, ...]:
        return (*self.demonstrations, self.query)

    @property
    def digest(self) -> str:
        """Of all questions, answers and images (by their bytes) in order: two revisions of a problem differ in it."""
        return digest_of([[t.question, t.answer, t.image.digest if t.image else ""] for t in self.triplets])

    @property
    def text_digest(self) -> str:
        """The same without the images: what transcripts can tell."""
        return digest_of([[t.question, t.answer] for t in self.triplets])

    @property
    def first_matches(self) -> bool:
        """Whether the first demonstration has the gold answer, as raw text."""
        return bool(self.demonstrations) and self.demonstrations[0].answer == self.query.answer

    @property
    def last_matches(self) -> bool:
        return bool(self.demonstrations) and self.demonstrations[-1].answer == self.query.answer

    @property
    def has_both(self) -> bool:
        """Whether some demonstration has the gold answer and some has another: the problems of the order experiment."""
        return len({t.answer == self.query.answer for t in self.demonstrations}) == 2


@dataclass(frozen=True, kw_only=True)
class Problems:
    """A benchmark: its name, the revision it was had in, and its problems. `text_only` where the images are not there."""

    name: str
    revision: str
    problems: Sequence[Problem]
    text_only: bool = False
    notes: Mapping[str, object] = field(default_factory=dict)

    def __post_init__(self) -> None:
        ids = [problem.problem_id for problem in self.problems]
        if len(set(ids)) < len(ids):
            twice = next(i for i in ids if ids.count(i) > 1)
            raise InputError(f"{self.name}: problem {twice!r} is there twice")

    @property
    def digest(self) -> str:
        """Of all problems, in order of their ids."""
        return digest_of(sorted([p.problem_id, p.digest] for p in self.problems))

    def __len__(self) -> int:
        return len(self.problems)

    def __repr__(self) -> str:
        images = (
            "text only"
            if self.text_only
            else counted(sum(t.image is not None for p in self.problems for t in p.triplets), "image")
        )
        return f"Problems({self.name}@{self.revision or 'unknown'}: {counted(len(self), 'problem')}, {images})"
