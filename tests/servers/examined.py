"""A simulated model behind an OpenAI-compatible server: it looks at the pictures it gets and follows the prompts it gets.

with Examined() as server: …                          # honest
with Examined(see=cut_front(4000)) as server: …       # a fault between the wire and the model, between model and wire (say),
                                                      # or in what is reported (tell)
"""

from __future__ import annotations

import base64
import copy
import hashlib
import io
import math
import random
import re
from collections.abc import Callable
from typing import Any

from servers.chat import BadRequest, ChatServer

COLOURS = {
    "red": (220, 30, 30), "green": (18, 154, 40), "blue": (30, 40, 220), "yellow": (245, 220, 10), "purple": (130, 20, 140),
    "white": (255, 255, 255), "black": (0, 0, 0),
}  # fmt: skip
NUMBERS = "one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen sixteen seventeen eighteen"
Body = dict[str, Any]


class Examined(ChatServer):
    """`see` changes what reaches the model, `say` what it answers, `tell` the finished completion. `images` is how many it takes
    in a request, `context` how many tokens; more is refused, as it should be. `ratio` are its tokens per four characters,
    `schema` whether it keeps to one, `before` what it always says first, `wrapped` whether answers come in a fence."""

    def __init__(
        self,
        *,
        see: Callable[[Body], Body] = lambda body: body,
        say: Callable[[str, Body], str] = lambda text, body: text,
        tell: Callable[[Body, Body], Body] = lambda completion, body: completion,
        refuse: tuple[str, ...] = (),
        images: int = 10,
        context: int = 100_000,
        ratio: float = 1.0,
        schema: bool = True,
        before: str = "",
        wrapped: bool = False,
        served: str = "",
    ) -> None:
        super().__init__(refuse=refuse)
        self.see, self.say, self.tell = see, say, tell
        self.images, self.context, self.ratio, self.schema = images, context, ratio, schema
        self.before, self.wrapped, self.served = before, wrapped, served
        self.chance = random.Random(7)

    def _completion(self, body: Body) -> Body:
        if len(pictures(body)) > self.images:
            raise BadRequest(
                f"At most {self.images} image(s) may be provided in one prompt." if self.images else "no image input here"
            )
        if self.tokens(body) > self.context:
            raise BadRequest(f"This model's maximum context length is {self.context} tokens.", code="context_length_exceeded")
        seen = self.see(copy.deepcopy(body))
        text = self.say(self._answer(seen), seen)
        limit = seen.get("max_tokens") or seen.get("max_completion_tokens") or 10**6
        short = cut_to(text, limit, self.ratio)
        completion = super()._completion(body)  # for its form; what counts is put in below
        choice = completion["choices"][0]
        choice["message"]["content"], choice["finish_reason"] = short, "stop" if short == text else "length"
        choice["logprobs"] = logprobs(short) if body.get("logprobs") else None
        completion["model"] = self.served or body["model"]
        completion["usage"] = {"prompt_tokens": self.tokens(seen), "completion_tokens": count(short, self.ratio)}
        return self.tell(completion, body)

    def tokens(self, body: Body) -> int:
        """What it counts a request as: four characters a token times `ratio`, a picture 85."""
        texts = "".join(text_of(message) for message in body["messages"])
        return count(texts, self.ratio) + 4 * len(body["messages"]) + 85 * len(pictures(body))

    def _answer(self, body: Body) -> str:
        system = " ".join(text_of(m) for m in body["messages"] if m["role"] == "system")
        user = " ".join(text_of(m) for m in body["messages"] if m["role"] == "user")
        answer = self._follow(user, body)
        if told := re.search(r"the last line of your answer is the single word (\w+)", system):
            answer = f"{answer}\n{told[1]}"
        return self.before + (f"```json\n{answer}\n```" if self.wrapped else answer)

    def _follow(self, user: str, body: Body) -> str:
        if "Which animal barks?" in user:
            held = self.schema and "response_format" in body
            word = re.search(r"holds the word (\w+),", user)
            verdict = body["response_format"]["json_schema"]["schema"]["properties"]["verdict"]["enum"][0] if held else "dog"
            return f'{{"reasoning": "{word[1] if word else ""}", "verdict": "{verdict}"}}'
        if found := re.search(r"<<<\n(.*)\n>>>", user):
            hot = body.get("temperature", 1.0) > 0
            digits = self.chance.random() if hot else int(hashlib.sha256(user.encode()).hexdigest(), 16) / 2**256
            return f"{found[1]}\n{int(digits * 10**12):012d}"
        if found := re.search(r"the word (\w+), a colon, then the colours", user):
            return f"{found[1]}: {', '.join(map(colour, pictures(body))) or 'none'}"
        if "all marks that you find" in user:
            return " ".join(word for _, word in sorted(re.findall(r"Mark ([1-5]) is called (\w+)", user)))
        if "Count from one to one hundred" in user:
            return " ".join([NUMBERS, *(f"number {n}" for n in range(19, 100)), "one hundred"])
        return "What may I do for you?"


