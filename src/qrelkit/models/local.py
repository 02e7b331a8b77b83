"""A Hugging Face model in this process: text and vision-language, on CPU or GPU, asked in batches.

    local:FOLDER        a folder with weights, relative to qrelkit.yaml; its content is part of the name (models/local_weights.py)
    local:OWNER/NAME    from the Hugging Face hub, with @REVISION where it should stay the same

The libraries are imported with the first request.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

from qrelkit.core.errors import InputError, MissingExtra, UnknownName
from qrelkit.core.wire import Limits, Reply, Request, Room, canonical
from qrelkit.models.local_requests import PlainRequest, plain
from qrelkit.models.local_weights import find_weights
from qrelkit.models.prices import Prices, tokens_of_request

if TYPE_CHECKING:
    from qrelkit.models.local_engine import Engine

BATCHES_PER_CALL = 8  # so many are sorted by length together


class Local:
    """A model of this process; it is loaded at the first request and answers in a thread of its own, one call at a time. It stays
    loaded until this object goes.

    `device` is "auto", "cpu", "cuda" …, `dtype` "auto" or a name such as "bfloat16" (see `Engine`); `batch_size` prompts are
    answered together. Of `extra_body` only `chat_template_kwargs` (`{enable_thinking: false}`) means something here; it changes
    the answers and so is part of `name`. `local_only` takes nothing from the network.

    Raises MissingExtra without transformers and torch; InputError for what is neither folder nor name of the hub.
    """

    limits = Limits()
    room: Room | None = None

    def __init__(
        self,
        name: str,
        *,
        folder: Path | str = "",
        device: str = "auto",
        dtype: str = "auto",
        batch_size: int = 8,
        extra_body: Mapping[str, Any] | None = None,
        prices: Prices | None = None,
        local_only: bool = False,
    ) -> None:
        needs("local models", "local", "transformers", "torch")
        self.weights = find_weights(name.partition(":")[2], folder, offline=local_only)
        template = template_of(extra_body)
        self.name = f"{name.partition(':')[0]}:{self.weights.name}" + (f"?{canonical(template).decode()}" if template else "")
        self.at_most = BATCHES_PER_CALL * batch_size
        self.options: dict[str, Any] = {"device": device, "dtype": dtype, "batch_size": batch_size, "template": template}
        self._price = (prices or Prices()).of(self.name)
        self._engine: Engine | None = None
        self._thread: ThreadPoolExecutor | None = None
        self._schema_seen = False

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.name})"

    @property
    def notes(self) -> tuple[str, ...]:
        """What was not done as asked, and why."""
        notes = []
        if self._schema_seen:
            notes.append(f"{self.name} is not held to the reply's schema; the prompt asks for it in words")
        if self._engine is not None and self._engine.halved:
            notes.append(f"{self.name}: memory did not hold {self._engine.halved} batches, which were halved: lower batch_size")
        return tuple(notes)

    @property
    def price(self) -> str:
        """The price that costs are reckoned by, as JSON; "" where none is known."""
        return "" if self._price is None else self._price.json

    def cost_usd(self, reply: Reply) -> float | None:
        """Dollars by the prices given; None where there are none, for electricity and hardware are not free."""
        return None if self._price is None else self._price.cost(reply)

    def tokens_in(self, request: Request) -> int:
        """About how many input tokens a request is."""
        return tokens_of_request(request, self._price)

    async def replies(self, requests: Sequence[Request]) -> Sequence[Reply]:
        """One reply per request, in order; `failed` for a prompt that is too long or a picture that cannot be read.

        Raises Rejected where the model cannot be loaded, or is sent images and reads text only.
        """
        self._schema_seen = self._schema_seen or any(request.schema for request in requests)
        rows = await asyncio.to_thread(plain, requests, self.name)
        halt = threading.Event()
        if self._thread is None:
            self._thread = ThreadPoolExecutor(1, "qrelkit-local")
        try:
            work = self._thread.submit(self._in_place, rows, halt)
            return await asyncio.wrap_future(work)
        except asyncio.CancelledError:
            halt.set()
            raise

    async def close(self) -> None:
        """Ends the thread; the model stays, for the next verb asks it again."""
        thread, self._thread = self._thread, None
        if thread is not None:
            thread.shutdown(wait=False)

    def _in_place(self, rows: Sequence[PlainRequest | Reply], halt: threading.Event) -> list[Reply]:
        """The replies where their requests stood, beside those that failed before they were asked."""
        answers = iter(self._answers([row for row in rows if isinstance(row, PlainRequest)], halt))
        return [row if isinstance(row, Reply) else next(answers) for row in rows]

    def _answers(self, rows: Sequence[PlainRequest], halt: threading.Event) -> Sequence[Reply]:
        """The replies of the model; runs in the thread."""
        if self._engine is None:
            from qrelkit.models.local_engine import Engine

            self._engine = Engine(self.weights, **self.options)
        return self._engine.replies(rows, halt.is_set)


def needs(what: str, extra: str, *packages: str) -> None:
    """Raises MissingExtra where a package is not installed; imports none."""
    if any(find_spec(package) is None for package in packages):
        raise MissingExtra(what, extra)


def template_of(extra_body: Mapping[str, Any] | None) -> dict[str, Any]:
    """The arguments of the chat template; the key is vLLM's, so that one configuration does for both."""
    extra = dict(extra_body or {})
    template = extra.pop("chat_template_kwargs", None) or {}
    for key in extra:
        raise UnknownName("key of extra_body of a local model", key, ["chat_template_kwargs"])
    if not isinstance(template, Mapping):
        raise InputError(f"chat_template_kwargs must be a mapping, not {template!r}")
    return dict(template)
