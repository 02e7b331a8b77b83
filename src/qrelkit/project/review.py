"""review: a blind sheet out to a spreadsheet, human grades back in, row by row.

The sheet says nothing of systems, ranks or other assessors, and its order is seeded. What comes back is kept as judgments
of that person; a changed grade is a new row that names the one it replaces. A row that cannot be read is reported with
its line, and the others are kept: somebody typed them. A sheet whose pairs were drawn by chance has a file with their
probabilities beside it, and names that drawing in a column of its own (`project/drawing.py`).
"""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache, partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import polars as pl

from qrelkit.core.collection import Collection
from qrelkit.core.doors import Store
from qrelkit.core.errors import InputError
from qrelkit.core.files import write_whole
from qrelkit.core.guideline import CANNOT_JUDGE, Scale
from qrelkit.core.qrels import Qrels
from qrelkit.core.records import Document, Judgment, counted
from qrelkit.formats.samples import probabilities_path
from qrelkit.judges.read_reply import grade_of
from qrelkit.project.drawing import Drawing, drawing_beside, sampled, seconds_per_label
from qrelkit.steps.forgotten import without_forgotten
from qrelkit.steps.pool import pool

if TYPE_CHECKING:
    from qrelkit.project.project import Project

COLUMNS = ("query_id", "doc_id", "query", "document", "images", "note")
SHOWN_CHARS = 4000  # a cell of a spreadsheet holds 32,767
PAIR = ["query_id", "doc_id"]
HUMAN = "human:"  # how the keys of people begin in a store
DRAWING = "drawing"  # the column of a sheet whose pairs were drawn by chance; all its cells are alike


@dataclass(frozen=True, kw_only=True)
class Reviewed:
    """What a sheet brought: new judgments, rows left blank, rows already known, and the rows that could not be read. Of the new
    ones `drawn` were drawn by chance and count as a sample; `warnings` say why others do not."""

    added: int
    corrected: int
    blank: int
    known: int
    problems: Sequence[str]
    drawn: int = 0
    warnings: Sequence[str] = ()


def write_sheet(
    path: Path,
    pairs: pl.DataFrame,
    collection: Collection,
    scale: Scale,
    *,
    seed: int = 0,
    n: int | None = None,
    drawing: Drawing | None = None,
) -> int:
    """Writes the pairs (query_id, doc_id) as CSV in seeded order, images beside it; returns the number of rows.

    With a `drawing` its pairs are the sheet, and its probabilities are on disk before the sheet is. Raises InputError where the
    file is there already: somebody may have typed grades into it.
    """
    if path.exists():
        raise InputError(f"{path} exists already, perhaps with grades in it; read it with --from, or take another name")
    rows = (pairs if drawing is None else drawing.frame).select(PAIR).sort(PAIR).sample(fraction=1.0, shuffle=True, seed=seed)
    rows = rows.head(n if n is not None and drawing is None else rows.height)
    folder = path.with_name(path.stem + "_images")
    out = io.StringIO()
    sheet = csv.writer(out)
    by_chance = [] if drawing is None else [drawing.name]
    sheet.writerow([*COLUMNS[:5], grade_column(scale), "note", *([DRAWING] if by_chance else [])])
    for query_id, doc_id in rows.iter_rows():
        document = collection.document(doc_id)
        query = collection.query(query_id).text
        images = " | ".join(_images(document, folder))
        sheet.writerow([query_id, doc_id, _cell(query), _cell(document.text[:SHOWN_CHARS]), images, "", "", *by_chance])
    if drawing is not None:
        drawing.write_beside(path)
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
    key = f"{HUMAN}{assessor}"
    before = _newest(store, key)
    judgments: dict[tuple[str, str], Judgment] = {}
    problems: list[str] = []
    blank = known = 0
    details_of = lru_cache(maxsize=None)(partial(_details, path))
    for line, row in _rows(path):
        found = _judgment(row, collection, scale)
        if found is None:
            blank += 1
            continue
        pair = (row["query_id"], row["doc_id"])
        details = details_of(row.get(DRAWING, "").strip())(pair)
        if isinstance(found, str):
            problems.append(f"{path}:{line}: {found}")
        elif pair in judgments and judgments[pair].grade != found.grade:
            problems.append(
                f"{path}:{line}: query {pair[0]!r}, document {pair[1]!r} is graded twice, differently; the first grade was kept"
            )
        elif pair in before and before[pair].same(found, details):
            known += 1
        else:
            changed = pair in before and not before[pair].same(found, None)
            judgments.setdefault(pair, replace(found, replaces=before[pair].row if changed else None, details=details))
    if judgments:
        store.add_judge(key, assessor, {"kind": "human", "assessor": assessor, "scale": scale.json()})
        store.add_judgments(key, list(judgments.values()))
    corrected = sum(j.replaces is not None for j in judgments.values())
    told = [j.details for j in judgments.values() if j.details]
    lost = sorted({one["drawing"] for one in told if "probability" not in one})
    return Reviewed(
        added=len(judgments) - corrected,
        corrected=corrected,
        blank=blank,
        known=known,
        problems=problems,
        drawn=sum("probability" in one for one in told),
        warnings=[_lost(path, name) for name in lost],
    )


