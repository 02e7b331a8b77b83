"""A real collection that is tiny: ten products with pictures drawn here, three queries, two runs, one person's grades.

It is small enough to be judged by hand: TRUTH holds what a good assessor says of every pair.
"""

from __future__ import annotations

import io
import json
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

PRODUCTS = {
    "p01": ("Red summer dress", "red"),
    "p02": ("Red evening dress", "red"),
    "p03": ("Blue dress", "blue"),
    "p04": ("Black leather boots for women", "black"),
    "p05": ("Brown leather boots for women", "brown"),
    "p06": ("Black sneakers", "black"),
    "p07": ("Striped shirt", "white"),
    "p08": ("Plain white shirt", "white"),
    "p09": ("Red striped shirt", "red"),
    "p10": ("Green umbrella", "green"),
}
QUERIES = {"q1": ("red dress", "en", 3), "q2": ("schwarze stiefel damen", "de", 1), "q3": ("striped shirt", "en", 1)}
RUNS = {
    "words": {"q1": "p01 p02 p03 p09", "q2": "p06 p04 p05 p10", "q3": "p07 p09 p08 p10"},
    "sight": {"q1": "p09 p01 p10 p02", "q2": "p04 p05 p06 p03", "q3": "p08 p07 p03 p09"},
}
TRUTH = {
    "q1": {"p01": 2, "p02": 2, "p03": 1},
    "q2": {"p04": 2, "p05": 1, "p06": 0},
    "q3": {"p07": 2, "p09": 2, "p08": 1},
}  # every other pair is 0
JUDGED = (
    *(("q1", "p01", 2), ("q1", "p03", 1), ("q1", "p09", 0)),
    *(("q2", "p04", 2), ("q2", "p06", 0)),
    *(("q3", "p07", 2), ("q3", "p08", 0)),
)
PAIRS = 15  # of the pool at depth 4: q1 5, q2 5, q3 5
LABELS = ("irrelevant", "acceptable_substitute", "highly_relevant")


def drawn(colour: str, number: int) -> bytes:
    """A picture of 32 × 32 with a figure; `number` makes each one differ."""
    from PIL import Image, ImageDraw

    image = Image.new("RGB", (32, 32), "white")
    pen = ImageDraw.Draw(image)
    pen.rectangle((6, 4, 25, 27), fill=colour)
    pen.point((number, 0), fill="black")
    out = io.BytesIO()
    image.save(out, "PNG")
    return out.getvalue()


def write_tiny(folder: Path, **config: Any) -> Path:
    """Collection, runs, qrels and a qrelkit.yaml with `config` on top of the plainest one; returns the folder."""
    shop = folder / "shop"
    (shop / "images").mkdir(parents=True)
    (folder / "runs").mkdir()
    rows = []
    for number, (doc_id, (title, colour)) in enumerate(PRODUCTS.items()):
        (shop / "images" / f"{doc_id}.png").write_bytes(drawn(colour, number))
        rows.append({"id": doc_id, "title": title, "text": f"{title}, number {doc_id}.", "image": f"images/{doc_id}.png"})
    write_lines(shop / "corpus.jsonl", rows)
    write_lines(
        shop / "queries.jsonl", [{"id": q, "text": t, "language": lang, "traffic": w} for q, (t, lang, w) in QUERIES.items()]
    )
    (shop / "qrels.txt").write_text("".join(f"{q} 0 {d} {g}\n" for q, d, g in JUDGED), encoding="utf-8")
    for tag, ranked in RUNS.items():
        write_run(folder / "runs" / f"{tag}.trec", tag, ranked)
    write_config(folder, **config)
    return folder


def write_run(path: Path, tag: str, ranked: Mapping[str, str]) -> None:
    """A TREC run from document ids in order of rank."""
    lines = [f"{q} Q0 {d} {r} {100 - r} {tag}\n" for q, docs in ranked.items() for r, d in enumerate(docs.split(), 1)]
    path.write_text("".join(lines), encoding="utf-8")


def write_lines(path: Path, rows: Sequence[Mapping[str, Any]]) -> None:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")


def write_config(folder: Path, **config: Any) -> None:
    """qrelkit.yaml (JSON is YAML)."""
    plain = {"collection": "shop", "runs": ["runs/*.trec"], "depth": 4, "measures": ["nDCG@10", "P@2"]}
    (folder / "qrelkit.yaml").write_text(json.dumps(plain | config), encoding="utf-8")


def served(url: str, **judge: Any) -> dict[str, Any]:
    """A configuration that judges with the model `tiny` of a test server."""
    return {"judge": {"model": "openai:tiny", **judge}, "models": {"openai:tiny": {"base_url": url}}, "at_once": 4}


def texts_of(body: Mapping[str, Any]) -> str:
    """All words of the last user message of a chat request."""
    content = body["messages"][-1]["content"]
    return content if isinstance(content, str) else "\n".join(part["text"] for part in content if part["type"] == "text")


def images_of(body: Mapping[str, Any]) -> list[str]:
    """The data URLs of a chat request."""
    parts = [part for message in body["messages"] if isinstance(message["content"], list) for part in message["content"]]
    return [part["image_url"]["url"] for part in parts if part["type"] == "image_url"]


def pair_of(body: Mapping[str, Any]) -> tuple[str, str]:
    """Which pair a judge asks about: the query and, of the documents in the request, the last."""
    said = texts_of(body)
    query = next(q for q, (text, *_) in QUERIES.items() if f"<query>\n{text}\n" in said)
    return query, re.findall(r"number (p\d\d)\.", said)[-1]


def verdict(body: Mapping[str, Any]) -> str:
    """What a good assessor answers."""
    query, document = pair_of(body)
    return json.dumps({"reasoning": f"{document} for {query}", "verdict": LABELS[TRUTH[query].get(document, 0)]})
