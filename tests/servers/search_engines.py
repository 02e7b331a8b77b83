"""Search engines for tests: OpenSearch's and Elasticsearch's `_search`, Solr's `/select`, and an API of nobody.

    with SearchServer({"d1": "red shoe", …}) as server:
        server.next(rate_limited("0"), timed_out())      # these come first, one per request
        server.url + "/shop/_search"

Scores are how often the words of the query are in a text, so that ties are the rule; what a real engine refuses is refused in its
own words. Nothing is recorded from a server: the forms are those of the vendors' documentation (OpenSearch 2 and Elasticsearch 8
"Search API", Solr 9 "Response Writers" and "Pagination of Results").
"""

from __future__ import annotations

import asyncio
import base64
import re
import ssl
from collections import deque
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

import orjson
from aiohttp import web

from servers.in_thread import InThread

Fault = Callable[[web.Request], Awaitable[web.StreamResponse]]
WINDOW = 10_000  # index.max_result_window
DSL = {"query", "size", "from", "search_after", "sort", "_source", "fields", "track_total_hits", "min_score"}
Documents = Mapping[str, str | Mapping[str, Any]]


class SearchServer(InThread):
    """`documents` have a text, or a mapping with `text` and other fields. `authorization` is demanded if given.

    `asked` is what it was sent: (path, what was in the address, body as text). `most_at_once` requests were there together.
    """

    def __init__(
        self,
        documents: Documents,
        *,
        authorization: str = "",
        tls: ssl.SSLContext | None = None,
        window: int = WINDOW,
        delay_s: float = 0.0,
    ) -> None:
        self.documents = {d: {"text": v} if isinstance(v, str) else dict(v) for d, v in documents.items()}
        self.authorization, self.window, self.delay_s, self.tls = authorization, window, delay_s, tls
        self.asked: list[tuple[str, dict[str, str], str]] = []
        self.headers: list[dict[str, str]] = []
        self.at: list[float] = []
        self.most_at_once = self._at_once = 0
        self._faults: deque[Fault] = deque()
        self.whenever: Callable[[str], Fault | None] = lambda text: None

    def next(self, *faults: Fault) -> None:
        """What the next requests meet, one each, before the server is itself again."""
        self._faults.extend(faults)

    def application(self) -> web.Application:
        app = web.Application()
        app.router.add_post("/{index}/_search", self._opensearch)
        app.router.add_post("/solr/{index}/select", self._solr)
        app.router.add_route("*", "/api/search", self._api)
        app.middlewares.append(self._before)
        return app

    @web.middleware
    async def _before(self, request: web.Request, handler: Any) -> web.StreamResponse:
        self._at_once += 1
        self.most_at_once = max(self.most_at_once, self._at_once)
        try:
            body = (await request.read()).decode()
            self.asked.append((request.path, dict(request.query), body))
            self.headers.append(dict(request.headers))
            self.at.append(self._loop.time())
            if self._faults:
                return await self._faults.popleft()(request)
            if (fault := self.whenever(body + request.query_string)) is not None:
                return await fault(request)
            if self.authorization and request.headers.get("Authorization") != self.authorization:
                return es_error(401, "security_exception", f"unable to authenticate {request.headers.get('Authorization')}")
            await asyncio.sleep(self.delay_s)
            answer: web.StreamResponse = await handler(request)
            return answer
        finally:
            self._at_once -= 1

    def found(self, query: str, boost: float = 0.0) -> list[tuple[str, float]]:
        """Documents by score, ties by id upwards (not as in a run): every word counts, one in the title `boost` times more."""
        words = re.findall(r"\w+", query.lower())
        scores = {}
        for doc_id, fields in self.documents.items():
            text, title = (re.findall(r"\w+", str(fields.get(f, "")).lower()) for f in ("text", "title"))
            scores[doc_id] = float(sum(text.count(w) + boost * title.count(w) for w in words))
        return sorted(((d, s) for d, s in scores.items() if s), key=lambda found: (-found[1], found[0]))

    async def _opensearch(self, request: web.Request) -> web.Response:
        body = orjson.loads(await request.read())
        if unknown := set(body) - DSL:
            return es_error(400, "parsing_exception", f"Unknown key for a VALUE_STRING in [{min(unknown)}].")
        start, size = body.get("from", 0), body["size"]
        if start + size > self.window:
            limit = f"must be less than or equal to: [{self.window}] but was [{start + size}]"
            reason = f"Result window is too large, from + size {limit}."
            return es_error(400, "search_phase_execution_exception", reason)
        kind, clause = next(iter(body["query"].items()))
        if kind == "query_string" and clause["query"].count("(") - clause["query"].count("\\(") != clause["query"].count(")"):
            return es_error(400, "query_shard_exception", f"Failed to parse query [{clause['query']}]")
        boost = next((float(f.split("^")[1]) for f in clause.get("fields", []) if f.startswith("title^")), 0.0)
        found = self.found(clause["query"], boost)
        total = len(found)
        if "search_after" in body:
            score, doc_id = body["search_after"]
            found = [one for one in found if (-one[1], one[0]) > (-score, doc_id)]
        hits = [self._hit(request.match_info["index"], body, *one) for one in found[start : start + size]]
        return json(
            {
                "took": 3,
                "timed_out": False,
                "_shards": {"total": 2, "successful": 2, "skipped": 0, "failed": 0},
                "hits": {"total": {"value": total, "relation": "eq"}, "max_score": 1.0, "hits": hits},
            }
        )

    def _hit(self, index: str, body: dict[str, Any], doc_id: str, score: float) -> dict[str, Any]:
        hit: dict[str, Any] = {"_index": index, "_id": doc_id, "_score": score}
        if body.get("_source", True):
            hit["_source"] = self.documents[doc_id]
        if body.get("fields"):
            hit["fields"] = {f: [self.documents[doc_id][f]] for f in body["fields"] if f in self.documents[doc_id]}
        if body.get("sort"):
            hit["sort"] = [score, doc_id]
        return hit

    async def _solr(self, request: web.Request) -> web.Response:
        params = dict(await request.post())
        query = str(params["q"])
        if named := re.fullmatch(r"\{!edismax v=\$(\w+)\}", query):
            query = str(params[named[1]])
        elif re.search(r'[(){}\["]', query):
            text = f"org.apache.solr.search.SyntaxError: Cannot parse '{query}'"
            return json({"responseHeader": {"status": 400}, "error": {"msg": text, "code": 400}}, status=400)
        found, rows, fields = self.found(query), int(str(params["rows"])), str(params["fl"]).split(",")
        total, more = len(found), {}
        if mark := params.get("cursorMark"):
            done = 0 if mark == "*" else int(base64.b64decode(str(mark)))
            end = min(done + rows, total)
            found, more = found[done:end], {"nextCursorMark": base64.b64encode(b"%d" % end).decode() if end > done else str(mark)}
        else:
            found = found[int(str(params["start"])) :][:rows]
        docs = [{k: v for k, v in {"id": d, "score": s, **self.documents[d]}.items() if k in fields} for d, s in found]
        response = {"numFound": total, "start": 0, "numFoundExact": True, "docs": docs}
        return json({"responseHeader": {"status": 0, "QTime": 2}, "response": response, **more})

    async def _api(self, request: web.Request) -> web.Response:
        said = {**request.query, **(orjson.loads(await request.read()) if request.content_type == "application/json" else {})}
        found = self.found(str(said["q"]))
        size = min(int(said.get("per", 3)), 3)  # never more than three at once
        start = int(said["skip"]) if "skip" in said else (int(said.get("page", 1)) - 1) * size
        if said.get("after"):
            start = int(str(said["after"]).removeprefix("c"))
        items = [{"sku": d, "why": {"score": s}} for d, s in found[start : start + size]]
        after = f"c{start + size}" if start + size < len(found) else None
        return json({"data": {"items": items, "count": len(found)}, "next": after, "degraded": False})


