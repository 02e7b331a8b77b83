"""One pair, one question: reasoning, then a verdict on the scale (arXiv 2409.11860 and 2506.17782 as options of one judge).

A judge holds settings, a flow holds the state of one conversation. What is shared by the pairs of one query (system text,
query with its guideline, examples) is rendered and hashed once and stands first in every request.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, ClassVar, Literal, get_args

from qrelkit.core.collection import fingerprint_with_images
from qrelkit.core.errors import UnknownName
from qrelkit.core.guideline import CANNOT_JUDGE, Guideline, Scale
from qrelkit.core.image_digests import UnreadableImage
from qrelkit.core.records import Document, Image, Judgment, Pair, Query
from qrelkit.core.wire import Flow, Message, Part, Reply, Request, Schema, Settings, Shrink, Text, digest_of, picture, text
from qrelkit.judges.read_reply import MARKER, Verdict, read_reply, verdict_probabilities
from qrelkit.text.leaving import leaving_document, leaving_query, refuse_look
from qrelkit.text.prompt import Prompt

Route = Literal["text", "described", "shown"]
ROUTES: tuple[str, ...] = get_args(Route)
NOTHING_SEEN: Mapping[str, Sequence[str]] = {"descriptions": (), "captions": ()}
KEPT_BLOCKS = 20_000  # rendered documents kept: one occurs under several queries
LONG_CHARS = 4_000  # a rendered document beyond this is not kept: 75,000 articles of 40 kB would be 3 GB


@dataclass(frozen=True, kw_only=True, slots=True)
class Example:
    """A pair that people have judged, shown to the judge and therefore excluded from every agreement figure."""

    query: Query
    document: Document
    grade: int


class Pointwise:
    """Implements the `Judge` door with a language model.

    `look` says what of a document it is given: its text only, with the `descriptions` of its images (image digest → text), or
    with the images themselves. `examples` has the examples for each query, most similar last; a query with an empty list there
    lacks the example that it should have, and its pairs fail. `samples` > 1 asks each pair several times and keeps the share of
    each grade as its probability; the grade is the most frequent, the lower one on a tie.
    """

    def __init__(
        self,
        model: str,
        guideline: Guideline,
        prompt: Prompt,
        *,
        look: Look | None = None,
        sampling: Settings = Settings(),
        samples: int = 1,
        examples: Mapping[str, Sequence[Example]] | None = None,
        descriptions: Mapping[str, str] | None = None,
        name: str = "",
    ) -> None:
        self.model, self.guideline, self.prompt = model, guideline, prompt
        self.look, self.sampling, self.samples = look or Look(), sampling, samples
        self.examples, self.descriptions = dict(examples or {}), dict(descriptions or {})
        self.name = name or model
        self._query_parts: dict[str, tuple[Part, ...]] = {}
        self._versions: dict[str, str] = {}
        self._document_parts: dict[str, tuple[Part, ...]] = {}
        self._long_blocks: dict[str, Text] = {}  # hashed once, rendered again when one is looked at

    @property
    def models(self) -> tuple[str, ...]:
        """The models that this judge may ask."""
        return (self.model,)

    @cached_property
    def settings(self) -> Mapping[str, Any]:
        """Everything that changes a verdict, other than the pair itself and its query's guideline."""
        shown: dict[str, Any] = {"shrink": self.look.shrink.key} if self.look.route == "shown" else {}
        if self.look.images is not None and self.look.route != "text":
            shown["images"] = self.look.images
        if self.look.kind != "documents":
            shown["look"] = self.look.kind
        if self.look.may_leave is not None:
            shown["may_leave"] = sorted(self.look.may_leave)
        return shown | {
            "kind": "pointwise",
            "model": self.model,
            "prompt": self.prompt.name,
            "prompt_digest": self.prompt.digest,
            "scale": self.guideline.scale.json(),
            "instructions": self.guideline.instructions,
            "route": self.look.route,
            "sampling": self.sampling.json(),
            "samples": self.samples,
            "fields": list(self.look.fields),
            "max_document_chars": self.look.max_document_chars,
        }

    @cached_property
    def key(self) -> str:
        return digest_of(self.settings)

    def query_key(self, query_id: str, fingerprint: str, images: Sequence[str]) -> str:
        """What of the query's side decides a judgment: the query with its images (digests), the descriptions used, its
        guideline's version, the examples shown."""
        examples = self.examples.get(query_id, ())
        shown: list[Any] = [[e.query.fingerprint, self._fingerprint(e.document), e.grade] for e in examples]
        if self._lacks_example(query_id):
            shown = ["missing"]  # never taken for a judgment that was to do without
        told = [self.descriptions.get(image) for image in images] if self.look.route == "described" else []
        return digest_of([fingerprint, self._version(query_id), shown, *([told] if told else [])])

    def _fingerprint(self, document: Document) -> str:
        return fingerprint_with_images(document) if self.look.route == "shown" else document.fingerprint

    def _lacks_example(self, query_id: str) -> bool:
        return query_id in self.examples and not self.examples[query_id]

    def doc_key(self, doc_id: str, fingerprint: str, images: Sequence[str]) -> str:
        """What of the document's side decides it: the document with its images (digests), the descriptions used."""
        if self.look.route != "described" or not images:
            return fingerprint
        return digest_of([fingerprint, [self.descriptions.get(image) for image in images[: self.look.images]]])

    def flow(self, group: Sequence[Pair]) -> Flow[Sequence[Judgment]]:
        blind = [self._cannot_be_shown(pair) for pair in group]
        asked: list[Request] = []
        for i, pair in enumerate(group):
            try:
                asked += [] if blind[i] else [self._request(pair, pair.sample * self.samples + n) for n in range(self.samples)]
            except UnreadableImage as error:  # it was to be read now, and cannot be
                blind[i] = str(error)
        answers: list[Answer] = []
        if asked:
            answers = [Answer(reply, self._read(reply)) for reply in (yield asked)]
            unread = [i for i, answer in enumerate(answers) if answer.worth_asking_again]
            if unread:
                again = yield [self._again(asked[i], answers[i].reply) for i in unread]
                for i, reply in zip(unread, again, strict=True):
                    answers[i] = Answer(reply, self._read(reply), paid_before=answers[i].cost_usd)
        given = iter(answers)
        return [
            self._unjudged(pair, problem) if problem else self._judgment(pair, [next(given) for _ in range(self.samples)])
            for pair, problem in zip(group, blind, strict=True)
        ]

    def _version(self, query_id: str) -> str:
        known = self._versions.get(query_id)
        if known is None:
            known = self._versions[query_id] = self.guideline.version(query_id)
        return known

    # asking

    def _request(self, pair: Pair, sample: int) -> Request:
        parts = (*self._query_side(pair.query), *self._document_side(pair.document), self._ask)
        messages = (self._system, Message("user", parts))
        return Request(model=self.model, messages=messages, settings=self.sampling, schema=self._schema, sample=sample)

    def _again(self, request: Request, reply: Reply) -> Request:
        messages = (*request.messages, Message("assistant", (text(reply.text),)), Message("user", (self._once_more,)))
        return Request(model=self.model, messages=messages, settings=self.sampling, schema=self._schema, sample=request.sample)

    @cached_property
    def _words(self) -> Mapping[str, Any]:
        scale = self.guideline.scale
        labels = [*scale.labels, CANNOT_JUDGE] if scale.cannot_judge else list(scale.labels)
        return {"scale": scale, "labels": labels, "values": scale.values, "instructions": self.guideline.instructions}

    @cached_property
    def _system(self) -> Message:
        return Message("system", (text(self.prompt.render("system", **self._words)),))

    @cached_property
    def _ask(self) -> Text:
        return text(self.prompt.render("ask", **self._words))

    @cached_property
    def _once_more(self) -> Text:
        return text(self.prompt.render("again", **self._words))

    @cached_property
    def _schema(self) -> Schema:
        return verdict_schema(self._words["labels"], self.prompt.meta.get("reasoning", "reasoning" in self.prompt.source))

    def _query_side(self, query: Query) -> tuple[Part, ...]:
        known = self._query_parts.get(query.query_id)
        if known is None:
            own = self.guideline.queries.get(query.query_id)
            seen = leaving_query(query, self.look.may_leave)
            words = {"query": seen, "guideline": own, **self._seen(seen.images), **self._words}
            known = (text(self.prompt.render("query", **words)), *self._pictures(seen.images))
            for example in self.examples.get(query.query_id, ()):
                known = (*known, *self._example(example, query))
            self._query_parts[query.query_id] = known
        return known

    def _example(self, example: Example, query: Query) -> tuple[Part, ...]:
        label = self.guideline.scale.labels[self.guideline.scale.values.index(example.grade)]
        other = example.query.query_id != query.query_id
        document, cut = self.look.at(example.document)
        case = leaving_query(example.query, self.look.may_leave)
        words = {"query": case, "document": document, "other_query": other, "cut": cut}
        seen = self._seen(document.images)
        shown = text(self.prompt.render("example", label=label, grade=example.grade, **words, **seen, **self._words))
        return (shown, *self._pictures(document.images))

    def _document_side(self, document: Document) -> tuple[Part, ...]:
        if (long := self._long_blocks.get(document.doc_id)) is not None:
            again = long.again(lambda: self._document_block(*self.look.at(document.whole())))
            shown = self.look.route == "shown"
            return (again, *self._pictures(self.look.at(document.whole())[0].images)) if shown else (again,)
        known = self._document_parts.get(document.doc_id)
        if known is None:
            seen, cut = self.look.at(document.whole())
            block = text(self._document_block(seen, cut))
            known = (block, *self._pictures(seen.images))
            if block.chars > LONG_CHARS:
                self._long_blocks[document.doc_id] = block.again(str)
            else:
                if len(self._document_parts) >= KEPT_BLOCKS:
                    self._document_parts.clear()
                self._document_parts[document.doc_id] = known
        return known

    def _document_block(self, seen: Document, cut: int) -> str:
        columns = seen.columns
        fields = {name: columns[name] for name in self.look.fields if columns.get(name) not in (None, "")}
        return self.prompt.render("document", document=seen, fields=fields, cut=cut, **self._seen(seen.images))

    def _seen(self, images: Sequence[Image]) -> Mapping[str, Sequence[str]]:
        """What the text says of images on this route: their descriptions (with captions), or the captions of those shown."""
        if not images or self.look.route == "text":
            return NOTHING_SEEN
        if self.look.route == "shown":
            return {"descriptions": [], "captions": [i.caption for i in images]}
        told = [f"{i.caption}: {t}" if i.caption else t for i in images if (t := self.descriptions.get(i.digest))]
        return {"descriptions": told, "captions": []}

    def _pictures(self, images: Sequence[Image]) -> tuple[Part, ...]:
        return tuple(picture(image, self.look.shrink) for image in images) if self.look.route == "shown" else ()

    def _cannot_be_shown(self, pair: Pair) -> str:
        """Why a pair cannot be judged as was asked for: nothing that is missing is ever passed over."""
        if problem := self.look.lacks(pair.query):
            return problem
        if self._lacks_example(pair.query.query_id):
            return f"query {pair.query.query_id} has no judged document that could be its example"
        if self.guideline.required and pair.query.query_id not in self.guideline.queries:
            return f"query {pair.query.query_id} has no guideline to be judged by; run `guide`, or approve one"
        if self.look.route == "described":
            for image in (*pair.query.images, *pair.document.whole().images[: self.look.images]):
                if image.digest not in self.descriptions:
                    return f"image {image.name or image.digest[:12]} has no description; run `describe` first"
        return ""

    # reading

    def _read(self, reply: Reply) -> Verdict:
        return read_reply(reply, self.guideline.scale, self._marker)

    @cached_property
    def _marker(self) -> str:
        return str(self.prompt.meta.get("marker", MARKER))

    def _judgment(self, pair: Pair, answers: Sequence[Answer]) -> Judgment:
        first = answers[0]
        verdict = first.verdict if len(answers) == 1 else settled([answer.verdict for answer in answers])
        probabilities = None
        if verdict.grade is not None:
            scale = self.guideline.scale
            several = len(answers) > 1
            probabilities = (
                shares([a.verdict for a in answers], scale)
                if several
                else verdict_probabilities(first.reply, scale, self._marker)
            )
        costs = [answer.cost_usd for answer in answers if answer.cost_usd is not None]
        return Judgment(
            query_id=pair.query.query_id,
            doc_id=pair.document.doc_id,
            grade=verdict.grade,
            outcome=verdict.outcome,
            reason=verdict.reason,
            probabilities=probabilities,
            guideline=self._version(pair.query.query_id),
            request=first.reply.request,
            sample=pair.sample,
            query_key=pair.query_key,
            doc_key=pair.doc_key,
            cost_usd=sum(costs) if costs else None,
        )

    def _unjudged(self, pair: Pair, problem: str) -> Judgment:
        ids = {"query_id": pair.query.query_id, "doc_id": pair.document.doc_id}
        keys = {"query_key": pair.query_key, "doc_key": pair.doc_key, "sample": pair.sample}
        version = self._version(pair.query.query_id)
        return Judgment(grade=None, outcome="failed", reason=problem, guideline=version, **ids, **keys)  # type: ignore[arg-type]


