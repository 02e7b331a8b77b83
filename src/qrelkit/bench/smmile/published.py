"""Result files as the authors published them, read as `Answers`: five layouts of columns, told by the columns.

    open              problem_id, final_question, true_answer, generated_answer, full_response
    open (MedVLM-R1)  … original_question
    choice            … correct_option, selected_option, is_correct, generated_answer, full_response
    choice (Qwen)     without full_response; (Llama-3.2, MedGemma) without generated_answer
    choice (MedVLM)   original_question, correct_letter, correct_answer, extracted_answer, is_correct, full_response

Model, mode and form stand in the name of the file, the dataset in the ids (`_perm_`). The revision is told by the gold answers,
never by the name. Of a chat transcript the reply is what counts as output; `transcripts.py` reads the rest of it.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from functools import lru_cache
from importlib import resources
from pathlib import Path
from typing import Any

import polars as pl

from qrelkit.bench.smmile.answers import SCHEMA, Answers
from qrelkit.bench.smmile.problems import TAGS
from qrelkit.core.errors import InputError
from qrelkit.core.records import counted
from qrelkit.core.wire import digest_of
from qrelkit.formats.tables import read_table

PUBLISHED = "published"  # whose verdicts lie beside the files: Llama 3.3 70B
REVISION = "published"  # of the problems that most published files, and SMMILE++, were run on
ERROR = "ERROR"  # what the published scripts wrote where no reply came, and counted as wrong
NOT_EXTRACTED = ("EXTRACTION_FAILED", ERROR, "")
EXTRA = {"verdict": pl.Int8, "verdict_by": pl.String, "stored_correct": pl.Boolean, "error": pl.String, "cut": pl.Boolean}
_NAME = re.compile(r"result_(?P<model>.+)_(?P<mode>0-shot|ICL)(?:_(?P<form>open|mcqa))?\.csv", re.IGNORECASE)
_PERMUTED = r"_perm_\d+$"
_REPLY = r"(?s)\A(?:USER:.*ASSISTANT: ?|system\n.*\nassistant\n)(.*)\z"
_COLUMNS = {
    "question": ("final_question", "original_question"),
    "gold": ("true_answer", "correct_answer"),
    "gold_letter": ("correct_option", "correct_letter"),
    "letter": ("selected_option", "extracted_answer"),
    "answer": ("generated_answer",),
    "text": ("full_response",),
    "stored_correct": ("is_correct",),
}
_HARNESS = {  # model and mode: what the published scripts did to it
    ("gpt-4o", "icl"): "the answers of the demonstrations were sent in the role of the system, not of the assistant",
    ("MedVLM-R1", "icl"): "the demonstrations were sent without their images",
}
_ERRORS = (  # kind, what its text has, status
    ("content filter", r"(?i)content_filter|ResponsibleAI", "refused"),
    ("image too large", r"(?i)image is too large|image exceeds|too large", "oversize_image"),
    ("time-out", r"(?i)timed? ?out", "api_error"),
    ("connection", r"(?i)connection", "api_error"),
    ("unknown", "", "api_error"),
)


def files_of(folder: str | Path) -> list[Path]:
    """The result files below a folder, sorted by folder and name. Raises InputError where there is none."""
    found = sorted(p for p in Path(folder).rglob("result_*.csv") if _NAME.fullmatch(p.name))
    if not found:
        raise InputError(f"{folder}: has no file named like result_MODEL_0-shot_open.csv or result_MODEL_ICL_mcqa.csv")
    return found


def read_published(path: str | Path) -> Answers:
    """One published file: SCHEMA's columns, and `verdict` (1 or 0 of the judge file beside it, null without one), `verdict_by`,
    `stored_correct` (its own `is_correct`), `error` (what kind, where the file has an error for a reply) and `cut` (the stored
    answer is only the beginning of what the model said).

    `letter` is as it was stored, null where extraction had failed. Raises InputError for a name or columns of no known layout.
    """
    path = Path(path)
    model, mode, form = name_of(path)
    source = f"{path.absolute().parent.name}/{path.name}"
    table = read_table(path)
    if "correct_option" in table.columns or "correct_letter" in table.columns:
        form = "choice"
    frame = _columns(table, form, path)
    if not frame.height:
        raise InputError(f"{path}: has no row below its header")
    if twice := frame.filter(frame["problem_id"].is_duplicated())["problem_id"].head(1).to_list():
        raise InputError(f"{path}: problem {twice[0]!r} is there twice")
    frame = _with_status(frame, form)
    frame = frame.with_columns(
        dataset=_dataset(frame, path),
        revision=pl.lit(revision_of(frame)),
        model=pl.lit(model),
        mode=pl.lit(mode),
        form=pl.lit(form),
        digest=pl.lit(""),
        options=pl.lit(None, pl.List(pl.String)),
        shown=pl.lit(None, pl.String),
        source=pl.lit(source),
    )
    frame = frame.join(_verdicts(path), on="problem_id", how="left", maintain_order="left").with_columns(
        verdict_by=pl.when(pl.col("verdict").is_not_null()).then(pl.lit(PUBLISHED))
    )
    return Answers(frame=frame.select(*SCHEMA, *EXTRA), corrections=tuple(corrections_of(frame, source)))


def read_published_folder(folder: str | Path) -> Answers:
    """All result files below a folder in one table, which may hold several datasets and revisions; see `refuse_mixture`."""
    parts = [read_published(path) for path in files_of(folder)]
    return Answers(frame=pl.concat([p.frame for p in parts]), corrections=[c for p in parts for c in p.corrections])


def name_of(path: Path) -> tuple[str, str, str]:
    """Model, mode and form that the name of a file says: `result_gpt-4o_ICL_mcqa.csv` is ("gpt-4o", "icl", "choice").

    A model that got no images answered in the modes text-icl and blind.
    """
    found = _NAME.fullmatch(path.name)
    if found is None:
        raise InputError(f"{path}: is not named like result_MODEL_0-shot_open.csv or result_MODEL_ICL_mcqa.csv")
    icl = found["mode"].lower() == "icl"
    textonly = "textonly" in found["model"].lower().replace("-", "").replace("_", "")
    mode = ("text-icl" if icl else "blind") if textonly else ("icl" if icl else "zero-shot")
    return found["model"], mode, "choice" if (found["form"] or "").lower() == "mcqa" else "open"


def reply_in(text: pl.Expr) -> pl.Expr:
    """The reply at the end of a transcript; the whole text where it is none."""
    return text.str.extract(_REPLY).fill_null(text)


@lru_cache(maxsize=1)
def known_problems() -> Mapping[str, Mapping[str, Any]]:
    """What ships of SMMILE's 111 problems: id → `gold` (a digest of question and gold answer) and `tags`, derived by us."""
    text = resources.files("qrelkit.bench.smmile").joinpath("data", "published.json").read_text(encoding="utf-8")
    problems: Mapping[str, Mapping[str, Any]] = json.loads(text)["problems"]
    return problems