def json(value: Any, status: int = 200, headers: dict[str, str] | None = None) -> web.Response:
    return web.Response(body=orjson.dumps(value), status=status, content_type="application/json", headers=headers)


def es_error(status: int, kind: str, reason: str, headers: dict[str, str] | None = None) -> web.Response:
    """An error of Elasticsearch and OpenSearch."""
    cause = {"type": kind, "reason": reason}
    return json({"error": {"root_cause": [cause], **cause}, "status": status}, status, headers)


# faults


def failing(status: int, kind: str = "exception", reason: str = "", **headers: str) -> Fault:
    async def fault(request: web.Request) -> web.Response:
        said = {name.replace("_", "-"): value for name, value in headers.items()}
        return es_error(status, kind, reason or f"because of {status}", said)

    return fault


def rate_limited(retry_after: str = "0") -> Fault:
    return failing(429, "es_rejected_execution_exception", "rejected execution of search", Retry_After=retry_after)


def saying(value: Any) -> Fault:
    """An answer with status 200, whatever it says."""

    async def fault(request: web.Request) -> web.Response:
        return json(value)

    return fault


def opensearch_reply(**more: Any) -> dict[str, Any]:
    whole = {"total": 2, "successful": 2, "skipped": 0, "failed": 0}
    hits = {"total": {"value": 1, "relation": "eq"}, "max_score": 9.0, "hits": [{"_index": "i", "_id": "half", "_score": 9.0}]}
    return {"took": 30, "timed_out": False, "_shards": whole, "hits": hits, **more}


def timed_out() -> Fault:
    return saying(opensearch_reply(timed_out=True))


def shards_failed() -> Fault:
    failures = [{"shard": 1, "index": "i", "reason": {"type": "circuit_breaking_exception", "reason": "Data too large"}}]
    return saying(opensearch_reply(_shards={"total": 2, "successful": 1, "skipped": 0, "failed": 1, "failures": failures}))


def cluster_skipped() -> Fault:
    return saying(opensearch_reply(_clusters={"total": 2, "successful": 1, "skipped": 1}))


def solr_partial() -> Fault:
    head = {"status": 0, "QTime": 9, "partialResults": True}
    return saying({"responseHeader": head, "response": {"numFound": 1, "start": 0, "docs": [{"id": "half", "score": 1.0}]}})


def moved(to: str) -> Fault:
    async def fault(request: web.Request) -> web.Response:
        return web.Response(status=302, headers={"Location": to})

    return fault
