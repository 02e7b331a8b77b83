"""Reads a verdict in the one place where it was asked for. There is no searching for digits in prose.

In this order, and nothing else:
1. the whole reply, or its last fenced block, or its last line on, is a JSON object: its key `verdict`;
2. the last line that is not empty is `VERDICT: …` (or the marker that the prompt's front matter names);
3. the whole reply is nothing but a verdict.

A verdict is a label of the scale or one of its numbers. A number that is not on the scale is `out_of_range`, anything else
`unparsable`; neither is ever a grade. Reasoning that a model puts into `<think>…</think>` first is kept as reason.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import orjson

from qrelkit.core.guideline import CANNOT_JUDGE, Scale
from qrelkit.core.records import Outcome
from qrelkit.core.wire import Reply

MARKER = "VERDICT:"
REASON_CHARS = 4000
CUT = "the reply was cut at the length limit: raise max_tokens"
_THINK = re.compile(r"\A\s*<think>(.*?)</think>", re.DOTALL)
_FENCED = re.compile(r"```(?:json)?\s*(\{.*\})\s*```\s*\Z", re.DOTALL)

_FENCED_LIST = re.compile(r"```(?:json)?\s*([\[{].*[\]}])\s*```\s*\Z", re.DOTALL)
_LIST_LINE = re.compile(r"^([\[{].*)\Z", re.DOTALL | re.MULTILINE)  # from the first line that begins an object or a list


@dataclass(frozen=True, slots=True)
class Verdict:
    """What a reply says: a grade, or why there is none."""

    grade: int | None
    outcome: Outcome
    reason: str = ""


def read_reply(reply: Reply | str, scale: Scale, marker: str = MARKER) -> Verdict:
    """The verdict in a reply. A truncated reply counts only when its JSON object is complete."""
    if isinstance(reply, str):
        reply = Reply(text=reply)
    if (nothing := _nothing_said(reply)) is not None:
        return nothing
    thought, text = _thought_and_said(reply.text)
    if (data := json_object(text)) is not None:
        if "verdict" not in data:
            return Verdict(None, "unparsable", f"no key 'verdict' in {text[:200]!r}")
        reason = data.get("reasoning") or data.get("reason") or thought
        return grade_of(data["verdict"], scale, str(reason)[:REASON_CHARS])
    if reply.outcome == "truncated":
        return Verdict(None, "unparsable", CUT)
    lines = [line for line in text.splitlines() if line.strip()]
    if lines and lines[-1].strip().lower().startswith(marker.lower()):
        reason = thought or "\n".join(lines[:-1]).strip()
        return grade_of(lines[-1].strip()[len(marker) :], scale, reason[:REASON_CHARS])
    if len(lines) == 1:
        return grade_of(lines[0], scale, thought[:REASON_CHARS])
    return Verdict(None, "unparsable", f"no verdict where it was asked for: {text[-200:]!r}" if text else "the reply is empty")


def _nothing_said(reply: Reply) -> Verdict | None:
    """Why there is nothing to read in a reply; None where there may be."""
    if reply.outcome == "failed":
        return Verdict(None, "failed", reply.error)
    if reply.outcome == "refused":
        return Verdict(None, "refused", reply.text[:REASON_CHARS] or "the model declined")
    if reply.outcome == "truncated_input":
        return Verdict(None, "truncated_input", reply.error or "the server cut what it was sent and answered all the same")
    return None


def _thought_and_said(text: str) -> tuple[str, str]:
    text = text.strip()
    found = _THINK.match(text)
    return (found.group(1).strip(), text[found.end() :].strip()) if found else ("", text)


def read_verdicts(reply: Reply | str, scale: Scale, count: int) -> list[Verdict]:
    """The verdicts on documents 1 to `count` in a reply that is, or ends with, `{"verdicts": [{"number": 1, …}, …]}` or its list.

    A verdict belongs to a document by its number and by nothing else. One that is missing or given twice is `unparsable` for
    that document; a number that no document has makes all of them so: whoever counts from 0 has shifted every verdict.
    """
    if isinstance(reply, str):
        reply = Reply(text=reply)
    if (nothing := _nothing_said(reply)) is not None:
        return [nothing] * count
    entries = _entries(_thought_and_said(reply.text)[1])
    if entries is None:
        said = CUT if reply.outcome == "truncated" else "the answer is no JSON list of verdicts"
        return [Verdict(None, "unparsable", said)] * count
    by_number: dict[int, list[Mapping[str, Any]]] = {}
    for entry in entries:
        number = _document_number(entry)
        if number is None or not 1 <= number <= count:
            said = f"a verdict is for document {entry.get('number') if isinstance(entry, dict) else entry!r}, of 1 to {count}"
            return [Verdict(None, "unparsable", said)] * count
        by_number.setdefault(number, []).append(entry)
    return [_numbered(number, by_number.get(number, ()), scale) for number in range(1, count + 1)]


def _entries(text: str) -> list[Any] | None:
    """The list of verdicts that a text is or ends with; None where there is none."""
    found = _FENCED_LIST.search(text) or _LIST_LINE.search(text)
    try:
        value = orjson.loads(found.group(1) if found else text)
    except orjson.JSONDecodeError:
        return None
    value = value.get("verdicts") if isinstance(value, dict) else value
    return value if isinstance(value, list) else None


def _document_number(entry: Any) -> int | None:
    number = entry.get("number") if isinstance(entry, dict) else None
    if isinstance(number, str) and re.fullmatch(r"\d{1,6}", number, re.ASCII):
        return int(number)
    return number if isinstance(number, int) and not isinstance(number, bool) else None


def _numbered(number: int, entries: Sequence[Mapping[str, Any]], scale: Scale) -> Verdict:
    if len(entries) != 1:
        said = f"{len(entries)} verdicts" if entries else "no verdict"
        return Verdict(None, "unparsable", f"the answer has {said} for document {number}")
    (entry,) = entries
    if "verdict" not in entry:
        return Verdict(None, "unparsable", f"no key 'verdict' for document {number}")
    reason = entry.get("reasoning") or entry.get("reason") or ""
    return grade_of(entry["verdict"], scale, str(reason)[:REASON_CHARS])


def json_object(text: str) -> dict[str, Any] | None:
    """The JSON object a reply consists of or ends with; None where there is none."""
    candidates = []
    if text.startswith("{"):  # what is asked for, and nearly always there
        try:
            value = orjson.loads(text)
        except orjson.JSONDecodeError:
            pass
        else:
            return value if isinstance(value, dict) else None
    if found := _FENCED.search(text):
        candidates.append(found.group(1))
    elif (start := text.rfind("\n{")) >= 0:
        candidates.append(text[start:])
    for candidate in candidates:
        try:
            value = orjson.loads(candidate)
        except orjson.JSONDecodeError:
            continue
        if isinstance(value, dict):
            return value
    return None


def grade_of(value: object, scale: Scale, reason: str) -> Verdict:
    """A label or number as a grade of the scale; the label wins where `highly_relevant (2)` gives both and they agree."""
    if isinstance(value, bool) or value is None:
        return Verdict(None, "unparsable", f"{value!r} is no verdict")
    if isinstance(value, int | float):
        return _number(float(value), scale, reason)
    for grade in scale.grades:
        if value == grade.label:
            return Verdict(grade.value, "graded", reason)
    word = str(value).strip().strip("\"'*`.").strip()
    name = re.sub(r"[\s-]+", "_", word.lower())
    for grade in scale.grades:
        if name in (grade.label.lower(), f"{grade.label.lower()}_({grade.value})"):
            return Verdict(grade.value, "graded", reason)
    if name == CANNOT_JUDGE and scale.cannot_judge:
        return Verdict(None, "refused", reason or "cannot judge")
    if re.fullmatch(r"[+-]?\d+(\.\d+)?", word, re.ASCII):
        return _number(float(word), scale, reason)
    return Verdict(None, "unparsable", f"{word[:100]!r} is not on the scale {', '.join(scale.labels)}")


def _number(value: float, scale: Scale, reason: str) -> Verdict:
    if math.isfinite(value) and value in scale.values:
        return Verdict(int(value), "graded", reason)
    return Verdict(None, "out_of_range", f"{value:g} is not on the scale {', '.join(map(str, scale.values))}")


def verdict_probabilities(reply: Reply, scale: Scale, marker: str = MARKER) -> tuple[float, ...] | None:
    """Probability of each grade, lowest first, from the tokens' probabilities where the verdict was written.

    The token in which the verdict begins, and its alternatives, stand for the grade whose label or number they are, or
    alone begin; they are normalised to 1. None where nothing was given, or the first token does not tell the labels apart.
    """
    if not reply.token_probabilities:
        return None
    start, at = verdict_start("".join(token for token, _ in reply.token_probabilities), marker), 0
    weights = [0.0] * len(scale.grades)
    for token, alternatives in reply.token_probabilities:
        at += len(token)
        if at > start:
            for said, log_probability in alternatives.items() if _place(token, scale) is not None else ():
                if (place := _place(said, scale)) is not None:
                    weights[place] += math.exp(log_probability)
            break
    total = sum(weights)
    return tuple(w / total for w in weights) if total > 0 else None


def verdict_start(text: str, marker: str) -> int:
    """Where in a reply the verdict begins: after the last `"verdict":`, or the marker, or at its first word."""
    found = [*re.finditer(r'"verdict"\s*:\s*"?', text), *re.finditer(rf"^{re.escape(marker)}\s*", text, re.M | re.I)]
    return found[-1].end() if found else len(text) - len(text.lstrip())


def _place(token: str, scale: Scale) -> int | None:
    """The only grade that a token can begin."""
    said = token.strip(" \"'\n`*:").lower()
    exact = {i for i, g in enumerate(scale.grades) if said in (g.label.lower(), str(g.value))}
    begun = {
        i for i, g in enumerate(scale.grades) if said and (g.label.lower().startswith(said) or str(g.value).startswith(said))
    }
    found = exact or begun
    return found.pop() if len(found) == 1 else None