def tags_of(base_id: str) -> dict[str, str]:
    """The tags of a known problem's query, `CT or X-Ray` where they could not be told apart; none of an unknown one."""
    values = known_problems().get(base_id, {}).get("tags", ())
    return {name: " or ".join(v) if isinstance(v, list) else v for name, v in zip(TAGS, values, strict=False) if v}


def other_golds(frame: pl.DataFrame) -> list[str]:
    """The base problems whose question or gold answer is not that of the revision `published`, sorted."""
    return [base_id for base_id, digest in _golds(frame) if known_problems().get(base_id, {}).get("gold", digest) != digest]


def revision_of(frame: pl.DataFrame) -> str:
    """`published`; or with a digest of the gold answers that differ from it; or of all of them where no problem is known.

    Two files have one name where their golds are the same. Columns: base_id, question, gold.
    """
    golds = _golds(frame)
    if not any(base_id in known_problems() for base_id, _ in golds):
        return f"golds-{digest_of(golds)[:8]}"
    other = set(other_golds(frame))
    return f"{REVISION}-{digest_of([g for g in golds if g[0] in other])[:8]}" if other else REVISION


def corrections_of(frame: pl.DataFrame, name: str) -> list[str]:
    """What is wrong with a published file, in words."""
    found = []
    if failed := frame["error"].count():
        kinds = frame["error"].drop_nulls().value_counts(sort=True).iter_rows()
        why = ", ".join(f"{kind} {n}" for kind, n in kinds)
        found.append(
            f"{name}: API errors in place of a reply in {counted(failed, 'row')} of {frame.height:,} ({why}); wrong answers to "
            "the publication, `completed` leaves them out"
        )
    if other := other_golds(frame):
        found.append(
            f"{name}: is of another revision of the dataset: {counted(len(other), 'problem')} of {frame['base_id'].n_unique():,} "
            "have another query; not comparable with files of the revision 'published'"
        )
    if cut := frame.filter("cut").height:
        found.append(f"{name}: in {counted(cut, 'row')} the stored answer ends in the middle of what was said; scored as stored")
    if (did := _HARNESS.get((frame["model"][0], frame["mode"][0]))) and frame["revision"][0].startswith(REVISION):
        found.append(f"{name}: {did}")
    return found


