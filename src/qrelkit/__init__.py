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
    "Collection": "core.collection",
    "Document": "core.records",
    "Driver": "steps.drive",
    "Estimate": "core.records",
    "Guideline": "core.guideline",
    "Image": "core.records",
    "InputError": "core.errors",
    "Judgment": "core.records",
    "Measure": "measures.parse",
    "Pair": "core.records",
    "Pool": "core.pool",
    "Project": "project.project",
    "Qrels": "core.qrels",
    "QrelkitError": "core.errors",
    "Query": "core.records",
    "QueryGuideline": "core.guideline",
    "Reply": "core.wire",
    "Report": "reports.report",
    "Request": "core.wire",
    "Run": "core.run",
    "Scale": "core.guideline",
    "agree": "steps.agree",
    "compare": "steps.compare",
    "describe": "steps.describe",
    "drive": "steps.drive",
    "evaluate": "steps.evaluate",
    "expand": "steps.expand",
    "gain": "steps.gain",
    "guide": "steps.guide",
    "judge": "steps.judge",
    "load": "steps.load",
    "parse_measure": "measures.parse",
    "plan": "steps.plan",
    "pool": "steps.pool",
    "read_prompt": "judges.prompt",
    "read_qrels": "formats.trec",
    "read_reply": "judges.read_reply",
    "read_run": "formats.trec",
    "read_runs": "formats.trec",
    "report": "steps.report",
    "retrieve": "steps.retrieve",
    "run": "steps.run",
    "write_qrels": "formats.trec",
    "write_run": "formats.trec",
}
__all__ = ["__version__", *_HOME]
__all__ = sorted(__all__)


def __getattr__(name: str) -> Any:
    if name == "__version__":
        from importlib.metadata import version

        return version("qrelkit")
    if name not in _HOME:
        raise AttributeError(f"qrelkit has no {name!r}")
    return getattr(import_module(f"qrelkit.{_HOME[name]}"), name)


def __dir__() -> list[str]:
    return list(__all__)
