"""What the answers of an examination tell: one finding per thing that a judge relies on.

ok        it is so
no        the model or its server cannot do that, and says so, or it does no harm: no fault unless the project needs it
WRONG     a fault that would spoil judgments, or something that the project needs and does not get
unknown   the answer that would tell did not come
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

from qrelkit.judges.read_reply import json_object
from qrelkit.models.prices import tokens_of_text
from qrelkit.steps import promises, senses
from qrelkit.steps.heard import NOT_ASKED, Heard, Seen, Verdict, short

_REVISION = re.compile(r"(.+?)(?:-(\d{4}-\d\d-\d\d|\d{8}|\d{6}|\d{3,4}|latest))?$")
_ALL_THE_SAME = ("", "latest", "main", "free")


@dataclass(frozen=True, kw_only=True, slots=True)
class Finding:
    """One thing that was looked into; `words` say what was found and, of a fault, what to do."""

    name: str
    verdict: Verdict
    words: str


Look = Callable[[Seen], tuple[Verdict, str]]


def findings(seen: Seen) -> list[Finding]:
    """All of them, in the order of the table. Where the answers themselves are wrong, nothing is concluded from their words."""
    found = [Finding(name=name, verdict=verdict, words=words) for name, look in LOOKS.items() for verdict, words in (look(seen),)]
    wrong = [one.name for one in found if one.verdict == "WRONG"]
    gate = next((name for name in GATES if name in wrong), None)
    if gate is None:
        return found
    unclear = f"cannot be said before what is wrong with “{gate}” is mended"
    hidden = [one.name for one in found if one.name in BEHIND and one.name != gate and one.verdict != "ok"]
    return [replace(one, verdict="unknown", words=unclear) if one.name in hidden else one for one in found]


# does it answer at all, and for itself


def _answers(seen: Seen) -> tuple[Verdict, str]:
    came = [one for one in seen.heard.values() if one.came]
    if not came:
        return "WRONG", f"no answer came: {seen.silence('copy' if 'copy' in seen.heard else 'schema')}"
    copy = seen.heard.get("copy")
    if copy is None or copy.reply.error == NOT_ASKED:
        return "unknown", NOT_ASKED
    if copy.reply.outcome == "refused":
        return "WRONG", f"it declines the plainest question: {short(copy.said)}"
    if not copy.came:
        return "WRONG", f"a plain question was not answered: {copy.reply.error}"
    if not copy.said:
        thought = ": it thought for all the tokens that it had; raise sampling.max_tokens"
        return "WRONG", f"the answer is empty{thought if copy.reply.outcome == 'truncated' else ''}"
    if " ".join(_asked(copy).split()) in " ".join(copy.said.split()):
        return "WRONG", "it repeats the prompt; is it a base model, or is its chat template missing?"
    if not copy.has(copy.question.code) and not _of_another(copy, seen):
        return "WRONG", f"it does not do what it is told: asked to copy a line, it wrote {short(copy.said)}"
    return "ok", f"{len(came)} of {len(seen.heard)} questions were answered"


def _whole(seen: Seen) -> tuple[Verdict, str]:
    """Answers that end before their end, though there was room."""
    way_out = "look for a limit on the length of answers in the server's settings"
    for name in ("schema", "copy", "context"):
        one = seen.answer(name)
        if one is not None and one.reply.outcome == "truncated" and one.said:
            out, most = one.reply.tokens_out or tokens_of_text(one.reply.text), one.question.request.settings.max_tokens or 0
            if out < most / 2:
                return "WRONG", f"an answer was cut after {out:,} of {most:,} tokens; {way_out}"
    schema, copy = seen.answer("schema"), seen.answer("copy")
    if copy is None:
        return "unknown", seen.silence("copy")
    last = copy.said.splitlines()[-1].strip() if copy.has(copy.question.code) else ""
    if last and copy.question.line.startswith(last) and last != copy.question.line:
        return "WRONG", f"an answer ends in the middle of a line, at {copy.said[-20:]!r}; {way_out}"
    if schema is not None and json_object(schema.said) is None and schema.said.count("{") > schema.said.count("}"):
        return "WRONG", f"a JSON object breaks off at {schema.said[-20:]!r}; {way_out}"
    return "ok", "no answer was cut short"


def _fresh(seen: Seen) -> tuple[Verdict, str]:
    for name, got in seen.heard.items():
        if got.came and (other := _of_another(got, seen)):
            return "WRONG", f"“{name}” got the answer to “{other}”: something between here and the model caches; turn that off"
    told = [one for name in ("copy", "other") if (one := seen.answer(name)) and one.has(one.question.code)]
    return ("ok", "every answer was made for its question") if len(told) == 2 else ("unknown", "too few answers to say")


def _of_another(one: Heard, seen: Seen) -> str:
    """The question whose code word an answer has instead of its own; "" for none."""
    if not one.question.code or one.has(one.question.code):
        return ""
    others = ((name, h.question.code) for name, h in seen.heard.items() if h.question.code not in ("", one.question.code))
    return next((name for name, code in others if one.has(code)), "")


def _model(seen: Seen) -> tuple[Verdict, str]:
    asked = [seen.model.name.partition(":")[2].partition("?")[0].partition("#")[0], str(getattr(seen.model, "sent_name", ""))]
    served = list(dict.fromkeys(one.reply.served for one in seen.heard.values() if one.came and one.reply.served))
    provider = seen.model.name.partition(":")[0] + ":"
    if not served:
        return "unknown", "the server does not say which model answers"
    if len(served) > 1:
        return "WRONG", f"several models answer: {', '.join(served)}; name one of them"
    if any(same_model(name, served[0].removeprefix(provider)) for name in asked):
        return "ok", served[0]
    way_out = "if it is the same, call it by that name and send the other one as extra_body: {model: …}"
    return "WRONG", f"{asked[0]} was asked and {served[0]} answers; {way_out}"


def same_model(asked: str, served: str) -> bool:
    """Whether two names may be one model: folders, file endings, and a revision that only one of them has do not matter."""
    (core, tags), (other, others) = map(_named, (asked, served))
    return core == other and (not tags or not others or tags == others)


def _named(name: str) -> tuple[str, frozenset[str]]:
    last = re.split(r"[/\\]", name.strip().rstrip("/\\").lower())[-1].removesuffix(".gguf")
    bare, *tags = re.split(r"[@:]", last)
    found = _REVISION.fullmatch(bare)
    core, revision = (found[1], found[2] or "") if found else (bare, "")
    return core, frozenset((*tags, revision)) - frozenset(_ALL_THE_SAME)


def _asked(one: Heard) -> str:
    return "\n\n".join(getattr(part, "text", "") for part in one.question.request.messages[-1].parts)


LOOKS: Mapping[str, Look] = {
    "answers": _answers,
    "whole answers": _whole,
    "fresh answers": _fresh,
    "served model": _model,
    "system text": senses.system_text,
    "letters": senses.letters,
    "pictures": senses.pictures,
    "context": senses.context,
    "schema": promises.schema,
    "token probabilities": promises.probabilities,
    "repeats itself": promises.repeats,
    "samples": promises.samples,
    "token counts": promises.counts,
    "length limit": promises.length,
    "latency": promises.latency,
    "rate limits": promises.limits,
    "price": promises.price,
}
GATES = ("answers", "fresh answers", "whole answers")
BEHIND = ("system text", "letters", "pictures", "context", "schema", "repeats itself", "samples", "length limit", *GATES[1:])
