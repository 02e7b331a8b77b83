"""A model whose answers are written beforehand: for tests, demonstrations, and trying a prompt without paying.

From Python a function of the request, a queue of answers, or rules; from the command line a file of rules, tried in order
(`--model scripted:answers.yaml`; the same objects one per line where the file ends in `.jsonl`):

    - {when: 'red (dress|skirt)', say: {reasoning: it is red, verdict: highly_relevant}}
    - {when: 'gun', say: 'I cannot help with that.', outcome: refused}
    - {say: {reasoning: nothing fits, verdict: irrelevant}}          # without `when`: every request that comes so far
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from qrelkit.core.errors import InputError, Rejected, UnknownName
from qrelkit.core.wire import Limits, Reply, Request, Room, Text, canonical, digest_bytes
from qrelkit.models.prices import tokens_of_request, tokens_of_text

Answer = str | Reply | Exception
Script = Callable[[Request], Answer] | Sequence[Answer] | Mapping[str, Answer]
OUTCOMES = ("answered", "refused", "truncated", "truncated_input")


class Scripted:
    """A model that says what it was told to.

    `reply` is a function of the request; or a sequence, said in order, each answer once; or a mapping of regular
    expressions, searched in the text of the last user message, to answers: the first that matches. An answer is a text, a
    whole Reply, or an exception to raise. Tokens are estimated. `asked` is every request so far.

    Raises Rejected where nothing was written for a request.
    """

    limits = Limits()
    price = ""
    room: Room | None = None

    def __init__(self, name: str = "scripted:answers", reply: Script = "", *, at_most: int = 1) -> None:
        self.name, self.at_most = name, at_most
        self.asked: list[Request] = []
        self._answer = _answering(reply)

    @classmethod
    def from_file(cls, path: Path | str) -> Scripted:
        """Rules from a YAML or JSONL file; the digest of its bytes is part of the name, so that an edited file asks anew.

        Raises InputError, with file and line or rule, for what is no rule.
        """
        path = Path(path)
        try:
            data = path.read_bytes()
        except OSError as error:
            raise InputError(f"{path}: no script can be read there ({error.strerror})") from None
        rules = [_rule(row, where) for where, row in _rows(path, data)]
        return cls(f"scripted:{path.name}@{digest_bytes(data)[:8]}", _first_match(rules))

    def __repr__(self) -> str:
        return f"Scripted({self.name}, {len(self.asked)} asked)"

    async def replies(self, requests: Sequence[Request]) -> Sequence[Reply]:
        """One reply per request, in order; an answer that is an exception is raised for the whole call."""
        return [self._reply(request) for request in requests]

    def cost_usd(self, reply: Reply) -> float | None:
        """None: nobody is paid, and nothing is known of what a real model would cost."""
        return None

    def tokens_in(self, request: Request) -> int:
        """About how many tokens a request is: what `replies` counts too."""
        return tokens_of_request(request)

    async def close(self) -> None:
        """Nothing to close."""

    def _reply(self, request: Request) -> Reply:
        self.asked.append(request)
        answer = self._answer(request)
        if isinstance(answer, Exception):
            raise answer
        if isinstance(answer, str):
            answer = Reply(text=answer, finish="stop", tokens_in=tokens_of_request(request), tokens_out=tokens_of_text(answer))
        return replace(answer, served=answer.served or self.name, latency_s=answer.latency_s or 0.0)


def last_user_text(request: Request) -> str:
    """The texts of the last user message, a blank line between."""
    for message in reversed(request.messages):
        if message.role == "user":
            return "\n\n".join(part.text for part in message.parts if isinstance(part, Text))
    return ""


def _answering(script: Script) -> Callable[[Request], Answer]:
    if callable(script):
        return script
    if isinstance(script, str):
        return lambda request: script
    if isinstance(script, Mapping):
        return _first_match([(_pattern(when, "the script"), answer) for when, answer in script.items()])
    return _one_by_one(tuple(script))


def _one_by_one(answers: Sequence[Answer]) -> Callable[[Request], Answer]:
    queue: Iterator[Answer] = iter(answers)
    spent = Rejected(f"the script has {len(answers)} answers and one more was asked for", fatal=True)
    return lambda request: next(queue, spent)


def _first_match(rules: Sequence[tuple[re.Pattern[str], Answer]]) -> Callable[[Request], Answer]:
    def answer(request: Request) -> Answer:
        said = last_user_text(request)
        for when, then in rules:
            if when.search(said):
                return then
        return Rejected(f"no rule of the script fits {said[-80:]!r}; end it with a rule without `when`")

    return answer


def _rows(path: Path, data: bytes) -> Iterator[tuple[str, Any]]:
    """The rules of a file, each with where it stands."""
    import orjson
    import yaml

    if path.suffix == ".jsonl":
        for number, line in enumerate(data.splitlines(), 1):
            if line.strip():
                try:
                    yield f"{path}:{number}", orjson.loads(line)
                except orjson.JSONDecodeError as error:
                    raise InputError(f"{path}:{number}: not JSON: {error}") from None
        return
    try:
        rules = yaml.safe_load(data)
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise InputError(f"{path}: not readable as YAML: {error}") from None
    if not isinstance(rules, list):
        raise InputError(f"{path}: a script is a list of rules, `- {{when: …, say: …}}`")
    yield from ((f"{path}: rule {number}", rule) for number, rule in enumerate(rules, 1))


def _rule(row: Any, where: str) -> tuple[re.Pattern[str], Answer]:
    if not isinstance(row, dict) or "say" not in row:
        raise InputError(f"{where}: a rule is {{when: regular expression, say: answer}}, not {row!r}")
    for name in row:
        if name not in ("when", "say", "outcome"):
            raise UnknownName(f"field of a rule ({where})", str(name), ("when", "say", "outcome"))
    outcome = row.get("outcome", "answered")
    if outcome not in OUTCOMES:
        raise UnknownName(f"outcome ({where})", str(outcome), OUTCOMES)
    say = row["say"] if isinstance(row["say"], str) else canonical(row["say"]).decode()
    return _pattern(row.get("when", ""), where), say if outcome == "answered" else Reply(text=say, outcome=outcome)


def _pattern(when: Any, where: str) -> re.Pattern[str]:
    try:
        return re.compile(when, re.IGNORECASE)
    except (re.error, TypeError) as error:
        raise InputError(f"{where}: {when!r} is no regular expression ({error})") from None
