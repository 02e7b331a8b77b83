"""Gemini's generateContent format: requests written, replies and errors read. Pure functions, no sockets.

The published form is camelCase JSON of protocol buffers: a number that is 0 may be left out, a 64-bit one is a string. What a
server may refuse stands in `generationConfig`, in the tail of the body.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Mapping, Sequence
from itertools import groupby, zip_longest
from typing import Any

import orjson

from qrelkit.core.errors import Unreachable
from qrelkit.core.wire import Part, Reply, ReplyOutcome, Request, Text
from qrelkit.models.chat_problems import Problem, words_of
from qrelkit.models.counts import count, fields

TOP = 20  # alternatives per token; Gemini's own limit
GAP = "\n\n"  # between texts that follow each other
DAY_S = 86_400.0

# field → how an error may name it, in the order in which they are given up
REFUSABLE: Mapping[str, str] = {
    "responseJsonSchema": r"response_?(?:json_?)?schema|schema",
    "responseMimeType": r"response_?mime_?type|response mime type|json mode|structured output",
    "responseLogprobs": r"(?:response_?)?logprobs",
    "temperature": r"temperature",
    "topP": r"top_?p",
    "seed": r"seed",
}
# why a candidate ended → what that is; every other reason is a filter or a rule that stopped it
OUTCOMES: Mapping[str, ReplyOutcome] = {
    "": "answered",
    "STOP": "answered",
    "FINISH_REASON_UNSPECIFIED": "answered",
    "MALFORMED_RESPONSE": "answered",  # the model's own slip: read like any text, and so asked once more
    "MALFORMED_FUNCTION_CALL": "answered",
    "MAX_TOKENS": "truncated",
    "CONTINUATION": "truncated",
}
_UNKNOWN = re.compile(r"Unknown name \"(\w+)\"(?: at '([^']+)')?")
_SPENT = re.compile(r"credits are depleted|spend(?:ing)? cap", re.IGNORECASE)
_SECONDS = re.compile(r"\d+(?:\.\d+)?(?=s$)")


# requests


def opening(request: Request, pictures: Mapping[str, orjson.Fragment]) -> bytes:
    """The body as far as it depends on the pair: system text and turns, without the closing brace.

    `pictures` has the rendered part of every picture, by its digest. System messages become the one `systemInstruction`. Texts
    that follow each other are one text with a blank line between. Half a surrogate pair, which JSON cannot carry, becomes a
    question mark.
    """
    try:
        return orjson.dumps(_body(request, pictures, str))[:-1]
    except TypeError:
        return orjson.dumps(_body(request, pictures, _sound))[:-1]


def tail(request: Request, refused: Collection[str], extra: Mapping[str, Any]) -> tuple[bytes, frozenset[str]]:
    """The rest of the body, from the comma after the turns, and the refusable fields in it.

    `extra` overrides, its `generationConfig` field by field. A repeated sample of a request with a seed is asked with another
    seed: the same one would give the same answer. A schema goes with its media type only.
    """
    s, schema = request.settings, request.schema
    form = schema if "responseMimeType" not in refused else None
    wanted: dict[str, Any] = {
        "responseMimeType": form and "application/json",
        "responseJsonSchema": form and form.schema,
        "responseLogprobs": s.token_probabilities or None,
        "temperature": s.temperature,
        "topP": s.top_p,
        "seed": None if s.seed is None else s.seed + request.sample,
        "maxOutputTokens": s.max_tokens,
    }
    fields = {name: value for name, value in wanted.items() if value is not None and name not in refused}
    own: Mapping[str, Any] = extra.get("generationConfig") or {}
    sent = frozenset((fields.keys() & REFUSABLE.keys()) - own.keys())
    if "responseLogprobs" in fields:
        fields["logprobs"] = TOP
    fields |= own
    rest = ({"generationConfig": fields} if fields else {}) | {n: v for n, v in extra.items() if n != "generationConfig"}
    return (b"," + orjson.dumps(rest)[1:] if rest else b"}"), sent


def image_part(media_type: str, data: bytes) -> orjson.Fragment:
    """An image as a part: rendered once, pasted into every body that shows it."""
    import base64

    return orjson.Fragment(b'{"inlineData":{"mimeType":"%s","data":"%s"}}' % (media_type.encode(), base64.b64encode(data)))


def _body(request: Request, pictures: Mapping[str, orjson.Fragment], clean: Callable[[str], str]) -> dict[str, Any]:
    system = [part for message in request.messages if message.role == "system" for part in message.parts]
    turns = [
        {"role": "model" if m.role == "assistant" else "user", "parts": _parts(m.parts, pictures, clean)}
        for m in request.messages
        if m.role != "system"
    ]
    first = {"systemInstruction": {"parts": _parts(system, pictures, clean)}} if system else {}
    return first | {"contents": turns}


def _parts(parts: Sequence[Part], pictures: Mapping[str, orjson.Fragment], clean: Callable[[str], str]) -> list[Any]:
    out: list[Any] = []
    for kind, run in groupby(parts, key=type):
        if kind is Text:
            out.append({"text": clean(GAP.join(part.text for part in run if isinstance(part, Text)))})
        else:
            out += [pictures[part.digest] for part in run]
    return out


def _sound(said: str) -> str:
    return said.encode("utf-8", "replace").decode("utf-8")


# replies


def read_reply(data: Mapping[str, Any], latency_s: float | None = None) -> Reply:
    """A GenerateContentResponse as a Reply; raises Unreachable where it holds neither a candidate nor why there is none.

    A blocked prompt and a candidate that a filter stopped are "refused", with the reason as text. Thoughts are not part of
    the text; their tokens are, with the candidate's, `tokens_out`.
    """
    candidates, feedback = data.get("candidates"), data.get("promptFeedback") or {}
    candidate = candidates[0] if candidates else {}
    finish = candidate.get("finishReason") or "" if candidates else feedback.get("blockReason") or ""
    if not candidates and not finish:
        raise Unreachable("the reply holds no candidate")
    outcome = OUTCOMES.get(finish, "refused") if candidates else "refused"
    usage = fields(data.get("usageMetadata"))
    asked, thought = count(usage.get("promptTokenCount"), least=1), count(usage.get("thoughtsTokenCount"))
    said = count(usage.get("candidatesTokenCount", 0 if asked else None))
    logprobs = candidate.get("logprobsResult")
    return Reply(
        text=_why(finish, candidate if candidates else feedback) if outcome == "refused" else _text(candidate),
        outcome=outcome,
        served=data.get("modelVersion") or "",
        finish=finish,
        tokens_in=asked,
        tokens_out=None if said is None else said + (thought or 0),
        tokens_cached=count(usage.get("cachedContentTokenCount")),
        tokens_reasoning=thought,
        tokens_image=_of_images(usage.get("promptTokensDetails")),
        latency_s=latency_s,
        token_probabilities=_probabilities(logprobs) if logprobs else None,
    )


def _of_images(details: Any) -> int | None:
    """The input's tokens that are images, from its list by modality; None where there is none."""
    if not details or not isinstance(details, list):
        return None
    return sum(count(one.get("tokenCount")) or 0 for one in map(fields, details) if one.get("modality") == "IMAGE")