@dataclass(frozen=True, slots=True)
class Answer:
    """A reply and what was read in it; `paid_before` is what an unreadable first one cost, `shared` how many pairs it is about:
    each is said to have cost its equal part."""

    reply: Reply
    verdict: Verdict
    paid_before: float | None = None
    shared: int = 1

    @property
    def worth_asking_again(self) -> bool:
        """An answer in a form that cannot be read; a truncated one would only be cut, and paid for, again."""
        return self.verdict.outcome in ("unparsable", "out_of_range") and self.reply.outcome == "answered"

    @property
    def cost_usd(self) -> float | None:
        """What was paid for it, whenever that was: a reply that the ledger knew had its price too."""
        now = None if self.reply.cost_usd is None else self.reply.cost_usd / self.shared
        return now if self.paid_before is None else self.paid_before + (now or 0.0)


def settled(verdicts: Sequence[Verdict]) -> Verdict:
    """The most frequent grade, the lower one on a tie; the first verdict where there is no grade at all.

    Where one sample failed the whole has failed: the others are in the ledger, and the next run asks only for what is missing.
    """
    if failed := next((v for v in verdicts if v.outcome == "failed"), None):
        return failed
    votes = Counter(v.grade for v in verdicts if v.grade is not None)
    if not votes:
        return verdicts[0]
    most = max(votes.values())
    grade = min(g for g, count in votes.items() if count == most)
    return next(v for v in verdicts if v.grade == grade)


