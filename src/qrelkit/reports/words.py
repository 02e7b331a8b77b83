"""How numbers and names of a report are written for people: one way, on the page and in the terminal."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

NO_NUMBER = "n/a"
UNKNOWN = "unknown"
MINUS = "−"
SPACE = "\N{NO-BREAK SPACE}"

VIEWS: Mapping[str, str] = {
    "human": "by human grades",
    "constructed": "by the constructed grades",
    "model": "by the model’s grades alone",
    "mixed": "with the holes filled by the model",
}

STATS: Mapping[str, str] = {
    "exact": "Exact agreement",
    "kappa": "Cohen’s kappa",
    "kappa_linear": "Cohen’s kappa, linear weights",
    "kappa_quadratic": "Cohen’s kappa, quadratic weights",
    "alpha_ordinal": "Krippendorff’s alpha, ordinal",
    "alpha_nominal": "Krippendorff’s alpha, nominal",
    "mae": "Mean absolute difference",
    "bias": "Bias (assessor − reference)",
    "soft": "Soft disagreement (1 step)",
    "hard": "Hard disagreement (2 steps or more)",
    "either": "Agrees with any of them",
    "majority": "Agrees with their majority",
}

OUTCOMES: Mapping[str, str] = {
    "refused": "refused by the model",
    "unparsable": "reply could not be read",
    "out_of_range": "grade outside the scale",
    "truncated_input": "prompt cut by the server",
    "failed": "no reply came",
    "not asked": "not asked yet",
}


def number(value: float | None, digits: int = 4, *, sign: bool = False) -> str:
    """`0.5123`, with a true minus sign and no −0; n/a for None."""
    if value is None:
        return NO_NUMBER
    return format(value, f"{'+' if sign else ''}z.{digits}f").replace("-", MINUS)


def count(value: float | None) -> str:
    """`12,345`; n/a for None."""
    return NO_NUMBER if value is None else f"{value:,}".replace("-", MINUS)


def limits(stat: Mapping[str, Any], *, sign: bool = False) -> str:
    """`[0.471, 0.552]`; empty where there is no interval."""
    if stat.get("low") is None or stat.get("high") is None:
        return ""
    return f"[{number(stat['low'], 3, sign=sign)},{SPACE}{number(stat['high'], 3, sign=sign)}]"


def holes(stat: Mapping[str, Any]) -> str:
    """`holes [0.412, 0.630]`; empty where nothing could move the number by as much as is shown."""
    low, high = stat.get("range") or (0.0, 0.0)
    if high - low < 0.0005:
        return ""
    return f"holes{SPACE}[{number(low, 3)},{SPACE}{number(high, 3)}]"


def share(part: float, whole: float) -> str:
    """`62 %`; `<1 %` for a part that would round to nothing."""
    if not whole:
        return NO_NUMBER
    percent = 100 * part / whole
    return f"<1{SPACE}%" if 0 < percent < 0.5 else f"{percent:.0f}{SPACE}%"


def p_value(p: float | None) -> str:
    """`0.034`; `<0.001` below that."""
    return NO_NUMBER if p is None else "<0.001" if p < 0.001 else f"{p:.3f}"


def money(usd: float | None, unpriced: int = 0) -> str:
    """`$0.0123`, `unknown`, or `at least $0.0123` where the price of some replies is unknown."""
    if usd is None or (unpriced and not usd):
        return UNKNOWN
    shown = f"${usd:,.2f}" if usd >= 1 or not usd else "under $0.0001" if usd < 0.0001 else f"${usd:.4f}"
    return f"at least {shown}" if unpriced else shown


def duration(seconds: float | None) -> str:
    """`0.4 s`, `2 min 05 s`, `3 h 12 min`."""
    if seconds is None:
        return NO_NUMBER
    if seconds < 60:
        return f"{seconds:.1f} s"
    whole = round(seconds)
    if whole < 3600:
        return f"{whole // 60} min {whole % 60:02d} s"
    return f"{whole // 3600} h {whole % 3600 // 60:02d} min"


def concluded(told: Mapping[str, Any] | None) -> dict[str, list[str]]:
    """What may be concluded and what may not; where nothing may, that is said too."""
    may, may_not = (list((told or {}).get(key) or ()) for key in ("may", "may_not"))
    return {"may": may, "may_not": may_not if may or not may_not else ["anything about which system is better", *may_not]}


def moment(created: str) -> str:
    """`2026-03-14 09:26 UTC` from an ISO time; the offset stays where it is another, what is no such time stays as it is."""
    day, _, clock = created.partition("T")
    if len(day) != 10 or len(clock) < 5:
        return created
    offset = "".join(clock.partition(sign)[1] + clock.partition(sign)[2] for sign in "+-Z" if sign in clock)
    return f"{day} {clock[:5]} {'UTC' if offset in ('Z', '+00:00') else offset}".rstrip()


def plural(n: int, one: str, many: str = "") -> str:
    """`1 query`, `1,200 queries`."""
    return f"{n:,} {one if n == 1 else many or one + 's'}"


def view(name: str) -> str:
    """How grades are spoken of in a sentence: `by human grades`."""
    return VIEWS.get(name, f"by {name}")


def named(key: str) -> str:
    """A key as words: `missing_images` → `missing images`."""
    return key.replace("_", " ")
