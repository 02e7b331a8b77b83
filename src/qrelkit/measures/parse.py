"""Measures by name: `nDCG@10`, `P(rel=2)@5`, `RBP(p=0.8)`. The notation is ir_measures'; trec_eval's names are read too.

To add a measure: its function in rank.py, and its line in `MEASURES` here.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from qrelkit.core.errors import InputError, UnknownName
from qrelkit.measures import rank
from qrelkit.measures.rank import Floats, Judged, Ranked

Value = int | float | tuple[str, ...]


@dataclass(frozen=True)
class Kind:
    """What a measure's notation may say: its cut-off, and its parameters with their defaults (words: the first is it)."""

    function: Callable[..., Floats]
    cut: Literal["needed", "possible", "none", "share"]
    params: Mapping[str, Value]
    total: bool = False  # summed over queries, not averaged


REL = {"rel": 1}
MEASURES: dict[str, Kind] = {
    "nDCG": Kind(rank.ndcg, "possible", {"dcg": ("linear", "exp"), "gain": ("grade", "expected")}),
    "DCG": Kind(rank.discounted_gain, "possible", {"dcg": ("linear", "exp"), "gain": ("grade", "expected")}),
    "AP": Kind(rank.average_precision, "possible", REL),
    "RR": Kind(rank.reciprocal_rank, "possible", REL),
    "P": Kind(rank.precision, "needed", REL),
    "R": Kind(rank.recall, "needed", REL),
    "Success": Kind(rank.success, "needed", REL),
    "Judged": Kind(rank.judged_share, "possible", {}),
    "bpref": Kind(rank.bpref, "none", REL),
    "Rprec": Kind(rank.r_precision, "none", REL),
    "RBP": Kind(rank.rank_biased_precision, "possible", {"p": 0.8, "gain": ("binary", "graded"), **REL}),
    "ERR": Kind(rank.expected_reciprocal_rank, "possible", {"max": 0}),
    "IPrec": Kind(rank.interpolated_precision, "share", REL),
    "SetP": Kind(rank.set_precision, "none", REL),
    "SetR": Kind(rank.set_recall, "none", REL),
    "SetF": Kind(rank.set_f, "none", REL),
    "SetAP": Kind(rank.set_ap, "none", REL),
    "NumRet": Kind(rank.number_retrieved, "none", {}, total=True),
    "NumRel": Kind(rank.number_relevant, "none", REL, total=True),
    "NumRelRet": Kind(rank.number_relevant_retrieved, "none", REL, total=True),
}

# trec_eval's names, and what else people write; the cut-off follows with `_`, `.` or `@`
ALIASES = {
    "ndcg_cut": "nDCG",
    "map": "AP",
    "map_cut": "AP",
    "recip_rank": "RR",
    "mrr": "RR",
    "precision": "P",
    "recall": "R",
    "hit": "Success",
    "hits": "Success",
    "hit_rate": "Success",
    "iprec_at_recall": "IPrec",
    "set_p": "SetP",
    "set_recall": "SetR",
    "set_f": "SetF",
    "set_map": "SetAP",
    "num_ret": "NumRet",
    "num_rel": "NumRel",
    "num_rel_ret": "NumRelRet",
}
NAMES = {name.lower(): name for name in MEASURES} | ALIASES
WORDS = {"log2": "linear", "exp-log2": "exp"}  # ir_measures' words for `dcg`

NOTATION = re.compile(r"(?P<name>\w+?)(?:\((?P<params>[^()]*)\))?(?:@(?P<cutoff>[\d.]+))?", re.ASCII)
TREC = re.compile(r"(?P<name>ndcg_cut|map_cut|p|recall|success|iprec_at_recall)[_.](?P<cutoff>[\d.]+)", re.IGNORECASE)
TREC_RBP = re.compile(r"rbp(?:[._]p=(?P<p>[\d.]+))?", re.ASCII)


@dataclass(frozen=True)
class Measure:
    """A measure as asked for; `str()` is its notation, with the parameters that were given."""

    name: str
    cutoff: int | float | None = None
    params: tuple[tuple[str, int | float | str], ...] = ()

    def __str__(self) -> str:
        params = ",".join(f"{name}={value}" for name, value in self.params)
        return self.name + (f"({params})" if params else "") + ("" if self.cutoff is None else f"@{self.cutoff:g}")

    @property
    def level(self) -> int:
        """The lowest grade that counts as relevant."""
        return int(dict(self.params).get("rel", 1))

    @property
    def total(self) -> bool:
        """Whether it is summed over queries."""
        return MEASURES[self.name].total

    def of(self, ranked: Ranked) -> Floats:
        """One value per query, in the order of `ranked.judged.query_ids`."""
        return MEASURES[self.name].function(ranked, self.cutoff, **dict(self.params))


def grades_for_means(judged: Judged, measures: Iterable[Measure]) -> list[str]:
    """What must be said where a measure asks for expected grades and the qrels have no probabilities."""
    asking = [str(measure) for measure in measures if ("gain", "expected") in measure.params]
    if judged.expected is not None or not asking:
        return []
    return [f"{judged.name} has no probabilities: its grades stand for themselves in {', '.join(asking)}"]


