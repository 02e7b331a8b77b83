"""A request as a model in this process, or on another machine of a cluster, is given it: texts, image bytes, settings.

What leaves here opens no files any more: pictures are read and shrunk on this side.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from qrelkit.core.errors import InputError, Rejected
from qrelkit.core.wire import RECIPE, Message, Reply, Request, Settings, Text
from qrelkit.images.shrink import shrink
from qrelkit.models.prices import tokens_of_image, tokens_of_text

Content = tuple[str | bytes, ...]  # texts and encoded images, in their order


@dataclass(frozen=True, kw_only=True, slots=True)
class PlainRequest:
    """One conversation. `seed` is what its sampling starts from; `weight` is about how many tokens it has."""

    messages: tuple[tuple[str, Content], ...]
    settings: Settings
    seed: int
    weight: int

    @property
    def images(self) -> list[bytes]:
        return [part for _, content in self.messages for part in content if isinstance(part, bytes)]


def plain(requests: Sequence[Request], name: str) -> list[PlainRequest | Reply]:
    """The requests of a call; in the place of one with a picture that cannot be read stands its failed reply.

    Raises InputError for a request to another model than `name`, whose digest would name the wrong one.
    """
    for request in requests:
        if request.model != name:
            raise InputError(f"a request to {request.model!r} was given to {name!r}: its digest names the wrong model")
    made: dict[str, bytes] = {}
    return [_plain(request, made) for request in requests]


def refuse_pictures(requests: Sequence[PlainRequest | Reply], name: str) -> None:
    """For a model that reads text only. Raises Rejected where a request has pictures."""
    if any(isinstance(request, PlainRequest) and request.images for request in requests):
        raise Rejected(f"{name} reads text only and was sent images: set `judge.route: described` (or text)", fatal=True)


def _plain(request: Request, made: dict[str, bytes]) -> PlainRequest | Reply:
    try:
        messages = tuple((message.role, _content(message, made)) for message in request.messages)
    except (InputError, OSError) as error:
        return Reply(text="", outcome="failed", error=str(error))
    return PlainRequest(messages=messages, settings=request.settings, seed=_seed(request), weight=_weight(request))


def _content(message: Message, made: dict[str, bytes]) -> Content:
    """Texts that follow each other are one text with a blank line between, as a chat endpoint is sent them; a picture that many
    requests of a call show is `made` once."""
    out: list[str | bytes] = []
    for part in message.parts:
        if not isinstance(part, Text):
            if part.digest not in made:
                made[part.digest] = shrink(part.image.read(), part.shrink, part.image.name or part.image.digest[:12])
            out.append(made[part.digest])
            continue
        text = part.text.encode("utf-8", "replace").decode("utf-8")  # half a surrogate pair is no character
        if out and isinstance(out[-1], str):
            out[-1] += "\n\n" + text
        else:
            out.append(text)
    return tuple(out)


def _seed(request: Request) -> int:
    """From everything that a request's digest covers but the model's name: another seed or sample number draws anew, and the
    same request draws the same on a cluster as here."""
    return int(replace(request, model="").digest.removeprefix(RECIPE)[:15], 16)


def _weight(request: Request) -> int:
    parts = [part for message in request.messages for part in message.parts]
    sides = [part.shrink.max_side_px for part in parts if not isinstance(part, Text)]
    return sum(tokens_of_text(p.text) for p in parts if isinstance(p, Text)) + sum(tokens_of_image(s, s) for s in sides)