def _text(candidate: Mapping[str, Any]) -> str:
    parts = (candidate.get("content") or {}).get("parts") or ()
    return "".join(part.get("text") or "" for part in parts if not part.get("thought"))


def _why(reason: str, where: Mapping[str, Any]) -> str:
    """`SAFETY: the server's words (HARM_CATEGORY_…)`, as far as they are given."""
    words = where.get("finishMessage") or where.get("blockReasonMessage") or ""
    blocked = ", ".join(str(r.get("category")) for r in where.get("safetyRatings") or () if r.get("blocked"))
    return reason + (f": {words}" if words else "") + (f" ({blocked})" if blocked else "")


def _probabilities(logprobs: Mapping[str, Any]) -> tuple[tuple[str, dict[str, float]], ...] | None:
    """Per token what it was and the log probabilities of the alternatives, itself included.

    Tokens that are bytes of one character may share a text; the likeliest of them counts.
    """
    out = []
    for chosen, top in zip_longest(logprobs.get("chosenCandidates") or (), logprobs.get("topCandidates") or ()):
        if chosen is None:
            break
        near: dict[str, float] = {}
        for one in (chosen, *((top or {}).get("candidates") or ())):
            token, value = one.get("token") or "", one.get("logProbability", 0.0)
            near[token] = max(value, near.get(token, value))
        out.append((chosen.get("token") or "", near))
    return tuple(out) or None


# errors


def read_problem(status: int, data: Any) -> Problem:
    """What the server says went wrong: `{"error": {"code", "message", "status", "details": […]}}`.

    A key that is none comes as 400, and so does a country or an account that may not use it; both would refuse every other
    request too, and are read as 401 and 403. 200 takes the status that the body says.
    """
    error = data.get("error") if isinstance(data, dict) else None
    detail: Mapping[str, Any] = error if isinstance(error, dict) else {}
    kind, message, code = str(detail.get("status") or ""), str(detail.get("message") or ""), detail.get("code")
    details = [one for one in detail.get("details") or () if isinstance(one, dict)]
    if status == 200:
        status = code if isinstance(code, int) and 400 <= code < 600 else 500
    if status == 400 and any(one.get("reason") == "API_KEY_INVALID" for one in details):
        status = 401
    elif status == 400 and kind == "FAILED_PRECONDITION":
        status = 403
    wait_s, why = _wait(details)
    return Problem(
        status,
        words_of(data) + why,
        "insufficient_quota" if _SPENT.search(message) else kind,
        _named(message, details),
        refusable=REFUSABLE,
        key_variable="GEMINI_API_KEY",
        retry_after_s=wait_s,
    )


def _wait(details: Sequence[Mapping[str, Any]]) -> tuple[float | None, str]:
    """Seconds to wait, and why where that is not plain.

    A quota of the day comes with a `retryDelay` of seconds all the same. It begins anew at midnight Pacific time; without a
    table of time zones, which Windows lacks, a day is surely enough, and so long that a run stops instead of waiting.
    """
    quotas = (v.get("quotaId") or "" for one in details for v in one.get("violations") or () if isinstance(v, dict))
    daily = next((quota for quota in quotas if "PerDay" in quota), None)
    if daily:
        return DAY_S, f" (the day's quota {daily} is used up; it begins anew at midnight Pacific time)"
    said = (_SECONDS.match(str(one.get("retryDelay") or "")) for one in details)
    return max((float(found[0]) for found in said if found), default=None), ""


def _named(message: str, details: Sequence[Mapping[str, Any]]) -> str:
    """The field that an error is about, as a path; "" where it names none."""
    if unknown := _UNKNOWN.search(message):
        return f"{unknown[2] or ''}.{unknown[1]}"
    fields = (v.get("field") or "" for one in details for v in one.get("fieldViolations") or () if isinstance(v, dict))
    if about := next((name for name in fields if "generation_config" in name), ""):
        return about
    return "schema" if re.search(r"\bschema\b", message, re.IGNORECASE) else ""
