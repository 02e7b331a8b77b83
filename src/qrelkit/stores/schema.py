"""The tables of a store: what is kept of everything that was paid for or typed.

    meta                what the file is, its schema version, how far the two digest tables reach
    parts               each text, picture and reply schema that was ever sent, once
    replies             what came back, one row per reply; `envelope` names the parts it was an answer to
    texts               what recurs in replies: prices, and the forms of envelopes
    part_digests        digest → row, filled in large sorted portions; see `digests.py`
    reply_digests
    sessions            one row per drive: which process asks, and when it was last heard of
    attempts            one row per claim and per failed attempt; `error` is NULL while an answer is awaited, "" once given back
    batches             what was handed to a provider to be answered within a day
    batch_requests      the requests of each, so that results can be stored whoever collects them
    judges              an assessor's key, name and settings
    queries, documents  (id, key) as small integers, so that the large table below holds numbers only
    judgments           one row per verdict, never changed; a correction names the row it `replaces`
    guidelines          each version of a query's own part
    descriptions        what a describer said of an image; the newest counts
    spending            what each call of a stage took: requests, tokens, money, time

Times are milliseconds since 1970 (UTC), money is US dollars. A part's `kind` is "t" (text), "i" (picture: digest of the
original bytes and the shrink key, never the bytes), "s" (schema) or "x" (not kept). `outcome` of a judgment is its place in
OUTCOMES. A part or reply whose content was erased, or never kept, has GONE before its digest, so that nobody finds it.
Texts that a model wrote and that must come back byte for byte are BLOBs, because not every database keeps NUL or a lone
surrogate in a text column.
"""

from __future__ import annotations

from sqlalchemy import BigInteger, Column, Float, ForeignKey, Index, Integer, LargeBinary, MetaData, Table, Text, UniqueConstraint

GONE = b"\0"
metadata = MetaData()
Number = BigInteger().with_variant(Integer(), "sqlite")  # SQLite numbers its rows by INTEGER only

meta = Table("meta", metadata, Column("name", Text, primary_key=True), Column("value", Text, nullable=False))

parts = Table(
    "parts",
    metadata,
    Column("id", Number, primary_key=True, autoincrement=False),
    Column("digest", LargeBinary, nullable=False),
    Column("kind", Text, nullable=False),
    Column("body", LargeBinary, nullable=False),
)

replies = Table(
    "replies",
    metadata,
    Column("id", Number, primary_key=True, autoincrement=False),
    Column("digest", LargeBinary, nullable=False),
    Column("cost_usd", Float),
    Column("created", BigInteger, nullable=False),
    Column("outcome", Text, nullable=False),
    Column("finish", Text, nullable=False),
    Column("served", Text, nullable=False),
    Column("tokens_in", Integer),
    Column("tokens_out", Integer),
    Column("tokens_cached", Integer),
    Column("latency_s", Float),
    Column("attempts", Integer, nullable=False),
    Column("text", LargeBinary, nullable=False),
    Column("token_probabilities", LargeBinary),
    Column("envelope", LargeBinary, nullable=False),
    Column("tokens_reasoning", Integer),
    Column("tokens_image", Integer),
    Column("price", Number),
    Column("session", Number),
    Column("batch", Integer, nullable=False, server_default="0"),
)

texts = Table(
    "texts",
    metadata,
    Column("id", Number, primary_key=True, autoincrement=False),
    Column("text", Text, nullable=False),
)


def _digests(name: str) -> Table:
    return Table(
        name,
        metadata,
        Column("digest", LargeBinary, primary_key=True),
        Column("id", Number, nullable=False),
        sqlite_with_rowid=False,
    )


part_digests = _digests("part_digests")
reply_digests = _digests("reply_digests")

sessions = Table(
    "sessions",
    metadata,
    Column("id", Number, primary_key=True, autoincrement=False),
    Column("host", Text, nullable=False),
    Column("pid", Number, nullable=False),
    Column("what", Text, nullable=False),
    Column("started", BigInteger, nullable=False),
    Column("beat", BigInteger, nullable=False),
    Column("ended", BigInteger),
)

attempts = Table(
    "attempts",
    metadata,
    Column("id", Number, primary_key=True, autoincrement=False),
    Column("session", Number, nullable=False),
    Column("digest", LargeBinary, nullable=False),
    Column("sent", BigInteger, nullable=False),
    Column("seconds", Float),
    Column("error", Text),
)