def shares(verdicts: Sequence[Verdict], scale: Scale) -> tuple[float, ...]:
    """The share of each grade among the graded samples, lowest grade first."""
    votes = Counter(v.grade for v in verdicts if v.grade is not None)
    return tuple(votes[value] / votes.total() for value in scale.values)


@dataclass(frozen=True, kw_only=True, slots=True)
class Look:
    """What of a document an assessor is given: the route its images take, further columns by name, how much text, how many of
    its images (the first; None is all), and of all that only what `may_leave` (`text/leaving.py`; None is everything)."""

    kind: ClassVar[str] = "documents"
    route: str = "text"
    fields: tuple[str, ...] = ()
    max_document_chars: int = 40_000
    images: int | None = None
    shrink: Shrink = Shrink()
    may_leave: tuple[str, ...] | None = None

    def __post_init__(self) -> None:
        if self.route not in ROUTES:
            raise UnknownName("route", self.route, ROUTES)
        refuse_look(self.route, self.fields, self.may_leave)

    def lacks(self, query: Query) -> str:
        """What a query must have to be judged, and has not; "" where nothing is missing."""
        return ""

    def at(self, document: Document) -> tuple[Document, int]:
        """The document as seen, and after how many characters it was cut (0: not at all)."""
        document = leaving_document(document, self.may_leave)
        if self.images is not None and len(document.images) > self.images:
            document = replace(document, images=document.images[: self.images])
        if len(document.text) <= self.max_document_chars:
            return document, 0
        return replace(document, text=document.text[: self.max_document_chars]), self.max_document_chars


def verdict_schema(labels: Sequence[str], reasoning: bool) -> Schema:
    """The JSON schema of an answer: reasoning first, where it is asked for, then the verdict."""
    properties: dict[str, Any] = {"reasoning": {"type": "string"}} if reasoning else {}
    properties["verdict"] = {"type": "string", "enum": list(labels)}
    schema = {"type": "object", "properties": properties, "required": list(properties), "additionalProperties": False}
    return Schema.of("verdict", schema)
