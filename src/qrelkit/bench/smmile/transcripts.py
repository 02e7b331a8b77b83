"""Problems rebuilt from published chat transcripts: all texts in their order, no image.

The in-context, open-ended files of LLaVA and of Qwen keep the whole conversation as the model saw it:

    LLaVA   USER:  \\n<question> ASSISTANT: <answer> USER:  \\n<question> ASSISTANT: …
    Qwen    system\\n…\\nuser\\n<question>\\nassistant\\n<answer>\\nuser\\n<question>\\nassistant\\n…

Raw texts survive, blanks at their ends included. SMMILE's own revision is in LLaVA's files; Qwen2.5-VL-3B and -7B were asked
another one.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path

from qrelkit.bench.smmile.answers import Answers
from qrelkit.bench.smmile.problems import Problem, Problems, Triplet
from qrelkit.bench.smmile.published import name_of, read_published, tags_of
from qrelkit.core.errors import InputError, Mismatch
from qrelkit.formats.tables import read_table

_LLAVA = re.compile(r"(?:\A| )USER:  \n| ASSISTANT: ?")
_QWEN = re.compile(r"(?:\A|\n)(?:user|assistant)\n")


def problems_from(path: str | Path) -> Problems:
    """The problems that a published in-context file was asked, rebuilt from its transcripts; images are unknown (`text_only`).

    `notes` says which file. Raises InputError for a file without transcripts, Mismatch (with the problem) where a transcript does
    not end with the file's own query.
    """
    path = Path(path)
    _, mode, form = name_of(path)
    if (mode, form) != ("icl", "open"):
        raise InputError(f"{path}: problems are rebuilt from an in-context, open-ended file (result_MODEL_ICL_open.csv)")
    answers = read_published(path)
    table = read_table(path)
    if "full_response" not in table.columns:
        raise InputError(f"{path}: has no column full_response, so no transcript")
    frame = answers.frame.with_columns(table["full_response"].fill_null("").alias("text"))
    rows = frame.select("problem_id", "base_id", "question", "gold", "text").iter_rows()
    found = [_problem(*row, where=str(path)) for row in rows]
    return Problems(
        name=frame["dataset"][0],
        revision=frame["revision"][0],
        problems=found,
        text_only=True,
        notes={"from": frame["source"][0], "rebuilt": "from transcripts: all texts, no image"},
    )


def problems_beside(answers: Answers, folder: str | Path) -> Mapping[tuple[str, str], Problems]:
    """For each dataset and revision of some published answers, its problems rebuilt from a file below the same folder; the first
    file that has transcripts, by name. What no transcript tells is missing."""
    wanted = set(answers.frame.select("dataset", "revision").unique().iter_rows())
    found: dict[tuple[str, str], Problems] = {}
    for path in sorted(Path(folder).rglob("result_*_ICL*.csv")):
        if len(found) == len(wanted):
            break
        if not _has_transcripts(path):
            continue
        problems = problems_from(path)
        key = (problems.name, problems.revision)
        if key in wanted and key not in found:
            found[key] = problems
    return found


def _has_transcripts(path: Path) -> bool:
    """Whether an open-ended in-context file begins with a conversation; read from its first few thousand bytes."""
    if name_of(path)[1:] != ("icl", "open"):
        return False
    with path.open(encoding="utf-8", errors="replace", newline="") as file:
        head = file.read(4096)
    return "full_response" in head.split("\n", 1)[0] and ("USER:  \n" in head or "system\n" in head)


def _problem(problem_id: str, base_id: str, question: str, gold: str, text: str, *, where: str) -> Problem:
    turns = _turns(text)
    if not turns or turns[-1][0] != question:
        raise Mismatch(f"{where}: the transcript of problem {problem_id!r} does not end with its question {question[:80]!r}")
    shown = tuple(Triplet(question=asked, answer=answer) for asked, answer in turns[:-1])
    query = Triplet(question=question, answer=gold, tags=tags_of(base_id))
    return Problem(problem_id=problem_id, base_id=base_id, demonstrations=shown, query=query)


def _turns(text: str) -> list[tuple[str, str]]:
    """Questions and what was answered, the last answer being the model's; none for a text that is no transcript."""
    if text.startswith("USER:"):
        parts = _LLAVA.split(text)[1:]
    elif text.startswith("system\n"):
        parts = _QWEN.split(text)[1:]
    else:
        return []
    return list(zip(parts[::2], parts[1::2], strict=False))
