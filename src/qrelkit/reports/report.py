"""Report: what was found, as one JSON mapping. The page and the text say the same, from the same sections.

Sections, each left out where there is nothing to say. A stat is {value, low, high, n, reason?}, with value null for NaN.

    title, created, version       whose page it is: a string, an ISO time, qrelkit's version
    headline, warnings            plain sentences
    collection                    {name, queries, documents, images, missing_images, fingerprint}
    runs                          [{tag, queries, documents}]
    pool                          {pairs, queries, depth, runs}
    measures                      notations, the first one the most important
    decision                      {measure, estimand, design, heading, judge, human, queries, labels, pairs_judged, trust, bend,
                                  systems: {TAG: {judge_only, human_only, corrected, shrunk}}, comparisons: [{a, b, judge_only,
                                  human_only, corrected, verdict, labels, labels_more, minutes_more}], seconds_per_label,
                                  sequential, conclusions, warnings}: a judge corrected by a sample of people's grades;
                                  or only {reason}, why it is not
    scores                        {VIEW: {TAG: {MEASURE: stat}}}; a view is a set of grades: human, model, mixed …; a stat may
                                  have `range` [low, high]: what it could be, were the documents without a grade given one
    by                            {COLUMN: {VALUE: {TAG: {MEASURE: stat}}}}
    pairs                         [{a, b, measure, queries, diff, low, high, p_t, p_rand, p_holm}]
    conclusions                   {may, may_not}: what goes on from “You may (not) conclude”, of the pairs
    correlation                   {measure, qrels, tau, tau_ap, top: {K: stat}, systems}
    agreement                     [what `qrelkit agree --json` prints]
    picture                       {about, rows: {ROW: {COLUMN: stat}}}: what the picture changed, beside a control
    holes                         {TAG: {retrieved, graded: {ASSESSOR: n}, ungraded, holes}}
    expansion                     what `qrelkit expand --json` prints
    ungraded                      {OUTCOME: pairs}
    cost                          [{stage, asked, known, joined, failed, tokens_in, tokens_cached, tokens_image, tokens_out,
                                  tokens_reasoning, cost_usd (null: unknown, which is not 0), unpriced, made, each_usd,
                                  per_1000_usd, saved_usd, batch_saves_usd, seconds, busy_s}]
    differences                   [{query_id, query, columns, scores: {TAG: value}, documents: {TAG: [{doc_id, rank, title,
                                  text, image (data URI), grades: {ASSESSOR: grade}, outcome, reason}]}}]
    provenance                    {name: value or mapping …}
"""

from __future__ import annotations

import math
import os
from collections.abc import Mapping, Set
from dataclasses import dataclass
from typing import Any

from qrelkit.core.errors import UnknownName
from qrelkit.core.files import write_whole

SECTIONS = (
    *("title", "created", "version", "headline", "warnings", "collection", "runs", "pool", "measures"),
    *("decision", "scores", "by", "pairs", "conclusions", "correlation", "agreement", "picture", "holes", "expansion"),
    *("ungraded", "cost", "differences", "provenance"),
)


@dataclass(frozen=True, slots=True)
class Report:
    """Systems × measures with intervals, what they rest on, and warnings. Made by `Report.of`."""

    sections: Mapping[str, Any]

    @staticmethod
    def of(**sections: Any) -> Report:
        """A report from its sections; values may hold estimates and whatever else has `.json()`.

        An empty section is left out. Raises UnknownName for a section that does not exist.
        """
        for name in sections:
            if name not in SECTIONS:
                raise UnknownName("section of a report", name, SECTIONS)
        said = {name: plain(sections[name]) for name in SECTIONS if name in sections}
        return Report({name: value for name, value in said.items() if value not in (None, "", [], {})})

    def json(self) -> dict[str, Any]:
        """The whole report as JSON values, in the order of SECTIONS; `Report.of(**report.json())` is the same report."""
        return dict(self.sections)

    def __repr__(self) -> str:
        scores = self.sections.get("scores", {})
        systems = len(next(iter(scores.values()), {}))
        measures, views = len(self.sections.get("measures", ())), ", ".join(scores) or "no scores"
        return f"Report({self.sections.get('title', 'untitled')}: {systems} systems, {measures} measures; {views})"


def plain(value: Any) -> Any:
    """The value as JSON has it: NaN and infinities null, keys strings, text that UTF-8 can hold.

    Raises TypeError for what is neither data nor has `.json()`.
    """
    if value is None or isinstance(value, bool | int):
        return value
    if isinstance(value, str):
        return value.encode("utf-8", "replace").decode("utf-8")  # a lone surrogate would stop the writing of the page
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, Mapping):
        return {plain(str(key)): plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [plain(item) for item in value]
    if isinstance(value, Set):
        return sorted(plain(item) for item in value)
    if isinstance(value, os.PathLike):
        return plain(os.fspath(value))
    for name in ("json", "isoformat", "tolist"):  # a noun of ours, a date, a numpy number
        if hasattr(value, name):
            return plain(getattr(value, name)())
    raise TypeError(f"a report cannot hold a {type(value).__name__}")


def write_json(report: Report, path: str | os.PathLike[str]) -> None:
    """Writes the report as JSON, whole or not at all."""
    import orjson

    write_whole(orjson.dumps(report.json(), option=orjson.OPT_INDENT_2 | orjson.OPT_APPEND_NEWLINE), path)