def _columns(table: pl.DataFrame, form: str, path: Path) -> pl.DataFrame:
    """Our columns from whichever of a layout's are there; texts are never null, "" where the file has none."""
    named = {ours: next((c for c in theirs if c in table.columns), None) for ours, theirs in _COLUMNS.items()}
    needed: Sequence[str] = ("question", "gold", *(("letter", "gold_letter") if form == "choice" else ("answer",)))
    missing = [_COLUMNS[ours][0] for ours in needed if named[ours] is None]
    if "problem_id" not in table.columns or missing:
        raise InputError(f"{path}: lacks the column {(missing or ['problem_id'])[0]!r}, which a result file for {form!r} has")
    texts = {ours: pl.lit("") if theirs is None else pl.col(theirs).fill_null("") for ours, theirs in named.items()}
    if named["text"] is None and form == "open":
        texts["text"] = texts["answer"]
    return table.select("problem_id", base_id=pl.col("problem_id").str.replace(_PERMUTED, ""), **texts)


def _with_status(frame: pl.DataFrame, form: str) -> pl.DataFrame:
    """`output`, `status`, `error`, and the stored answer and letters, null where there is none."""
    said = pl.col("output").str.strip_chars()
    silent = said == "" if form == "open" else (pl.col("text") != "") & (said == "")
    failed = pl.concat_str("output", "answer").str.contains(ERROR, literal=True) | (pl.col("letter") == ERROR)
    stored = pl.col("answer").str.strip_chars()
    frame = frame.with_columns(output=reply_in(pl.col("text"))).with_columns(
        error=pl.when(failed).then(_first_of([(has, kind) for kind, has, _ in _ERRORS])),
        status=pl.when(failed)
        .then(_first_of([(has, status) for _, has, status in _ERRORS]))
        .when(silent)
        .then(pl.lit("empty"))
        .otherwise(pl.lit("answered")),
        letter=pl.when(~pl.col("letter").is_in(NOT_EXTRACTED)).then(pl.col("letter")),
        gold_letter=pl.when(pl.col("gold_letter") != "").then(pl.col("gold_letter")),
        stored_correct=pl.col("stored_correct").str.to_lowercase().replace_strict({"true": True, "false": False}, default=None),
        cut=pl.lit(form == "open") & (said != stored) & said.str.starts_with(stored),
    )
    return frame.with_columns(
        answer=pl.when((pl.col("status") == "answered") & (stored != "")).then(pl.col("answer")),
        output=pl.when(pl.col("text") != "").then(pl.col("output")),
    )


def _first_of(cases: Sequence[tuple[str, str]]) -> pl.Expr:
    """What belongs to the first pattern that is in the output."""
    return pl.coalesce([pl.when(pl.col("output").str.contains(has)).then(pl.lit(what)) for has, what in cases])


def _dataset(frame: pl.DataFrame, path: Path) -> pl.Expr:
    """SMMILE++ where ids are permutations, SMMILE where they are its own; else the folder's name."""
    if frame["problem_id"].str.contains(_PERMUTED).any():
        return pl.lit("SMMILE++")
    known = any(base_id in known_problems() for base_id in frame["base_id"])
    return pl.lit("SMMILE" if known else path.absolute().parent.name)


def _golds(frame: pl.DataFrame) -> list[tuple[str, str]]:
    """Every base problem once, with the digest of its question and gold answer, sorted."""
    rows = frame.select("base_id", "question", "gold").unique().iter_rows()
    return sorted((base_id, digest_of([question, gold])[:12]) for base_id, question, gold in rows)


def _verdicts(path: Path) -> pl.DataFrame:
    """The judge's verdicts beside a file (`…_evaluationllm.json`): problem_id, verdict; no row where there are none."""
    beside = path.with_name(path.stem + "_evaluationllm.json")
    schema = {"problem_id": pl.String, "verdict": pl.Int8}
    if beside.exists():
        try:
            stored = json.loads(beside.read_text(encoding="utf-8"))["problem_accuracies"]
            verdicts = [{0.0: 0, 100.0: 1}[value] for value in stored.values()]
            return pl.DataFrame({"problem_id": list(stored), "verdict": verdicts}, schema=schema)
        except (ValueError, KeyError, TypeError, AttributeError):
            raise InputError(f"{beside}: is no file of verdicts: problem_accuracies must map each problem to 0 or 100") from None
    return pl.DataFrame(schema=schema)
