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
from dataclasses import dataclass
from typing import Any

import orjson

from qrelkit.core.guideline import CANNOT_JUDGE, Scale
from qrelkit.core.records import Outcome
from qrelkit.core.wire import Reply

MARKER = "VERDICT:"
REASON_CHARS = 4000
_THINK = re.compile(r"\A\s*<think>(.*?)</think>", re.DOTALL)
_FENCED = re.compile(r"```(?:json)?\s*(\{.*\})\s*```\s*\Z", re.DOTALL)


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
    if reply.outcome == "failed":
        return Verdict(None, "failed", reply.error)
    if reply.outcome == "refused":
        return Verdict(None, "refused", reply.text[:REASON_CHARS] or "the model declined")
    text = reply.text.strip()
    thought = ""
    if found := _THINK.match(text):
        thought, text = found.group(1).strip(), text[found.end() :].strip()
    if (data := json_object(text)) is not None:
        if "verdict" not in data:
            return Verdict(None, "unparsable", f"no key 'verdict' in {text[:200]!r}")
        reason = data.get("reasoning") or data.get("reason") or thought
        return grade_of(data["verdict"], scale, str(reason)[:REASON_CHARS])
    if reply.outcome == "truncated":
        return Verdict(None, "unparsable", "the reply was cut at the length limit: raise max_tokens")
    lines = [line for line in text.splitlines() if line.strip()]
    if lines and lines[-1].strip().lower().startswith(marker.lower()):
        reason = thought or "\n".join(lines[:-1]).strip()
        return grade_of(lines[-1].strip()[len(marker) :], scale, reason[:REASON_CHARS])
    if len(lines) == 1:
        return grade_of(lines[0], scale, thought[:REASON_CHARS])
    return Verdict(None, "unparsable", f"no verdict where it was asked for: {text[-200:]!r}" if text else "the reply is empty")


def json_object(text: str) -> dict[str, Any] | None:
    """The JSON object a reply consists of or ends with; None where there is none."""
    candidates = [text] if text.startswith("{") else []
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
    start, at = verdict_start("".join(token for token, _ in reply.token_probabilities or ()), marker), 0
    weights = [0.0] * len(scale.grades)
    for token, alternatives in reply.token_probabilities or ():
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
