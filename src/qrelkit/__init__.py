"""qrelkit: which retrieval system is better, and how sure may we be, when the assessors are multimodal models?

    import qrelkit as qk

    collection = qk.load("catalogue")
    runs = [qk.read_run("bm25.trec"), qk.read_run("dense.trec")]
    scores = qk.evaluate(["nDCG@10"], runs, qk.read_qrels("judged.qrels"))

Every verb is a function that takes objects. Names are imported when they are first used.
"""

from __future__ import annotations

from importlib import import_module
from typing import Any

_HOME = {
    "Asking": "steps.rerank",
    "Bm25": "retrievers.bm25",
    "Cascade": "judges.cascade",
    "Collection": "core.collection",
    "CrossEncoder": "models.cross_encoder",
    "Demonstration": "rewriters.demonstrations",
    "Demonstrations": "rewriters.demonstrations",
    "Dense": "retrievers.dense",
    "Describe": "judges.describe",
    "Dials": "steps.triage",
    "Document": "core.records",
    "Draw": "judges.examples",
    "Estimate": "core.records",
    "Evidence": "steps.report",
    "Example": "judges.pointwise",
    "Grade": "core.guideline",
    "Groupwise": "judges.groupwise",
    "Guide": "judges.guide",
    "Guideline": "core.guideline",
    "Hypothetical": "rewriters.hypothetical",
    "Image": "core.records",
    "InputError": "core.errors",
    "Judgment": "core.records",
    "LabelPrice": "steps.label_price",
    "Labels": "judges.labels",
    "Lexical": "judges.lexical",
    "Listwise": "retrievers.listwise",
    "Look": "judges.pointwise",
    "Measure": "measures.parse",
    "MemoryStore": "stores.memory",
    "OpenAICompatible": "models.openai_compatible",
    "Pair": "core.records",
    "Palette": "judges.palette",
    "Panel": "judges.panel",
    "Pointwise": "judges.pointwise",
    "Pool": "core.pool",
    "Project": "project.project",
    "QrelkitError": "core.errors",
    "Qrels": "core.qrels",
    "Query": "core.records",
    "QueryGuideline": "core.guideline",
    "Replay": "models.replay",
    "Reply": "core.wire",
    "Report": "reports.report",
    "Request": "core.wire",
    "Requirement": "core.guideline",
    "RerankEndpoint": "models.rerank_endpoint",
    "Rewrite": "core.rewriting",
    "Run": "core.run",
    "SCALES": "core.guideline",
    "Scale": "core.guideline",
    "Scripted": "models.scripted",
    "Settings": "core.wire",
    "Shrink": "core.wire",
    "SqlStore": "stores.sql",
    "Unsure": "judges.cascade",
    "agree": "steps.agree",
    "choose": "steps.choose",
    "compare": "steps.compare",
    "contamination": "steps.contamination",
    "correct": "steps.correction",
    "decide": "steps.decision",
    "describe": "steps.describe",
    "draw_examples": "judges.examples",
    "drive": "steps.drive",
    "encoder": "models.encoders",
    "evaluate": "steps.evaluate",
    "expand": "steps.expand",
    "figures": "steps.figures",
    "fuse": "retrievers.fuse",
    "gain": "steps.gain",
    "guide": "steps.guide",
    "judge": "steps.judge",
    "load": "steps.load",
    "pairs_shown": "judges.examples",
    "panel": "steps.panels",
    "parse_measure": "measures.parse",
    "plan": "steps.plan",
    "pool": "steps.pool",
    "prefix_share": "judges.prefix",
    "probe": "steps.probe",
    "qrels_from_table": "formats.tables",
    "read_demonstrations": "rewriters.demonstrations",
    "read_labels": "formats.votes",
    "read_prices": "models.prices",
    "read_prompt": "text.prompt",
    "read_qrels": "formats.trec",
    "read_reply": "judges.read_reply",
    "read_rewrites": "formats.rewrites",
    "read_run": "formats.trec",
    "read_runs": "formats.trec",
    "read_sample": "formats.samples",
    "read_table": "formats.tables",
    "report": "steps.report",
    "rerank": "steps.rerank",
    "retrieve": "steps.retrieve",
    "retrieve_to": "steps.retrieve",
    "rewrite": "steps.rewrite",
    "run": "steps.run",
    "run_from_table": "formats.tables",
    "runs_from_table": "formats.tables",
    "search_vectors": "retrievers.dense",
    "settle": "steps.settle",
    "triage": "steps.triage",
    "write_html": "reports.html",
    "write_json": "reports.report",
    "write_qrels": "formats.trec",
    "write_rewrites": "formats.rewrites",
    "write_run": "formats.trec",
    "write_sample": "formats.samples",
}
__all__ = sorted(["__version__", *_HOME])


def __getattr__(name: str) -> Any:
    if name == "__version__":
        from importlib.metadata import version

        return version("qrelkit")
    if name not in _HOME:
        raise AttributeError(f"qrelkit has no {name!r}")
    return getattr(import_module(f"qrelkit.{_HOME[name]}"), name)


def __dir__() -> list[str]:
    return list(__all__)