@dataclass(frozen=True, kw_only=True)
class _Before:
    """The newest row of a pair, and the drawings that its rows came of, with their probabilities."""

    row: int
    grade: int | None
    outcome: str
    drawings: frozenset[str]

    def same(self, judgment: Judgment, details: Mapping[str, Any] | None) -> bool:
        """Whether a judgment says nothing new: neither a grade nor that it was drawn."""
        told = not details or "probability" not in details or details["drawing"] in self.drawings
        return told and (self.grade, self.outcome) == (judgment.grade, judgment.outcome)


def _newest(store: Store, key: str) -> dict[tuple[str, str], _Before]:
    import orjson

    out: dict[tuple[str, str], _Before] = {}
    for q, d, row, grade, outcome, said in store.judgments(key).select(*PAIR, "id", "grade", "outcome", "details").iter_rows():
        told = orjson.loads(said) if said else {}
        earlier = out[q, d].drawings if (q, d) in out else frozenset()
        drawings = earlier | ({told["drawing"]} if "probability" in told else set())
        out[q, d] = _Before(row=row, grade=grade, outcome=outcome, drawings=drawings)
    return out


def _details(path: Path, name: str) -> Callable[[tuple[str, str]], Mapping[str, Any] | None]:
    """What is to be kept with a pair of a sheet's drawing; where its probabilities are lost, that it was drawn."""
    drawing = drawing_beside(path, name) if name else None
    if name and drawing is None:
        return lambda pair: {"drawing": name}
    return ({} if drawing is None else drawing.details()).get


def _lost(path: Path, name: str) -> str:
    return (
        f"{path} was drawn by chance, and the probabilities of its drawing {name} are not beside it, in "
        f"{probabilities_path(path).name}: the grades are kept, but they cannot stand for the pairs that were not drawn. Put the "
        "file back and read the sheet again"
    )


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


def sample(project: Project) -> tuple[Qrels | None, list[str]]:
    """What people graded, as a sample that corrects a judge (see `drawing.sampled`), and what must be said of it.

    The project's own qrels count as known before anything was drawn. None where nothing was drawn by chance and some pairs of
    the pool have no grade: then no grade stands for another pair.
    """
    found = known_to_people(project)
    left = people_rows(project.store).join(found.frame, on=PAIR, how="anti").select(PAIR).n_unique()
    warnings = []
    if left:
        told = f"{counted(left, 'pair')} that people graded were neither drawn by chance nor graded before the first drawing"
        warnings.append(f"{told}, or the probabilities are lost: left out of the correction")
    rounds = found.frame["round"]
    open_ = pool(project.runs(), project.config.depth).without(found.graded)
    if (rounds > 0).any() or not len(open_):
        return found, warnings
    if found.frame.height:
        told = f"none of the {counted(found.graded.height, 'pair')} that people graded was drawn by chance, so they do not stand"
        warnings.append(f"{told} for the {len(open_):,} others; `qrelkit review --to SHEET.csv --choose RULE -n N` draws some")
    return None, warnings


def known_to_people(project: Project) -> Qrels:
    """Everything that people graded and that may count, with probability and round (0: not drawn)."""
    rows = without_forgotten(people_rows(project.store), project.store)  # a forgotten one's probability is forgotten too
    return sampled(rows, project.imported().values())


def people_rows(store: Store) -> pl.DataFrame:
    """The judgments of all people, in order of writing; failed ones are none."""
    rows = store.judgments()
    return rows.filter(pl.col("judge_key").str.starts_with(HUMAN) & (pl.col("outcome") != "failed"))


def pace(store: Store) -> float | None:
    """Seconds a label, as people's grades came into the store; None where every sheet came back at once."""
    return seconds_per_label(people_rows(store))
