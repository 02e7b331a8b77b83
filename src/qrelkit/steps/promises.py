"""Does a server do what it says: schema, probabilities, samples, counts, limits, and what it costs?"""

from __future__ import annotations

import math
import re

from qrelkit.core.wire import Reply
from qrelkit.judges.read_reply import json_object
from qrelkit.models.prices import tokens_of_text
from qrelkit.steps.examination import VERDICTS
from qrelkit.steps.heard import Seen, Verdict, lacks, short

LOW, HIGH = 0.45, 2.2  # of the tokens we reckon with; honest tokenizers of all scripts lie between
HIDDEN = 200  # tokens that a template or a gateway may add to every prompt
SUM_AT_MOST = 1.01  # of the probabilities of one token's alternatives
_SCHEMA_REFUSED = re.compile(
    r"refused (?:response_format|output_config|response\w*(?:Schema|MimeType))|not held to the reply's schema"
)
_PROBABILITIES_REFUSED = re.compile(r"refused \w*logprobs", re.IGNORECASE)


def schema(seen: Seen) -> tuple[Verdict, str]:
    if (one := seen.answer("schema")) is None:
        return "unknown", seen.silence("schema")
    data, note = json_object(one.said), seen.refused(_SCHEMA_REFUSED)
    if note:
        return "no", "not taken; the prompt asks for JSON, and replies are read all the same"
    if data is None:
        return "WRONG", f"taken, and the answer is no JSON: {short(one.said)}; ask without: prompt in words only"
    if data.get("verdict") in VERDICTS and set(data) == {"reasoning", "verdict"}:
        return "ok", "kept to, against the prompt"
    return "WRONG", f"taken and ignored: {short(one.said)}; verdicts that no scale has may come, update the server or its grammar"


def probabilities(seen: Seen) -> tuple[Verdict, str]:
    needed = seen.needs.token_probabilities
    if (one := seen.answer("schema")) is None:
        return "unknown", seen.silence("schema")
    given = one.reply.token_probabilities
    if not given:
        refused = seen.refused(_PROBABILITIES_REFUSED)
        taken = "not taken" if refused else "taken, and not given"
        return lacks(needed), f"{taken}; judge.samples makes probabilities by asking again"
    near = [[math.exp(min(logp, 700.0)) for logp in token.values()] for _, token in given]
    if any(not 0 <= p <= SUM_AT_MOST for token in near for p in token) or max(map(sum, near)) > SUM_AT_MOST:
        return "WRONG", f"nonsense: those of one token sum to {max(map(sum, near)):.2f}; leave token_probabilities: false"
    several = [token for token in near if len(token) > 1]
    if not several:
        return lacks(needed), "only of the tokens chosen, not of the alternatives; judge.samples asks again instead"
    if all(max(token) - min(token) < 1e-6 for token in several):
        return "WRONG", "nonsense: all alternatives are equally probable; leave token_probabilities: false"
    return "ok", f"given for {len(near):,} tokens, up to {max(map(len, near))} alternatives each"


def repeats(seen: Seen) -> tuple[Verdict, str]:
    one, two = seen.answer("copy"), seen.answer("again")
    if one is None or two is None:
        return "unknown", seen.silence("again" if one else "copy")
    if one.said == two.said:
        return "ok", "the same request twice gave the same answer at temperature 0"
    return "no", "two answers to the same request at temperature 0; the store keeps the first, judge.samples shows the spread"


def samples(seen: Seen) -> tuple[Verdict, str]:
    one, two = seen.answer("other"), seen.answer("another")
    if one is None or two is None:
        return "unknown", seen.silence("another" if one else "other")
    if one.said != two.said:
        return "ok", "the same request twice gave two answers at temperature 1"
    return lacks(seen.needs.samples), "copies: temperature 1 gave one answer twice, so judge.samples would count it many times"


def counts(seen: Seen) -> tuple[Verdict, str]:
    """Compared on the longest prompt that was read whole."""
    long = seen.answer("context")
    base = long if long is not None and all(map(long.has, long.question.shown)) else seen.answer("copy")
    if base is None:
        return "unknown", seen.silence("copy")
    counted, out = base.reply.tokens_in, base.reply.tokens_out
    if not counted or out is None:
        return "WRONG", "not given: neither can costs be known, nor a prompt be noticed that the server cut"
    reckoned = seen.model.tokens_in(base.question.request)
    told = f"a prompt of about {reckoned:,} tokens was counted as {counted:,}"
    if counted < LOW * reckoned or counted > HIGH * reckoned + HIDDEN:
        much = "far too low" if counted < reckoned else "far too high"
        return "WRONG", f"{much}: {told}; costs and budgets would be wrong: ask whoever runs the server"
    if out < 0.3 * tokens_of_text(base.said) - 2:
        return "WRONG", f"far too low: an answer of about {tokens_of_text(base.said):,} tokens was counted as {out:,}"
    return "ok", told


def length(seen: Seen) -> tuple[Verdict, str]:
    if (one := seen.answer("length")) is None:
        return "unknown", seen.silence("length")
    limit = one.question.request.settings.max_tokens or 0
    if tokens_of_text(one.reply.text) > 6 * limit:
        long = tokens_of_text(one.reply.text)
        return "WRONG", f"ignored: an answer of at most {limit} tokens has about {long:,}; the cost of a reply has no bound"
    if one.reply.outcome == "truncated":
        return "ok", f"kept, and said (finish reason {one.reply.finish or 'length'!r})"
    if not one.said.lower().startswith("one"):
        return "unknown", f"the answer does not tell: {short(one.said)}"
    said = f"the finish reason was {one.reply.finish!r}"
    return "WRONG", f"an answer was cut at {limit} tokens and {said}: answers cut short would look whole; give max_tokens room"


def latency(seen: Seen) -> tuple[Verdict, str]:
    took = sorted(one.reply.latency_s for one in seen.heard.values() if one.came and one.reply.latency_s is not None)
    if not took:
        return "unknown", "no answer came"
    return "ok", f"{took[len(took) // 2]:.2f} s (median of {len(took)}; {took[0]:.2f} to {took[-1]:.2f})"


def limits(seen: Seen) -> tuple[Verdict, str]:
    room = seen.model.room
    if room is None:
        return "no", "the server does not say what it allows; requests_per_minute and tokens_per_minute may be set by hand"
    left = [f"{count:,} {what}" for what, count in (("requests", room.requests), ("tokens", room.tokens)) if count is not None]
    return "ok", f"the server says what is left: {' and '.join(left)}"


def price(seen: Seen) -> tuple[Verdict, str]:
    tokens = seen.needs.context_tokens or 1000
    usd = seen.model.cost_usd(Reply(text="", tokens_in=tokens, tokens_out=100, tokens_image=0))
    if usd is None:
        return lacks(seen.needs.price), "unknown: no cost can be told and no budget kept; add it under `prices:`"
    return "ok", f"${usd:.6f} for a call of {tokens:,} tokens in and 100 out"
