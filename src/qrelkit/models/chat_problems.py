"""What a chat endpoint answers when it does not answer: read from many dialects, and turned into an error that helps.

A server may refuse the request (`Rejected`), this moment (`RateLimited`, `Unreachable`), what the text is about (a refusal,
which is a reply), or a single field of the body, which can be left out.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from typing import Any

from qrelkit.core.errors import ModelError, RateLimited, Rejected, Unreachable
from qrelkit.models.limits import retry_after

SAID = 300  # characters of a server's words that are quoted

# field → how an error may name it, in the order in which they are given up
REFUSABLE: Mapping[str, str] = {
    "response_format": r"response_format|json_schema|guided|structured output",
    "logprobs": r"(?:top_)?logprobs",
    "temperature": r"temperature",
    "top_p": r"top_p",
    "seed": r"seed",
    "max_tokens": r"max_tokens",
}
_UNSUPPORTED = re.compile(
    r"unsupported|not support|max_completion_tokens|unrecogni|unknown|unexpected|not (permitted|allowed)", re.IGNORECASE
)
_TOO_LONG = re.compile(r"context.{0,10}(length|window|size)|too (long|large|many)|exceed", re.IGNORECASE)
_FILTERED = {"content_filter", "content_policy_violation", "ResponsibleAIPolicyViolation"}
_SPENT = {"insufficient_quota", "billing_hard_limit_reached", "billing_not_active", "insufficient_user_quota"}


@dataclass(frozen=True, slots=True)
class Problem:
    """An answer that is no chat completion: its status, the server's words, what they call the error and the field."""

    status: int
    said: str
    code: str = ""
    param: str = ""
    filtered: bool = False
    refusable: Mapping[str, str] = field(default_factory=lambda: REFUSABLE)  # a dialect's own, where it names fields otherwise
    key_variable: str = "OPENAI_API_KEY"
    retry_after_s: float | None = None  # where the body says how long to wait; it counts before the headers

    def refuses(self, sent: Collection[str]) -> str | None:
        """The field among `sent` that the server will not have, if that is the trouble.

        `max_tokens` only where the name is refused: a value too large is the user's to change, and without any limit a
        reply could cost anything.
        """
        if self.status not in (400, 422):
            return None
        named, too_long = self.param or self.said, _TOO_LONG.search(self.said)
        for name, pattern in self.refusable.items():
            if name not in sent or not re.search(rf"\b(?:{pattern})", named, re.IGNORECASE):
                continue
            if name == "max_tokens":
                return None if too_long or not _UNSUPPORTED.search(f"{self.code} {self.said}") else name
            return name if self.param or not too_long else None
        return None


def read_problem(status: int, data: Any) -> Problem:
    """What a server says went wrong, from the forms of error that OpenAI, Azure, vLLM, FastAPI, Ollama and others use."""
    error = data.get("error") if isinstance(data, dict) else None
    detail: Mapping[str, Any] = error if isinstance(error, dict) else data if isinstance(data, dict) else {}
    code, param = (detail.get(name) for name in ("code", "param"))
    inner = detail.get("innererror") or {}
    names = {str(n) for n in (code, detail.get("type"), inner.get("code") if isinstance(inner, dict) else None)}
    spent = next((name for name in _SPENT if name in names), "")
    if isinstance(code, int) and status == 200 and 400 <= code < 600:
        status = code  # gateways report the status of the server behind them
    return Problem(
        status if status != 200 else 500,
        words_of(data),
        spent or str(code or detail.get("type") or ""),
        param if isinstance(param, str) else "",
        bool(_FILTERED & names),
    )


def error_of(
    problem: Problem, headers: Mapping[str, str], where: str, now: float, hidden: Callable[[str], str] = str
) -> ModelError:
    """The error to raise for a problem; `where` names model and endpoint, `hidden` takes secrets out of the words."""
    status, text = problem.status, hidden(f"{where}: {problem.status} {problem.said}".rstrip())
    wait = retry_after(headers, now) if problem.retry_after_s is None else problem.retry_after_s
    if problem.code in _SPENT or (status == 402 and wait is None):
        return Rejected(f"{text}; the account has no money left: top it up, or take another key", fatal=True)
    if status == 429 or (status in (402, 503, 529) and wait is not None):  # 402: OpenRouter's money for what is under way
        return RateLimited(text, wait)
    if status in (408, 409, 425) or status >= 500:
        return Unreachable(text)
    if status == 401:
        return Rejected(f"{text}; check {problem.key_variable}", fatal=True)
    if status == 403:
        return Rejected(f"{text}; this key may not use this model or endpoint", fatal=True)
    if status in (404, 405):
        return Rejected(f"{text}; check the model's name, and the path of base_url", fatal=True)
    if 300 <= status < 400:
        to = hidden(headers.get("Location", "another address"))
        return Rejected(f"{text}; it redirects to {to}, which is not followed: give that as base_url", fatal=True)
    return Rejected(text)


def words_of(data: Any) -> str:
    """The server's words on one line, at most `SAID` characters."""
    words: Any = data
    for _ in range(3):
        if not isinstance(words, dict):
            break
        words = next((words[key] for key in ("error", "message", "detail", "msg") if words.get(key)), "")
    if isinstance(words, list):
        words = "; ".join(_field_error(one) for one in words)
    line = " ".join(str(words or "").split())
    return line if len(line) <= SAID else line[: SAID - 1] + "…"


def _field_error(one: Any) -> str:
    """One of FastAPI's validation errors: `body.logprobs: Extra inputs are not permitted`."""
    if not isinstance(one, dict):
        return str(one)
    place = one.get("loc")
    return f"{'.'.join(map(str, place)) if isinstance(place, list) else place}: {one.get('msg', '')}"
