"""Encoders behind an endpoint that speaks OpenAI's `/v1/embeddings`: OpenAI, Voyage, vLLM, TEI, Ollama, llama.cpp.

    texts ─▶ those not kept ─▶ batches, `at_once` on their way ─▶ vectors, each batch kept on disk as it comes ─▶ rows in order

What was paid for is in the file of `Kept` before anything else is done with it: a killed run does not pay twice, and a collection
with a few new documents pays for those.
"""

from __future__ import annotations

import asyncio
import base64
import os
import re
import time
from collections.abc import Collection, Coroutine, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import orjson
from numpy.typing import NDArray

from qrelkit.core.doors import Side
from qrelkit.core.errors import InputError, ModelError, RateLimited, Rejected, Unreachable
from qrelkit.models.chat_problems import error_of, read_problem
from qrelkit.models.encoders_kept import ENDPOINTS, Kept
from qrelkit.models.encoders_table import Recipe
from qrelkit.models.prices import tokens_of_text
from qrelkit.net.endpoint import Endpoint
from qrelkit.net.hosts import address

Rows = NDArray[np.float32]
ENDPOINT = ("query", "document", "rewrite", "similarity", "one_line")  # of a recipe, what an endpoint leaves to us
TRIES = 6  # of one request that is not answered
LONGEST_WAIT_S = 60.0
CUT_TO = 0.75  # what is left of a text that the server calls too long
SHORTEST = 200  # characters: what is refused below this is not refused for its length
_TOO_LONG = re.compile(
    r"context.{0,10}(length|window|size)|too (long|large|many)|maximum|exceed|max_tokens|truncat", re.IGNORECASE
)


@dataclass(frozen=True, kw_only=True, slots=True)
class Provider:
    """Whose endpoint: where it is, in which variables key and address may be, and whether it is told the side of a text."""

    base_url: str
    key: str
    base_variable: str = ""
    told_side: bool = False


PROVIDERS: Mapping[str, Provider] = {
    "openai": Provider(base_url="https://api.openai.com/v1", key="OPENAI_API_KEY", base_variable="OPENAI_BASE_URL"),
    "voyage": Provider(base_url="https://api.voyageai.com/v1", key="VOYAGE_API_KEY", told_side=True),
}


