"""One query to an engine over HTTP: page after page, until there are enough documents or no more."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from qrelkit.core.errors import ModelError, Rejected, Unreachable
from qrelkit.retrievers.engines.asking import Manners
from qrelkit.retrievers.engines.dialects import Dialect, Page, Sent
from qrelkit.retrievers.engines.hits import Answer, Hit, distinct
from qrelkit.retrievers.engines.web import Web


class Search:
    """The way to an engine over HTTP."""

    def __init__(self, web: Web, dialect: Dialect) -> None:
        self._web, self._dialect = web, dialect

    async def answer(self, variables: Mapping[str, Any], manners: Manners) -> Answer:
        """The hits of all pages that are needed."""
        paging, depth = self._dialect.paging, int(variables["depth"])
        size = depth if paging.by == "none" else min(depth, paging.size)
        hits: list[Hit] = []
        number, cursor, before, documents = paging.first, variables["cursor"], Page([]), 0
        while True:
            here = {**variables, "size": size, "offset": len(hits), "page": number, "cursor": cursor}
            page = await manners.ask(self._asked(self._dialect.request(self._web.base, here)))
            if page.hits and _ids(page.hits) == _ids(before.hits):
                used = f"does the request use `{_name(paging.by)}`?"
                raise Rejected(f"{self._web.place}: page {number} repeats the one before: {used}")
            hits += page.hits
            enough, known, documents = distinct(hits) >= depth, documents, len(set(_ids(hits)))
            if enough or documents == known or self._last(page, len(hits), size, cursor):
                return Answer(hits, cut_short=page.total is not None and len(hits) < page.total and not enough)
            number, cursor, before = number + 1, page.next, page

    async def close(self) -> None:
        await self._web.close()

    def _last(self, page: Page, hits: int, size: int, cursor: Any) -> bool:
        """Whether the engine says, or shows, that no page follows."""
        by = self._dialect.paging.by
        return (
            by == "none"
            or (page.total is not None and hits >= page.total)
            or (self._dialect.exact and len(page.hits) < size)
            or (by in ("cursor", "after") and (page.next in (None, "") or page.next == cursor))
        )

    def _asked(self, sent: Sent) -> Any:
        async def once() -> Page:
            said = await self._web.send(sent.method, sent.url, sent.body, sent.content_type)
            try:
                return self._dialect.page(said)
            except Unreachable as error:
                raise Unreachable(self._named(error)) from None
            except Rejected as error:
                raise Rejected(self._named(error), fatal=error.fatal) from None

        return once

    def _named(self, error: ModelError) -> str:
        return f"{self._web.place}: {self._web.hidden(str(error))}"


def _ids(hits: Sequence[Hit]) -> list[str]:
    return [one.doc_id for one in hits]


def _name(by: str) -> str:
    return {"after": "cursor", "none": "offset"}.get(by, by)