def parse_measures(names: Iterable[str | Measure]) -> list[Measure]:
    """Every measure once, in order; trec_eval's lists are taken apart (`P.5,10` is P@5 and P@10)."""
    out: dict[Measure, None] = {}
    for text in names:
        if isinstance(text, Measure):
            out[text] = None
            continue
        name, _, cuts = text.partition(".") if "=" not in text else (text, "", "")
        for one in [f"{name}.{cut}" for cut in cuts.split(",")] if "," in cuts else [text]:
            out[parse_measure(one)] = None
    if not out:
        raise InputError("no measure was named; for instance nDCG@10")
    return list(out)


def parse_measure(text: str) -> Measure:
    """The measure that a name means. UnknownName (with near ones) or InputError where it means none."""
    text = text.strip()
    rbp = TREC_RBP.fullmatch(text)
    if rbp:  # trec_eval's defaults are not those of ir_measures
        return checked("RBP", {"p": rbp["p"] or "0.9", "gain": "graded"}, None, text)
    found = TREC.fullmatch(text) or NOTATION.fullmatch(text)
    name = NAMES.get(found["name"].lower()) if found else None
    if found is None or name is None:
        _check_cutoff(text)
        raise UnknownName("measure", text, [*MEASURES, *ALIASES, *suggestions(text)])
    given = {}
    for part in (found.groupdict().get("params") or "").split(","):
        key, equals, value = part.partition("=")
        if part.strip() and not equals:
            raise InputError(f"measure {text!r}: {part.strip()!r} is no parameter; write {name}({' '.join(hints(name))})")
        if equals:
            given[key.strip()] = value.strip().strip("'\"")
    return checked(name, given, found["cutoff"], text)


def _check_cutoff(text: str) -> None:
    """Says what is wrong with the cut-off where that is why a known measure was not understood: `nDCG@1O`."""
    name = NAMES.get(re.split(r"[(@]", text)[0].lower())
    if name and text.count("@") == 1:
        cutoff_of(MEASURES[name], text.partition("@")[2], text, name)


def suggestions(text: str) -> list[str]:
    """Known names with the unknown one's own cut-off, so that `nDCGG@10` finds `nDCG@10`."""
    cutoff = text.partition("@")[2]
    return [f"{name}@{cutoff}" for name in MEASURES] if re.fullmatch(r"[\d.]+", cutoff) else []


def hints(name: str) -> list[str]:
    return [f"{key}={value[0] if isinstance(value, tuple) else value}" for key, value in MEASURES[name].params.items()]


def checked(name: str, given: Mapping[str, str], cutoff: str | None, text: str) -> Measure:
    """The measure with its parameters in order, each of the right type and in its range."""
    kind = MEASURES[name]
    for key in given:
        if key not in kind.params:
            raise UnknownName(f"parameter of {name}", key, kind.params)
    params = tuple((key, value_of(key, given[key], kind.params[key], text)) for key in kind.params if key in given)
    if dict(params).get("gain") == "expected" and dict(params).get("dcg") == "exp":
        raise InputError(f"measure {text!r}: an expected grade has a linear gain; leave out one of the two")
    return Measure(name, cutoff_of(kind, cutoff, text, name), params)


def value_of(key: str, given: str, default: Value, text: str) -> int | float | str:
    if isinstance(default, tuple):
        word = WORDS.get(given, given)
        if word not in default:
            raise UnknownName(f"value of {key} in {text!r}:", given, default)
        return word
    try:
        value = type(default)(given)
    except ValueError:
        value = type(default)(-1)
    share = isinstance(default, float)
    if not (0 < value < 1 if share else value >= 1):
        raise InputError(f"measure {text!r}: {key} is {'between 0 and 1' if share else 'a whole number from 1'}")
    return value


def cutoff_of(kind: Kind, cutoff: str | None, text: str, name: str) -> int | float | None:
    if cutoff is None:
        if kind.cut in ("needed", "share"):
            raise InputError(f"measure {text!r} needs a cut-off, for instance {name}@{'0.1' if kind.cut == 'share' else '10'}")
        return None
    if kind.cut == "none":
        raise InputError(f"measure {text!r}: {name} has no cut-off; write {name}")
    if kind.cut == "share":
        if re.fullmatch(r"0?\.\d+|[01](\.0*)?", cutoff):
            return float(cutoff)
        raise InputError(f"measure {text!r}: the cut-off of {name} is a recall between 0 and 1, not {cutoff!r}")
    if re.fullmatch(r"0*[1-9]\d*", cutoff):
        return int(cutoff)
    raise InputError(f"measure {text!r}: the cut-off is a rank, a whole number from 1, not {cutoff!r}")


def catalogue() -> list[dict[str, Any]]:
    """Every measure with its one-line description, for `qrelkit show measures`."""
    rows = []
    for name, kind in MEASURES.items():
        cut = {"needed": "@k", "possible": "[@k]", "none": "", "share": "@0.1"}[kind.cut]
        what = (kind.function.__doc__ or "").partition("\n")[0]
        rows.append({"measure": name + cut, "parameters": ", ".join(hints(name)), "what": what})
    return rows