class Embeddings:
    """An encoder behind an endpoint; the recipe's model is `provider:name`.

    A request has `batch` texts. A text that is about longer than the recipe's tokens is cut there before
    it is sent (`tokens_of_text`, an estimate: no tokenizer of theirs is here), one that the server calls too long to three
    quarters, as often as it takes; `cut` counts both. `dimensions` asks for shorter vectors where the model has them. A request
    that is not answered is sent again, after what the server says (Retry-After), else 1, 2, 4 … times `wait_s`.

    Raises InputError for an address or key that cannot be used; `encode` raises ModelError where no answer came.
    """

    def __init__(
        self,
        recipe: Recipe,
        keep: Path,
        *,
        base_url: str = "",
        api_key: str = "",
        dimensions: int | None = None,
        batch: int = 64,
        at_once: int = 4,
        timeout_s: float = 120.0,
        wait_s: float = 1.0,
        allow_hosts: Collection[str] | None = None,
    ) -> None:
        provider, _, self._model = recipe.model.partition(":")
        if provider not in PROVIDERS or not self._model:
            raise InputError(
                f"an endpoint's encoder is named {', '.join(f'{name}:NAME' for name in PROVIDERS)}, not {recipe.model!r}"
            )
        self._provider, self.name = PROVIDERS[provider], recipe.model
        self.recipe, self.notes = _completed(recipe)
        self.similarity = self.recipe.similarity
        base = base_url or os.environ.get(self._provider.base_variable or "-") or self._provider.base_url
        key = (api_key or os.environ.get(self._provider.key) or "").strip()
        if not key and base == self._provider.base_url:
            raise InputError(f"no key for {base.split('/')[2]}: set {self._provider.key}, or give base_url of your own server")
        if not (key.isascii() and key.isprintable()):
            raise InputError(
                f"the API key holds characters that no key has; was something else pasted into {self._provider.key}?"
            )
        self._endpoint = Endpoint(
            base=address(base, allow_hosts),
            path="/embeddings",
            headers={
                "Content-Type": "application/json",
                "User-Agent": "qrelkit",
                **({"Authorization": f"Bearer {key}"} if key else {}),
            },
            secret=key,
            timeout_s=timeout_s,
            at_once=at_once,
            closed=allow_hosts is not None,
        )
        self._dimensions, self._batch, self._at_once, self._wait_s = dimensions, batch, at_once, wait_s
        self.cut = 0
        self._kept = Kept(keep / ENDPOINTS, self.name, [self._model, base.partition("?")[0], dimensions])

    @property
    def settings(self) -> Mapping[str, Any]:
        """All that changes a vector."""
        said = {name: value for name, value in self.recipe.json().items() if name in ENDPOINT}
        address = str(self._endpoint.base.with_query(None))
        return {"kind": "embeddings", "model": self._model, "address": address, "dimensions": self._dimensions, **said}

    def encode(self, texts: Sequence[str], side: Side) -> Rows:
        """Vectors of texts × dimensions, in order: those kept, the others asked for and kept."""
        tokens = self.recipe.document_tokens if side == "document" else self.recipe.query_tokens
        prefix, told = self.recipe.prefix(side) or "", self._told(side)
        whole = [prefix + text for text in texts]
        if self.recipe.one_line:
            whole = [text.replace("\n", " ") for text in whole]
        sent = [self._cut(text or " ", tokens) for text in whole]
        marked = [f"{told}\0{text}" for text in sent]
        if not marked:
            return np.zeros((0, 0), np.float32)
        return self._kept.through(marked, lambda missing: _run(self._ask(missing)))

    def _told(self, side: Side) -> str:
        """Voyage's `input_type`; a hypothetical document is a document."""
        if not self._provider.told_side:
            return ""
        return "query" if side == "query" or (side == "rewrite" and self.recipe.rewrite == "query") else "document"

    def _cut(self, text: str, tokens: int | None) -> str:
        if tokens is None or len(text) <= tokens or (counted := tokens_of_text(text)) <= tokens:
            return text
        self.cut += 1
        return text[: max(1, int(len(text) * tokens / counted))]

    async def _ask(self, marked: list[str]) -> Rows:
        """Asks for all. Every batch is on disk before the next is asked for in its place; after an error no more are, and those
        on their way are waited for, since they are paid."""
        batches = [marked[begin : begin + self._batch] for begin in range(0, len(marked), self._batch)]
        parts: dict[int, Rows] = {}
        errors: list[ModelError] = []
        waiting = iter(enumerate(batches))

        async def one_after_another() -> None:
            for number, some in waiting:
                try:
                    texts = [text.partition("\0")[2] for text in some]
                    parts[number] = await self._answer(texts, some[0].partition("\0")[0])
                    self._kept.add(some, parts[number])
                except ModelError as error:
                    errors.append(error)
                if errors:
                    return

        try:
            await asyncio.gather(*(one_after_another() for _ in range(self._at_once)))
        finally:
            await self._endpoint.close()
        if errors:
            raise next((error for error in errors if isinstance(error, Rejected)), errors[0])
        if len({part.shape[1] for part in parts.values()}) > 1:
            raise Unreachable(f"{self._where}: answered vectors of different lengths")
        return np.concatenate([parts[number] for number in range(len(batches))])

    async def _answer(self, texts: list[str], told: str) -> Rows:
        """The vectors of a batch; one that is too long is halved, a text that is too long alone is cut."""
        try:
            return await self._tried(texts, told)
        except Rejected as error:
            if error.fatal or not _TOO_LONG.search(str(error)):
                raise
            if len(texts) == 1 and len(texts[0]) <= SHORTEST:
                raise
        if len(texts) == 1:
            self.cut += 1
            return await self._answer([texts[0][: int(len(texts[0]) * CUT_TO)]], told)
        middle = len(texts) // 2
        return np.concatenate([await self._answer(texts[:middle], told), await self._answer(texts[middle:], told)])

    async def _tried(self, texts: list[str], told: str) -> Rows:
        for number in range(TRIES):
            try:
                return await self._exchange(texts, told)
            except (RateLimited, Unreachable) as error:
                if number == TRIES - 1:
                    raise
                said = getattr(error, "retry_after_s", None)
            await asyncio.sleep(min(LONGEST_WAIT_S, self._wait_s * 2**number if said is None else said))
        raise AssertionError("unreachable")

    async def _exchange(self, texts: list[str], told: str) -> Rows:
        asked: dict[str, Any] = {"model": self._model, "input": texts}
        if self._dimensions is not None:
            asked["dimensions" if not self._provider.told_side else "output_dimension"] = self._dimensions
        if told:
            asked["input_type"] = told
        status, headers, raw = await self._endpoint.post(orjson.dumps(asked))
        try:
            data: Any = orjson.loads(raw)
        except orjson.JSONDecodeError:
            data = {"error": " ".join(raw[:200].decode("utf-8", "replace").split())}
        if status != 200 or not isinstance(data, dict) or data.get("error"):
            problem = replace(read_problem(status, data), key_variable=self._provider.key)
            raise error_of(problem, headers, self._where, time.time(), self._endpoint.hidden)
        return _rows(data, len(texts), self._where)

    @property
    def _where(self) -> str:
        return f"{self.name} at {self._endpoint.place}"


def _rows(data: Mapping[str, Any], count: int, where: str) -> Rows:
    """The vectors of an answer, in the order of the texts whatever that of the answer."""
    try:
        rows = sorted(data["data"], key=lambda row: int(row["index"]))
        vectors = [_vector(row["embedding"]) for row in rows]
        if [int(row["index"]) for row in rows] != list(range(count)):
            raise ValueError(f"{len(rows)} vectors for {count} texts")
        return np.stack(vectors)
    except (KeyError, TypeError, ValueError) as error:
        raise Unreachable(f"{where}: answered JSON that is no list of embeddings ({error})") from None


def _vector(said: Any) -> Rows:
    """A list of numbers, or float32 in base64."""
    row = np.frombuffer(base64.b64decode(said), "<f4") if isinstance(said, str) else np.asarray(said, np.float32)
    if row.ndim != 1 or not len(row) or not np.isfinite(row).all():
        raise ValueError("an embedding that is no list of numbers")
    return row.astype(np.float32)


def _completed(recipe: Recipe) -> tuple[Recipe, tuple[str, ...]]:
    """The recipe with no prefix where none is known, which is told."""
    unknown = [side for side in ("query", "document") if getattr(recipe, side) is None]
    notes = [
        f"{recipe.model} is not in the table of encoders: its {side} side is sent without any prefix; if that is right, say so "
        f"(--{side}-prefix ''), else state it"
        for side in unknown
    ]
    return recipe.stated(**dict.fromkeys(unknown, "")), tuple(notes)


def _run(work: Coroutine[Any, Any, Rows]) -> Rows:
    """Runs it to its end, also where an event loop runs already (a notebook)."""
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return asyncio.run(work)
    with ThreadPoolExecutor(1) as pool:
        return pool.submit(asyncio.run, work).result()
