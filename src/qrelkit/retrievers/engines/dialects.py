"""What the HTTP engines are sent, and how their answers are read: OpenSearch and Elasticsearch, Solr, and any other that speaks
JSON.

An answer that says that it is not whole (a shard that failed, time that ran out) is a failure, not a result.

    OpenSearch, Elasticsearch   POST INDEX/_search: hits.hits[] with _id, _score; timed_out, _shards.failed, _clusters
    Solr                        POST INDEX/select as a form: response.docs[]; responseHeader.status, .partialResults
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

import orjson

from qrelkit.core.errors import InputError, Rejected, Unreachable
from qrelkit.retrievers.engines.config import BY_RANK, EngineConfig, PagingConfig
from qrelkit.retrievers.engines.hits import Hit, hit
from qrelkit.retrievers.engines.paths import JsonPath, single
from qrelkit.retrievers.engines.template import Params, Template, as_pairs

if TYPE_CHECKING:
    from yarl import URL

JSON = "application/json"
ONCE = PagingConfig(by="none")


@dataclass(frozen=True, slots=True)
class Sent:
    """One request: `body` is bytes of `content_type`, the pairs of a form, or nothing."""

    method: str
    url: URL
    body: bytes | Sequence[tuple[str, str]] | None = None
    content_type: str = ""


@dataclass(frozen=True, slots=True)
class Page:
    """One answer: its hits, how many there are in all (None: nobody said), and what leads to the next one (None: nothing)."""

    hits: Sequence[Hit]
    total: int | None = None
    next: Any = None


class Dialect(Protocol):
    """What a kind of engine is sent and answers. `exact`: a page that is not full is the last."""

    paging: PagingConfig
    exact: bool

    def request(self, base: URL, variables: Mapping[str, Any]) -> Sent: ...
    def page(self, said: Any) -> Page: ...


class _Hits:
    """Where the hits stand in an answer, and what they have."""

    def __init__(self, config: EngineConfig, *, hits: str = "", id: str = "", score: str = "") -> None:
        kind = config.kind
        self.ranked = config.score == BY_RANK
        self._hits, self._id = JsonPath(config.hits or hits, f"{kind}: hits"), JsonPath(config.id or id, f"{kind}: id")
        self._score = JsonPath("" if self.ranked else config.score or score, f"{kind}: score")
        self._parent = JsonPath(config.parent, f"{kind}: parent") if config.parent else None
        self.fields = [path for path in (config.id or id, "" if self.ranked else config.score or score, config.parent) if path]

    def read(self, said: Any) -> list[Hit]:
        found = self._hits.take(said)
        if not isinstance(found, list):
            raise Rejected(f"the answer has no list of hits at {self._hits.path!r}")
        return [self._one(one) for one in found]

    def _one(self, one: Any) -> Hit:
        parent = single(self._parent.take(one)) if self._parent is not None else None
        score = None if self.ranked else single(self._score.take(one))
        return hit(single(self._id.take(one)), score, parent, ranked=self.ranked)


class OpenSearch:
    """The query DSL, as a template of JSON; `size`, `from` and `search_after` are ours."""

    exact = True
    ours = ("size", "from", "search_after")

    def __init__(self, config: EngineConfig) -> None:
        self.paging = config.paging or PagingConfig(by="offset")
        self._index = Template(config.index, f"{config.kind}: index")
        self._body = Template(config.template, f"{config.kind}: template", json=True)
        self._params = Params(config.params, config.kind)
        self._hits = _Hits(config, hits="hits.hits", id="_id", score="_score")
        self._sourceless = not any(path.startswith("_source") for path in self._hits.fields)

    def request(self, base: URL, variables: Mapping[str, Any]) -> Sent:
        body = parsed(self._body.render(variables), self._body.where)
        for name in self.ours:
            if name in body:
                raise InputError(f"{self._body.where}: {name!r} is set by qrelkit, by the depth and `paging:`; take it out")
        body["size"] = variables["size"]
        if self._sourceless:
            body.setdefault("_source", False)
        if self.paging.by == "after":
            if not body.get("sort"):
                raise InputError(f"{self._body.where}: paging by `after` needs a sort that ends in a field unique to a document")
            if variables["cursor"]:
                body["search_after"] = variables["cursor"]
        elif variables["offset"]:
            body["from"] = variables["offset"]
        url = base.joinpath(self._index.render(variables).strip(), "_search").update_query([*base.query.items()])
        return Sent("POST", url.update_query(as_pairs(self._params.render(variables))), orjson.dumps(body), JSON)

    def page(self, said: Any) -> Page:
        if not isinstance(said, dict) or not isinstance(said.get("hits"), dict):
            raise Rejected("the answer has no hits.hits; does `url` lead to the engine itself?")
        if said.get("timed_out"):
            raise Unreachable("timed_out: the engine ran out of time, and what it found until then is no result")
        _refuse_parts(said.get("_shards"), "shards", ("failed",))
        _refuse_parts(said.get("_clusters"), "clusters", ("skipped", "failed", "partial"))
        hits, total = self._hits.read(said), said["hits"].get("total")
        if isinstance(total, dict):
            total = total.get("value") if total.get("relation") == "eq" else None
        last = said["hits"]["hits"][-1].get("sort") if hits and self.paging.by == "after" else None
        return Page(hits, total if isinstance(total, int) else None, last)


class Solr:
    """Parameters of /select, sent as a form: whatever is in a query stays the value of its parameter."""

    exact = True
    ours = ("rows", "start", "wt", "cursorMark")

    def __init__(self, config: EngineConfig) -> None:
        self.paging = config.paging or PagingConfig(by="offset")
        self._index = Template(config.index, "solr: index")
        self._params = Params(config.params, "solr")
        self._hits = _Hits(config, hits="response.docs", id="id", score="score")
        for name in self.ours:
            if name in config.params:
                raise InputError(f"solr: params.{name} is set by qrelkit, by the depth and `paging:`; take it out")

    def request(self, base: URL, variables: Mapping[str, Any]) -> Sent:
        params = {"fl": ",".join(self._hits.fields), **self._params.render(variables), "rows": variables["size"], "wt": "json"}
        if self.paging.by == "cursor":
            params["cursorMark"] = variables["cursor"] or "*"
        else:
            params["start"] = variables["offset"]
        url = base.joinpath(self._index.render(variables).strip(), "select").update_query([*base.query.items()])
        return Sent("POST", url, as_pairs(params))

    def page(self, said: Any) -> Page:
        head = said.get("responseHeader") if isinstance(said, dict) else None
        if not isinstance(head, dict) or not isinstance(said.get("response"), dict):
            raise Rejected("the answer has no response.docs; does `url` lead to Solr itself, as in http://HOST:8983/solr?")
        if head.get("status"):
            raise Unreachable(f"Solr's status is {head['status']}")
        if head.get("partialResults"):
            raise Unreachable("partialResults: a shard did not answer, or time ran out, and what was found is no result")
        total = said["response"].get("numFound") if said["response"].get("numFoundExact", True) else None
        return Page(self._hits.read(said), total, said.get("nextCursorMark"))


class Http:
    """Any address that answers with JSON: parameters in the address or a form, or a body by a template; paths say the rest."""

    exact = False

    def __init__(self, config: EngineConfig) -> None:
        self.paging = config.paging or ONCE
        self._method = config.method or ("POST" if config.template else "GET")
        self._type = config.content_type
        if config.template and self._method == "GET":
            raise InputError("http: a GET has no body: say `method: POST`, or use `params:` instead of `template:`")
        self._json = "json" in self._type.lower()
        self._body = Template(config.template, "http: template", json=self._json) if config.template else None
        self._params = Params(config.params, "http")
        self._hits = _Hits(config)
        self._total = JsonPath(config.total, "http: total") if config.total else None
        self._incomplete = JsonPath(config.incomplete, "http: incomplete") if config.incomplete else None
        self._next = JsonPath(self.paging.next, "http: paging.next") if self.paging.next else None

    def request(self, base: URL, variables: Mapping[str, Any]) -> Sent:
        pairs = as_pairs(self._params.render(variables))
        if self._body is None and self._method == "POST":
            return Sent("POST", base, pairs)
        url = base.extend_query(pairs) if pairs else base
        if self._body is None:
            return Sent("GET", url)
        text = self._body.render(variables)
        body = orjson.dumps(parsed(text, self._body.where)) if self._json else text.encode()
        return Sent("POST", url, body, self._type)

    def page(self, said: Any) -> Page:
        if self._incomplete is not None and (why := self._incomplete.take(said)):
            raise Unreachable(f"the answer is not whole: {self._incomplete.path} is {str(why)[:80]}")
        total = single(self._total.take(said)) if self._total is not None else None
        if self._total is not None and (isinstance(total, bool) or not isinstance(total, int)):
            raise Rejected(f"there is no whole number at `total: {self._total.path}`")
        return Page(self._hits.read(said), total, single(self._next.take(said)) if self._next is not None else None)


def dialect_of(config: EngineConfig) -> Dialect:
    """How an engine over HTTP is spoken to."""
    if config.kind == "solr":
        return Solr(config)
    return Http(config) if config.kind == "http" else OpenSearch(config)


def parsed(text: str, where: str) -> dict[str, Any]:
    """A rendered template as the JSON object that it must be."""
    try:
        value = orjson.loads(text)
    except ValueError as error:
        raise InputError(f"{where} gives no JSON: {error}") from None
    if not isinstance(value, dict):
        raise InputError(f"{where} must give a JSON object")
    return value


def _refuse_parts(said: Any, what: str, names: Sequence[str]) -> None:
    """Raises Unreachable where parts of an engine did not answer: what the others found is no result."""
    missing = sum(int(said.get(name) or 0) for name in names) if isinstance(said, dict) else 0
    if not missing:
        return
    failures = said.get("failures") or [{}]
    first = failures[0].get("reason") if isinstance(failures[0], dict) else None
    why = f": {first.get('reason', '')}" if isinstance(first, dict) else ""
    raise Unreachable(f"{missing} of {said.get('total', '?')} {what} failed{why}")
