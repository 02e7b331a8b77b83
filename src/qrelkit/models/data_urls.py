"""Pictures on their way out: read, shrunk and encoded once for all requests that show them, outside the event loop."""

from __future__ import annotations

import asyncio
from collections import OrderedDict, deque
from collections.abc import Callable, Iterable

import orjson

from qrelkit.core.wire import Picture, Request
from qrelkit.images.shrink import media_type, shrink
from qrelkit.models.chat_format import image_part

KEPT_BYTES = 64 * 2**20
GUESSED_BYTES = 200_000  # of a picture that was never encoded yet


class DataUrls:
    """The rendered parts of the pictures last used, up to `kept_bytes`; equal ones that are being made are made once."""

    def __init__(self, render: Callable[[str, bytes], orjson.Fragment] = image_part, kept_bytes: int = KEPT_BYTES) -> None:
        self.render, self.kept_bytes = render, kept_bytes
        self._size = 0
        self._parts: OrderedDict[str, tuple[orjson.Fragment, int]] = OrderedDict()
        self._making: dict[str, asyncio.Future[tuple[orjson.Fragment, int]]] = {}

    async def of(self, request: Request) -> dict[str, orjson.Fragment]:
        """The parts of a request's pictures by digest. Raises InputError where bytes are no image that can be read."""
        return {p.digest: await self._part(p) for p in _pictures(request)}

    def size(self, request: Request) -> int:
        """About how many bytes the pictures of a request are, encoded; 0 where it has none."""
        return sum(self._parts[p.digest][1] if p.digest in self._parts else GUESSED_BYTES for p in _pictures(request))

    async def _part(self, picture: Picture) -> orjson.Fragment:
        key = picture.digest
        if key in self._parts:
            self._parts.move_to_end(key)
            return self._parts[key][0]
        making = self._making.get(key)
        if making is None or making.get_loop() is not asyncio.get_running_loop():  # of a loop that is gone: it never comes
            making = self._making[key] = asyncio.ensure_future(asyncio.to_thread(_made, picture, self.render))
            making.add_done_callback(lambda made: self._keep(key, made))
        # one pair's cancellation is not another's
        return (await asyncio.shield(making))[0]

    def _keep(self, key: str, made: asyncio.Future[tuple[orjson.Fragment, int]]) -> None:
        self._making.pop(key, None)
        if made.cancelled() or made.exception() is not None:
            return
        self._parts[key] = made.result()
        self._size += made.result()[1]
        while self._size > self.kept_bytes and len(self._parts) > 1:
            self._size -= self._parts.popitem(last=False)[1][1]


class Freight:
    """Bounds the bytes of encoded pictures that are on their way together; one request alone may always go."""

    def __init__(self, most_bytes: float) -> None:
        self.most, self.carried = most_bytes, 0
        self.waiting: deque[asyncio.Future[None]] = deque()

    async def load(self, size: int) -> None:
        """Returns when there is room."""
        while self.carried and self.carried + size > self.most:
            turn: asyncio.Future[None] = asyncio.get_running_loop().create_future()
            self.waiting.append(turn)
            await turn
        self.carried += size

    def unload(self, size: int) -> None:
        self.carried -= size
        while self.waiting:  # each looks for itself whether it fits
            turn = self.waiting.popleft()
            if not turn.done():
                turn.set_result(None)


def _made(picture: Picture, render: Callable[[str, bytes], orjson.Fragment]) -> tuple[orjson.Fragment, int]:
    image = picture.image
    small = shrink(image.read(), picture.shrink, image.name or image.digest[:12])
    return render(media_type(picture.shrink), small), len(small) * 4 // 3


def _pictures(request: Request) -> Iterable[Picture]:
    return (part for message in request.messages for part in message.parts if isinstance(part, Picture))
