"""A report rich enough to look at: three systems, three views, two languages, hostile text, numbers that are missing."""

from __future__ import annotations

import base64
import io
import math
from typing import Any

import numpy as np

from qrelkit.reports.headline import headline
from qrelkit.reports.report import Report

HOSTILE = """<script>alert(1)</script> & "quotes" 'n' </td><img src=x onerror=alert(2)> {{ 7 * 7 }}"""
TAGS = ("bm25", "dense-clip", "fused-rrf")
MEASURES = ("nDCG@10", "AP", "P@5", "RR", "Judged@10")


def stat(value: float, half: float = 0.05, n: int = 40) -> dict[str, Any]:
    return {"value": value, "low": value - half, "high": value + half, "n": n}


def picture_uri(colour: tuple[int, int, int]) -> str:
    from PIL import Image

    out = io.BytesIO()
    Image.new("RGB", (64, 80), colour).save(out, "JPEG")
    return "data:image/jpeg;base64," + base64.b64encode(out.getvalue()).decode()


def scores() -> dict[str, Any]:
    chance = np.random.default_rng(3)
    base = {"bm25": 0.52, "dense-clip": 0.61, "fused-rrf": 0.66}
    shift = {"human": 0.0, "model": 0.06, "mixed": 0.03}
    out: dict[str, Any] = {}
    for view, more in shift.items():
        out[view] = {
            tag: {
                m: stat(base[tag] + more - 0.05 * i + float(chance.normal(0, 0.02)), 0.04 + 0.01 * i)
                for i, m in enumerate(MEASURES)
            }
            for tag in TAGS
        }
    out["human"]["bm25"]["RR"] = {
        "value": math.nan,
        "low": None,
        "high": None,
        "n": 0,
        "reason": "no query has a relevant document",
    }
    return out


def agreement(assessor: str = "lexical") -> dict[str, Any]:
    names = ("exact", "kappa", "kappa_linear", "kappa_quadratic", "alpha_ordinal", "alpha_nominal", "mae", "bias", "soft", "hard")
    values = (0.612, 0.344, 0.421, 0.503, 0.498, 0.339, 0.441, -0.083, 0.301, 0.087)
    return {
        "assessor": assessor,
        "human": "human",
        "n": 812,
        "queries": 40,
        **{name: stat(value, 0.06) for name, value in zip(names, values, strict=True)},
        "cuts": {"1": stat(0.41, 0.07), "2": stat(0.38, 0.08)},
        "confusion": {"labels": [0, 1, 2], "rows": "human", "counts": [[301, 72, 18], [88, 97, 44], [53, 40, 99]]},
        "constant_guess": {"grade": 0, "exact": stat(0.482, 0.05), "kappa": stat(0.0, 0.0), "mae": stat(0.755, 0.08)},
        "ungraded": {"refused": 4, "unparsable": 7},
        "excluded": 12,
        "by": {
            "de": {"n": 400, "exact": stat(0.6), "kappa": stat(0.31), "kappa_quadratic": stat(0.48), "bias": stat(-0.1)},
            "en": {"n": 412, "exact": stat(0.63), "kappa": stat(0.36), "kappa_quadratic": stat(0.52), "bias": stat(-0.07)},
        },
        "warnings": ["11 pairs have no grade from lexical (4 refused, 7 unparsable); they are left out, not counted as 0"],
    }


def pairs() -> list[dict[str, Any]]:
    rows = [
        ("bm25", "dense-clip", -0.09, 0.004, 0.012),
        ("bm25", "fused-rrf", -0.14, 0.0001, 0.0003),
        ("dense-clip", "fused-rrf", -0.05, 0.071, 0.081),
    ]
    return [
        {"a": a, "b": b, "measure": "nDCG@10", "diff": d, "low": d - 0.05, "high": d + 0.05, "p_t": p, "p_rand": p, "p_holm": h}
        for a, b, d, p, h in rows
    ]


def differences(images: list[str | None]) -> list[dict[str, Any]]:
    queries = [
        ("q07", "rot gestreiftes T-Shirt", "de"),
        ("q12", "navy dotted dress", "en"),
        ("q31", HOSTILE, "en"),
        ("q33", "فستان أحمر", "ar"),
    ]
    reason = "The shop’s text names stripes, and the picture shows them; the ground is red, as asked. " + HOSTILE
    out = []
    for i, (query_id, query, language) in enumerate(queries):
        documents = {
            tag: [
                {
                    "doc_id": f"p{37 * i + 11 * s + r:03d}",
                    "rank": r + 1,
                    "title": ("Striped jersey tee “Marlow”", "Kleid Amalia mit Punkten", HOSTILE)[(r + s) % 3],
                    "text": "Soft cotton jersey with a round neck. Goes with red and blue. Machine wash at 30 degrees; "
                    "the model on the picture is 180 cm tall and wears size M. Made in Portugal.",
                    "image": images[(7 * i + 3 * s + r) % len(images)],
                    "grades": [{"human": 2, "lexical": 1}, {"lexical": None}, {}, {"human": 0, "lexical": 0}][(r + i) % 4],
                    "outcome": "refused" if (r + i) % 4 == 1 else "graded",
                    "reason": reason if r % 2 == 0 else "",
                }
                for r in range(5)
            ]
            for s, tag in enumerate(TAGS)
        }
        values = dict(zip(TAGS, (0.12 + 0.1 * i, 0.95 - 0.05 * i, 0.71), strict=True))
        out.append(
            {
                "query_id": query_id,
                "query": query,
                "columns": {"language": language, "category": "tops"},
                "scores": values,
                "documents": documents,
            }
        )
    return out


