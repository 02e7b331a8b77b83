"""Does a model get what it is sent: the system text, letters of every script, pictures in their order, a long prompt whole?"""

from __future__ import annotations

import re

from qrelkit.steps.examination import FOREIGN, MARKS
from qrelkit.steps.heard import NOT_ASKED, Heard, Seen, Verdict, lacks, short

_COLOUR = re.compile(
    r"\b(red|green|blue|yellow|purple|violet|white|black|gr[ae]y|orange|pink|magenta|brown|cyan|teal|turquoise)\b", re.IGNORECASE
)


def system_text(seen: Seen) -> tuple[Verdict, str]:
    if (one := seen.answer("copy")) is None:
        return "unknown", seen.silence("copy")
    if one.has(one.question.last):
        return "ok", "followed"
    if not one.has(one.question.code):
        return "unknown", "the answer does not tell"
    return "WRONG", "ignored: the judge's instructions stand there; use a model or a chat template that has a system role"


def letters(seen: Seen) -> tuple[Verdict, str]:
    one = seen.answer("copy")
    if one is None or not one.has(one.question.code):
        return "unknown", seen.silence("copy") if one is None else "the answer does not tell"
    lost = [word for word in FOREIGN if not one.has(word)]
    if not lost:
        return "ok", f"{', '.join(FOREIGN)} came back as sent"
    came = next((line for line in one.said.splitlines() if one.question.code in line.lower()), one.said)
    return "WRONG", f"{', '.join(lost)} came back as {short(came)}: look for what is not UTF-8 on the way"


def pictures(seen: Seen) -> tuple[Verdict, str]:
    many, needed = seen.heard.get("pictures"), seen.needs.images
    if many is None or many.reply.error == NOT_ASKED:
        return "unknown", NOT_ASKED
    shown = many.question.shown
    if not many.came:
        one = seen.answer("picture")
        if one is not None and _colours(one) == list(one.question.shown):
            return lacks(needed > 1), f"one is seen, {len(shown)} are not taken ({many.reply.error}); judge.images: 1"
        return lacks(needed > 0), f"not taken: {many.reply.error}"
    if many.reply.outcome == "refused":
        return "unknown", seen.silence("pictures")
    found = _colours(many)
    if found == list(shown):
        return "ok", f"{len(shown)} in a request are seen, in their order"
    if not found:
        return lacks(needed > 0), f"taken, and not seen: it says {short(many.said)}; route: text or described does without"
    sent, came = ", ".join(shown), ", ".join(found)
    if len(shown) > 1 and found == list(shown[:1]):
        return "WRONG", f"only the first of {len(shown)} is seen, and nothing said of it; judge.images: 1"
    if sorted(found) == sorted(shown):
        return "WRONG", f"not in their order: sent {sent}, seen {came}; judge.images: 1, or another server"
    if set(found) < set(shown):
        lost = ", ".join(colour for colour in shown if colour not in found)
        return "WRONG", f"of {sent} it does not see {lost}: the server drops some; judge.images: 1, or another server"
    return "WRONG", f"not seen as they are: sent {sent}, seen {came}; is the model loaded with its vision part?"


def _colours(one: Heard) -> list[str]:
    """The colours that an answer names, where it gives the answer: behind its code word."""
    said = one.said.lower()
    _, code, behind = said.rpartition(one.question.code)
    return [{"violet": "purple"}.get(colour, colour) for colour in _COLOUR.findall(behind if code else said)]


def context(seen: Seen) -> tuple[Verdict, str]:
    one, needed = seen.heard.get("context"), seen.needs.context_tokens is not None
    if one is None or one.reply.error == NOT_ASKED or one.reply.outcome == "refused":
        return "unknown", seen.silence("context")
    reckoned = seen.model.tokens_in(one.question.request)
    longest = "the project's longest prompt" if needed else "a prompt"
    if not one.came:
        half = seen.answer("half")
        less = ", half of it is" if half is not None and all(map(half.has, half.question.shown)) else ""
        return lacks(needed), f"{longest} of about {reckoned:,} tokens is not taken{less}: {one.reply.error}"
    lost = [place for place, word in zip(MARKS, one.question.shown, strict=True) if not one.has(word)]
    counted = one.reply.tokens_in
    if not lost:
        return "ok", f"{longest} of about {reckoned:,} tokens was read from beginning to end"
    told = f", counted as {counted:,}," if counted else ""
    way_out = "give the server a longer context, or shorten with judge.max_document_chars"
    what = "nothing" if len(lost) == len(MARKS) else f"not the {', '.join(lost)}"
    return "WRONG", f"of {longest} of about {reckoned:,} tokens{told} {what} is known; {way_out}"