# reading a request


def text_of(message: Body) -> str:
    content = message["content"]
    return content if isinstance(content, str) else "\n\n".join(part.get("text", "") for part in content)


def pictures(body: Body) -> list[str]:
    """The data URLs of a request, in order."""
    parts = [part for m in body["messages"] if isinstance(m["content"], list) for part in m["content"]]
    return [part["image_url"]["url"] for part in parts if part["type"] == "image_url"]


def colour(url: str) -> str:
    """The name of a picture's mean colour."""
    from PIL import Image

    with Image.open(io.BytesIO(base64.b64decode(url.partition(",")[2]))) as image:
        mean = image.convert("RGB").resize((1, 1)).getpixel((0, 0))
    assert isinstance(mean, tuple)
    return min(COLOURS, key=lambda name: math.dist(COLOURS[name], mean))


def count(text: str, ratio: float) -> int:
    return max(1, math.ceil(len(text) / 4 * ratio)) if text else 0


def cut_to(text: str, tokens: int, ratio: float) -> str:
    return text[: int(tokens * 4 / ratio)]


def logprobs(text: str) -> Body:
    """Two alternatives per word: itself with probability .9, a dash with .1."""
    both = [("", math.log(0.9)), ("-", math.log(0.1))]
    return {"content": [_token(word, [(other or word, logp) for other, logp in both]) for word in re.findall(r"\S+\s*", text)]}


def _token(word: str, near: list[tuple[str, float]]) -> Body:
    return {"token": word, "logprob": near[0][1], "top_logprobs": [{"token": token, "logprob": logp} for token, logp in near]}


# what can go wrong on the way to the model


def texts_changed(change: Callable[[str], str]) -> Callable[[Body], Body]:
    """Every user text is changed."""

    def see(body: Body) -> Body:
        for message in body["messages"]:
            if message["role"] == "user" and isinstance(message["content"], str):
                message["content"] = change(message["content"])
        return body

    return see


def pictures_changed(change: Callable[[list[Body]], list[Body]]) -> Callable[[Body], Body]:
    """The picture parts of a message are changed, and stand where the first of them stood."""

    def see(body: Body) -> Body:
        for message in body["messages"]:
            if isinstance(message["content"], list):
                kept = [part for part in message["content"] if part["type"] == "image_url"]
                first, *rest = (part for part in message["content"] if part["type"] == "text")
                message["content"] = [first, *change(kept), *rest]
        return body

    return see


def blank() -> str:
    from PIL import Image

    out = io.BytesIO()
    Image.new("RGB", (8, 8), "white").save(out, "PNG")
    return f"data:image/png;base64,{base64.b64encode(out.getvalue()).decode()}"


def without_system(body: Body) -> Body:
    body["messages"] = [m for m in body["messages"] if m["role"] != "system"]
    return body


def remembering(key: Callable[[Body], Any]) -> Callable[[str, Body], str]:
    """A cache: what has the key of an earlier request gets its answer."""
    kept: dict[Any, str] = {}

    def say(text: str, body: Body) -> str:
        return kept.setdefault(key(body), text)

    return say