batches = Table(
    "batches",
    metadata,
    Column("id", Number, primary_key=True, autoincrement=False),
    Column("tag", Text, nullable=False),
    Column("model", Text, nullable=False),
    Column("ticket", Text, nullable=False),
    Column("requests", Integer, nullable=False),
    Column("answered", Integer, nullable=False),
    Column("created", BigInteger, nullable=False),
    Column("ended", BigInteger),
)

batch_requests = Table(
    "batch_requests",
    metadata,
    Column("digest", LargeBinary, primary_key=True),
    Column("batch", Number, primary_key=True, autoincrement=False),
    Column("envelope", LargeBinary, nullable=False),
    Column("answered", Integer, nullable=False),
    sqlite_with_rowid=False,
)

judges = Table(
    "judges",
    metadata,
    Column("id", Number, primary_key=True),
    Column("key", Text, nullable=False, unique=True),
    Column("name", Text, nullable=False),
    Column("settings", Text, nullable=False),
    Column("created", BigInteger, nullable=False),
)

queries = Table(
    "queries",
    metadata,
    Column("id", Number, primary_key=True),
    Column("query_id", Text, nullable=False),
    Column("query_key", Text, nullable=False),
    UniqueConstraint("query_id", "query_key"),
)

documents = Table(
    "documents",
    metadata,
    Column("id", Number, primary_key=True),
    Column("doc_id", Text, nullable=False),
    Column("doc_key", Text, nullable=False),
    UniqueConstraint("doc_id", "doc_key"),
)

judgments = Table(
    "judgments",
    metadata,
    Column("id", Number, primary_key=True),
    Column("judge", Number, ForeignKey("judges.id"), nullable=False),
    Column("query", Number, ForeignKey("queries.id"), nullable=False),
    Column("document", Number, ForeignKey("documents.id"), nullable=False),
    Column("grade", Integer),
    Column("outcome", Integer, nullable=False),
    Column("sample", Integer, nullable=False),
    Column("replaces", Number, ForeignKey("judgments.id")),
    Column("cost_usd", Float),
    Column("created", BigInteger, nullable=False),
    Column("request", LargeBinary),
    Column("guideline", Text, nullable=False),
    Column("reason", Text, nullable=False),
    Column("probabilities", Text),
    Column("details", Text),
)
# Everything `known` reads, in the order of writing: read without touching the table, written at its end only.
Index(
    "judgments_known",
    judgments.c.judge,
    judgments.c.id,
    judgments.c.query,
    judgments.c.document,
    judgments.c.grade,
    judgments.c.outcome,
    judgments.c.sample,
)

guidelines = Table(
    "guidelines",
    metadata,
    Column("id", Number, primary_key=True),
    Column("query_id", Text, nullable=False),
    Column("version", Text, nullable=False),
    Column("content", Text, nullable=False),
    Column("approved", Text, nullable=False),
    Column("origin", Text, nullable=False),
    Column("created", BigInteger, nullable=False),
)
Index("guidelines_of", guidelines.c.query_id, guidelines.c.id)

descriptions = Table(
    "descriptions",
    metadata,
    Column("id", Number, primary_key=True),
    Column("describer_key", Text, nullable=False),
    Column("image", Text, nullable=False),
    Column("text", Text, nullable=False),
    Column("created", BigInteger, nullable=False),
)
Index("descriptions_of", descriptions.c.describer_key, descriptions.c.id)

spending = Table(  # a row per call, only ever added up: it needs neither number nor index
    "spending",
    metadata,
    Column("stage", Text, nullable=False),
    Column("key", Text, nullable=False),
    Column("asked", BigInteger, nullable=False),
    Column("known", BigInteger, nullable=False),
    Column("joined", BigInteger, nullable=False),
    Column("failed", BigInteger, nullable=False),
    Column("tokens_in", BigInteger, nullable=False),
    Column("tokens_out", BigInteger, nullable=False),
    Column("tokens_cached", BigInteger, nullable=False),
    Column("cost_usd", Float, nullable=False),
    Column("unpriced", BigInteger, nullable=False),
    Column("seconds", Float, nullable=False),
    Column("created", BigInteger, nullable=False),
    Column("tokens_reasoning", BigInteger, nullable=False, server_default="0"),
    Column("tokens_image", BigInteger, nullable=False, server_default="0"),
    Column("saved_usd", Float, nullable=False, server_default="0"),
    Column("busy_s", Float, nullable=False, server_default="0"),
)
