"""review: a blind sheet out to a spreadsheet, human grades back in, row by row.

The sheet says nothing of systems, ranks or other assessors, and its order is seeded. What comes back is kept as judgments
of that person; a changed grade is a new row that names the one it replaces. A row that cannot be read is reported with
its line, and the others are kept: somebody typed them.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import polars as pl

from qrelkit.core.collection import Collection
from qrelkit.core.doors import Store
from qrelkit.core.errors import InputError
from qrelkit.core.files import write_whole
from qrelkit.core.guideline import CANNOT_JUDGE, Scale
from qrelkit.core.records import Document, Judgment
from qrelkit.judges.read_reply import grade_of

COLUMNS = ("query_id", "doc_id", "query", "document", "images", "note")
SHOWN_CHARS = 4000  # a cell of a spreadsheet holds 32,767
PAIR = ["query_id", "doc_id"]


@dataclass(frozen=True, kw_only=True)
class Reviewed:
    """What a sheet brought: new judgments, rows left blank, rows already known, and the rows that could not be read."""

    added: int
    corrected: int
    blank: int
    known: int
    problems: Sequence[str]


def write_sheet(
    path: Path, pairs: pl.DataFrame, collection: Collection, scale: Scale, *, seed: int = 0, n: int | None = None
) -> int:
    """Writes the pairs (query_id, doc_id) as CSV in seeded order, images beside it; returns the number of rows.

    Raises InputError where the file is there already: somebody may have typed grades into it.
    """
    if path.exists():
        raise InputError(f"{path} exists already, perhaps with grades in it; read it with --from, or take another name")
    rows = pairs.select(PAIR).sort(PAIR).sample(fraction=1.0, shuffle=True, seed=seed)
    rows = rows.head(n if n is not None else rows.height)
    folder = path.with_name(path.stem + "_images")
    out = io.StringIO()
    sheet = csv.writer(out)
    sheet.writerow([*COLUMNS[:5], grade_column(scale), "note"])
    for query_id, doc_id in rows.iter_rows():
        document = collection.document(doc_id)
        query = collection.query(query_id).text
        images = " | ".join(_images(document, folder))
        sheet.writerow([query_id, doc_id, _cell(query), _cell(document.text[:SHOWN_CHARS]), images, "", ""])
    write_whole(out.getvalue().encode("utf-8-sig"), path)  # the mark makes spreadsheets read UTF-8
    return rows.height


def grade_column(scale: Scale) -> str:
    """The heading that tells the assessor what may be typed below it."""
    steps = [f"{g.value} {g.label}" for g in scale.grades]
    return "grade: " + " / ".join([*steps, CANNOT_JUDGE])


def _images(document: Document, folder: Path) -> list[str]:
    """Writes a document's images beside the sheet and returns their paths, relative to it."""
    names = []
    for image in document.images:
        folder.mkdir(exist_ok=True)
        file = folder / f"{image.digest[:16]}{Path(image.name).suffix.lower() or '.img'}"
        if not file.exists():
            file.write_bytes(image.read())
        names.append(f"{folder.name}/{file.name}")
    return names


def _cell(text: str) -> str:
    """Text that a spreadsheet will not take for a formula."""
    return "'" + text if text[:1] in "=+-@" else text


def read_sheet(path: Path, assessor: str, *, collection: Collection, scale: Scale, store: Store) -> Reviewed:
    """Reads a filled sheet into the store as judgments of `assessor`. Problems are returned, good rows are kept."""
    key = f"human:{assessor}"
    before = _newest(store, key)
    judgments: dict[tuple[str, str], Judgment] = {}
    problems: list[str] = []
    blank = known = 0
    for line, row in _rows(path):
        found = _judgment(row, collection, scale)
        if found is None:
            blank += 1
            continue
        pair = (row["query_id"], row["doc_id"])
        if isinstance(found, str):
            problems.append(f"{path}:{line}: {found}")
        elif pair in judgments and judgments[pair].grade != found.grade:
            problems.append(
                f"{path}:{line}: query {pair[0]!r}, document {pair[1]!r} is graded twice, differently; the first grade was kept"
            )
        elif pair in before and before[pair][1:] == (found.grade, found.outcome):
            known += 1
        else:
            replaces = before[pair][0] if pair in before else None
            judgments.setdefault(pair, _replacing(found, replaces))
    if judgments:
        store.add_judge(key, assessor, {"kind": "human", "assessor": assessor, "scale": scale.json()})
        store.add_judgments(key, list(judgments.values()))
    corrected = sum(j.replaces is not None for j in judgments.values())
    return Reviewed(added=len(judgments) - corrected, corrected=corrected, blank=blank, known=known, problems=problems)


def _replacing(judgment: Judgment, row: int | None) -> Judgment:
    from dataclasses import replace

    return replace(judgment, replaces=row)


def _newest(store: Store, key: str) -> dict[tuple[str, str], tuple[int, int | None, str]]:
    rows = store.judgments(key).select("query_id", "doc_id", "id", "grade", "outcome")
    return {(q, d): (row, grade, outcome) for q, d, row, grade, outcome in rows.iter_rows()}


def _rows(path: Path) -> list[tuple[int, Mapping[str, str]]]:
    """The rows of a sheet with their line numbers; commas, semicolons or tabs, as spreadsheets write them."""
    try:
        text = path.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError:
        raise InputError(f"{path}: is not UTF-8; save the sheet as “CSV UTF-8”") from None
    except OSError as error:
        raise InputError(f"{path}: cannot be read: {error.strerror}") from None
    if not text.strip():
        raise InputError(f"{path}: is empty")
    first = text.splitlines()[0]
    reader = csv.DictReader(text.splitlines(keepends=True), delimiter=max(",;\t", key=first.count))
    names = reader.fieldnames or []
    grade = next((name for name in names if name.strip().lower().startswith("grade")), None)
    missing = [name for name in PAIR if name not in names] + ([] if grade else ["grade"])
    if missing:
        raise InputError(f"{path}: line 1 has no column {missing[0]!r}; keep the heading that `review --to` wrote")
    return [(reader.line_num, {**{k: v or "" for k, v in row.items() if k}, "grade": row[grade or ""] or ""}) for row in reader]


def _judgment(row: Mapping[str, str], collection: Collection, scale: Scale) -> Judgment | str | None:
    """The judgment in a row, what is wrong with it, or None for a row left blank."""
    if not row["grade"].strip():
        return None
    for kind, name in (("query", row["query_id"]), ("document", row["doc_id"])):
        try:
            collection.query(name) if kind == "query" else collection.document(name)
        except InputError as error:
            return str(error)
    verdict = grade_of(row["grade"].strip(), scale, row.get("note", ""))
    cannot = row["grade"].strip().lower() == CANNOT_JUDGE
    if verdict.grade is None and not cannot:
        return f"grade {verdict.reason}; leave it empty if it is not decided yet, or write {CANNOT_JUDGE}"
    ids = {"query_id": row["query_id"], "doc_id": row["doc_id"], "reason": row.get("note", "")}
    return Judgment(grade=verdict.grade, outcome="refused" if cannot else "graded", **ids)  # type: ignore[arg-type]