def example(images: list[str | None] | None = None) -> Report:
    found = images or [picture_uri((180, 40, 50)), picture_uri((30, 50, 110)), None]
    by = {
        "language": {
            name: {tag: {m: stat(0.5 + 0.04 * i + d, 0.08, 20) for m in MEASURES[:2]} for i, tag in enumerate(TAGS)}
            for name, d in (("de", -0.05), ("en", 0.06))
        }
    }
    cost = [
        {
            "stage": "guide",
            "asked": 40,
            "known": 0,
            "joined": 0,
            "failed": 0,
            "tokens_in": 22_100,
            "tokens_out": 9_800,
            "tokens_cached": 0,
            "cost_usd": 0.0092,
            "unpriced": 0,
            "seconds": 12.2,
            "tokens_reasoning": 0,
            "tokens_image": 0,
            "saved_usd": 0.0,
            "made": 40,
            "each_usd": 0.00023,
            "per_1000_usd": 0.23,
            "batch_saves_usd": 0.0046,
            "busy_s": 0.4,
        },
        {
            "stage": "describe",
            "asked": 475,
            "known": 5,
            "joined": 0,
            "failed": 0,
            "tokens_in": 301_000,
            "tokens_out": 60_000,
            "tokens_cached": 0,
            "cost_usd": None,
            "unpriced": 475,
            "seconds": 188.0,
            "tokens_reasoning": 0,
            "tokens_image": 205_000,
            "saved_usd": None,
            "made": 475,
            "each_usd": None,
            "per_1000_usd": None,
            "batch_saves_usd": None,
            "busy_s": 3.1,
        },
        {
            "stage": "judge",
            "asked": 1203,
            "known": 211,
            "joined": 3,
            "failed": 2,
            "tokens_in": 1_820_000,
            "tokens_out": 243_000,
            "tokens_cached": 1_200_000,
            "cost_usd": 1.4321,
            "unpriced": 0,
            "seconds": 401.5,
            "tokens_reasoning": 96_000,
            "tokens_image": 1_024_000,
            "saved_usd": 0.2512,
            "made": 1_414,
            "each_usd": 0.001013,
            "per_1000_usd": 1.013,
            "batch_saves_usd": 0.716,
            "busy_s": 9.8,
        },
    ]
    per_query = {
        f"q{i:02d}": {"judged": 20 + i, "new": i % 3, "ungraded": 0, "share_before": 0.2, "share_after": None}
        for i in range(1, 41)
    }
    return Report.of(
        title="Which fashion search is better?",
        created="2026-03-14T09:26:53+00:00",
        version="0.1.0",
        headline=headline(scores(), "nDCG@10", pairs()),
        warnings=["Only 40 queries: intervals are wide.", f"A title in the catalogue says {HOSTILE}"],
        collection={"name": "demo", "queries": 40, "documents": 480, "images": 475, "missing_images": 3, "fingerprint": "9f1c"},
        runs=[{"tag": tag, "queries": 40, "documents": 4000} for tag in TAGS],
        pool={"pairs": 1414, "queries": 40, "depth": 20, "runs": 3},
        measures=list(MEASURES),
        scores=scores(),
        by=by,
        pairs=pairs(),
        correlation={
            "measure": "nDCG@10",
            "qrels": ["human", "lexical"],
            "tau": stat(0.916, 0.04),
            "tau_ap": stat(0.889, 0.06),
            "top": {"10": {"value": None, "low": None, "high": None, "n": 3, "reason": "fewer than 10 systems"}},
            "systems": [{"tag": t, "a": 0.5, "b": 0.6, "rank_a": 3 - i, "rank_b": 3 - i} for i, t in enumerate(TAGS)],
        },
        agreement=[agreement(), agreement("scripted:gpt-judge") | {"human": "<b>ann</b>"}],
        picture={
            "about": "The judge saw pictures described; in the control, pictures were permuted between products.",
            "rows": {"gain in quadratic kappa": {"own picture": stat(0.142, 0.05), "permuted (control)": stat(0.004, 0.04)}},
        },
        holes={
            tag: {"retrieved": 800, "graded": {"human": 640 - 20 * i, "lexical": 140 + 20 * i}, "ungraded": 7, "holes": 13}
            for i, tag in enumerate(TAGS)
        },
        expansion={
            "judged": 812,
            "relevant": 421,
            "new": 602,
            "new_relevant": 118,
            "ungraded": 11,
            "human": "human",
            "assessor": "lexical",
            "per_query": per_query,
            "warnings": [],
        },
        ungraded={"refused": 4, "unparsable": 7},
        cost=cost,
        differences=differences(found),
        provenance={
            "judge": {"name": "lexical", "settings": {"cuts": "quantile", "scale": "product-3"}, "honest baseline": True},
            "prompt": {"name": "pointwise@1", "digest": "c0ffee" * 5},
            "guideline versions": 40,
            "qrels": {"human.qrels": "a1b2" * 8},
            "seeds": {"bootstrap": 0, "sheet": 7},
            "packages": {"polars": "2.1.0", "numpy": "2.4.6"},
            "command": ["qrelkit", "run", "--collection", "demo", HOSTILE],
        },
    )
