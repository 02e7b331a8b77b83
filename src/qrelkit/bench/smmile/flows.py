"""A problem as a conversation: one request in a declared layout, and what became of it as a row of `Answers`. No I/O here.

zero-shot     the query alone
icl           all demonstrations in their order, then the query
text-icl      the demonstrations without their images, the query with its own
blind         the same as icl without any image
wrong-image   the same as icl, but the query shows the query image of another problem, which is recorded
"""

from __future__ import annotations

import random
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any

from qrelkit.bench.smmile.answers import MODES, Form, Mode
from qrelkit.bench.smmile.choice import Choice, choice_of
from qrelkit.bench.smmile.layouts import PLAIN, Layout
from qrelkit.bench.smmile.letters import strict
from qrelkit.bench.smmile.problems import Problem, Problems, Triplet
from qrelkit.core.errors import Mismatch, UnknownName
from qrelkit.core.records import Image
from qrelkit.core.thinking import answer_of, family_of
from qrelkit.core.wire import Flow, Message, Part, Reply, Request, Settings, Shrink, digest_of, picture, text

FORMS = ("open", "choice")
ONE_OF = (
    "Choose the one option that answers the question:\n{options}\n\n"
    "You may think first, between <think> and </think>. End with the letter of your option, alone between <answer> and </answer>."
)
_OVERSIZE = re.compile(
    r"(^|: )413\b|request_too_large|(request|payload|body)\W+(entity\W+)?(is\W+)?too large"
    r"|image\b.{0,80}(exceed|too (large|big)|larger than|million allowed|maximum size)"
    r"|(exceed|too (large|big)).{0,40}\bimages?\b",
    re.IGNORECASE | re.DOTALL,
)


@dataclass(frozen=True, kw_only=True)
class Asking:
    """How problems are asked: who, what of a problem is shown (`mode`), whether options are given (`form`), in which layout.

    `seed` draws the order of the options and the wrong images. `wrong` has, for the mode wrong-image, the problem whose image is
    shown, by problem id (`wrong_images`).
    """

    model: str
    mode: Mode = "icl"
    form: Form = "open"
    layout: Layout = PLAIN
    shrink: Shrink = Shrink()
    sampling: Settings = Settings()
    seed: int = 0
    wrong: Mapping[str, Problem] = field(default_factory=dict, repr=False)

    def __post_init__(self) -> None:
        for kind, name, known in (("mode", self.mode, MODES), ("form", self.form, FORMS)):
            if name not in known:
                raise UnknownName(kind, name, known)

    def about(self, problems: Problems) -> Asking:
        """This way of asking, made ready for these problems. Raises Mismatch where images would be shown that are not there."""
        if problems.text_only and self.mode != "blind":
            raise Mismatch(f"{problems.name}: its images are not there, and mode {self.mode} shows some; take mode blind")
        if self.mode != "wrong-image":
            return self
        return replace(self, wrong=wrong_images(problems, self.seed))

    @property
    def settings(self) -> dict[str, Any]:
        """All that changes a request, beside the problem."""
        return {
            "kind": "smmile",
            "model": self.model,
            "mode": self.mode,
            "form": self.form,
            "layout": self.layout.json(),
            "shrink": self.shrink.key,
            "sampling": self.sampling.json(),
            "seed": self.seed,
        }

    @cached_property
    def key(self) -> str:
        return digest_of(self.settings)

    def flow(self, problem: Problem) -> Flow[dict[str, Any]]:
        """Asks once. The result is a row: SCHEMA's columns less those of the benchmark, `image_of` and `error`."""
        choice = self._choice(problem)
        request = Request(model=self.model, messages=self._messages(problem, choice), settings=self.sampling)
        (reply,) = yield [request]
        return self._row(problem, choice, request, reply)

    # what is asked

    def _choice(self, problem: Problem) -> Choice | None:
        """The options, in an order drawn for this problem alone; None for open questions."""
        if self.form == "open":
            return None
        chance = random.Random(f"options/{self.seed}/{problem.problem_id}")
        return choice_of(problem, chance if self.layout.shuffled else None)

    def _messages(self, problem: Problem, choice: Choice | None) -> tuple[Message, ...]:
        layout, demonstrations = self.layout, () if self.mode == "zero-shot" else problem.demonstrations
        lines = "\n".join(layout.option.format(letter=letter, text=said) for letter, said in choice.lines) if choice else ""
        asked = f"{problem.query.question}\n\n{ONE_OF.format(options=lines)}" if choice else problem.query.question
        head = [Message("system", (text(layout.system),))] if layout.system else []
        image = self._query_image(problem)
        if layout.answers == "text":
            told = _told(demonstrations, lines if layout.options_with_examples else "")
            return (*head, self._turn("\n\n".join([*told, asked]), image))
        turns = [turn for one in demonstrations for turn in self._demonstration(one)]
        return (*head, *turns, self._turn(asked, image))

    def _demonstration(self, triplet: Triplet) -> tuple[Message, Message]:
        image = triplet.image if self.mode in ("icl", "wrong-image") else None
        role = "system" if self.layout.answers == "system" else "assistant"
        answer = text(triplet.answer + self.layout.after_answer)
        return self._turn(triplet.question, image), Message(role, (answer,))  # type: ignore[arg-type]

    def _turn(self, said: str, image: Image | None) -> Message:
        parts: tuple[Part, ...] = (text(said),)
        if image is not None:
            shown = picture(image, self.shrink)
            parts = (shown, *parts) if self.layout.images == "before" else (*parts, shown)
        return Message("user", parts)

    def _query_image(self, problem: Problem) -> Image | None:
        if self.mode == "blind":
            return None
        return self.wrong[problem.problem_id].query.image if self.mode == "wrong-image" else problem.query.image

    # what came of it

    def _row(self, problem: Problem, choice: Choice | None, request: Request, reply: Reply) -> dict[str, Any]:
        status = status_of(reply)
        heard = reply.text if status == "answered" else ""
        letter = strict(heard, choice.lines) if choice else None
        answer = choice.text_of(letter or "") if choice else answer_of(heard, family_of(self.model)).text.strip() or None
        return {
            "model": self.model,
            "mode": self.mode,
            "form": self.form,
            "problem_id": problem.problem_id,
            "base_id": problem.base_id,
            "question": problem.query.question,
            "gold": problem.query.answer,
            "answer": answer,
            "output": None if reply.outcome == "failed" else reply.text,
            "status": status,
            "letter": letter,
            "gold_letter": choice.gold_letter if choice else None,
            "options": list(choice.options) if choice else None,
            "shown": choice.shown if choice else None,
            "source": request.digest,
            "error": reply.error or None,
            "image_of": self.wrong[problem.problem_id].problem_id if self.wrong else None,
        }


def status_of(reply: Reply) -> str:
    """What became of a request, in the words of `STATUSES`: a failure of a system is never a wrong answer of a model."""
    if reply.outcome == "failed":
        return "oversize_image" if _OVERSIZE.search(reply.error) else "api_error"
    if reply.outcome in ("truncated", "truncated_input"):
        return "truncated"
    if reply.outcome == "refused":
        return "refused"
    return "answered" if reply.text.strip() else "empty"


def wrong_images(problems: Problems, seed: int = 0) -> Mapping[str, Problem]:
    """For each problem another one, of another base and with another query image, drawn by seed and the base problem's id: all
    variants of a base show the same wrong image. Raises Mismatch where there is none."""
    firsts = list({p.base_id: p for p in problems.problems}.values())
    found: dict[str, Problem] = {}
    for problem in firsts:
        own = problem.query.image
        if not any(p.base_id != problem.base_id and p.query.image != own for p in firsts):
            raise Mismatch(f"{problems.name}: problem {problem.problem_id!r} has no other problem to take an image from")
        chance = random.Random(f"wrong image/{seed}/{problem.base_id}")
        while problem.base_id not in found:
            drawn = chance.choice(firsts)
            if drawn.base_id != problem.base_id and drawn.query.image != own:
                found[problem.base_id] = drawn
    return {p.problem_id: found[p.base_id] for p in problems.problems}


def _told(demonstrations: Sequence[Triplet], lines: str) -> list[str]:
    """Demonstrations as text."""
    options = f"\nOptions:\n{lines}" if lines else ""
    return [f"Example {i}:\nQuestion: {t.question}{options}\nAnswer: {t.answer}" for i, t in enumerate(demonstrations, 1)]
