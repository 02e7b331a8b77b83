"""Notation in, notation out; and what is said of a name that means nothing."""

from __future__ import annotations

import pytest

from qrelkit.core.errors import InputError, UnknownName
from qrelkit.measures.parse import MEASURES, Measure, catalogue, parse_measure, parse_measures


@pytest.mark.parametrize(
    "text",
    [
        *("nDCG@10", "nDCG", "P(rel=2)@5", "AP(rel=2)", "AP@1000", "RR@10", "R@100", "Judged@10", "Success@5", "RBP(p=0.8)"),
        *(
            "ERR@20",
            "ERR(max=4)@20",
            "bpref",
            "Rprec",
            "nDCG(dcg=exp)@10",
            "nDCG(gain=expected)@10",
            "IPrec@0.1",
            "SetF",
            "NumRet",
        ),
    ],
)
def test_our_notation_comes_back_as_it_was(text: str) -> None:
    assert str(parse_measure(text)) == text


@pytest.mark.parametrize(
    ("theirs", "ours"),
    [
        *(("ndcg", "nDCG"), ("ndcg_cut_10", "nDCG@10"), ("ndcg_cut.10", "nDCG@10"), ("map", "AP"), ("map_cut_10", "AP@10")),
        *(("recip_rank", "RR"), ("P_5", "P@5"), ("recall_100", "R@100"), ("success_1", "Success@1"), ("Rprec", "Rprec")),
        *(("bpref", "bpref"), ("set_P", "SetP"), ("set_recall", "SetR"), ("set_map", "SetAP"), ("num_rel_ret", "NumRelRet")),
        *(("iprec_at_recall_0.10", "IPrec@0.1"), ("rbp", "RBP(p=0.9,gain=graded)"), ("rbp.p=0.5", "RBP(p=0.5,gain=graded)")),
        *(("MAP", "AP"), ("mrr@10", "RR@10"), (" nDCG(dcg='exp-log2')@20 ", "nDCG(dcg=exp)@20"), ("precision@5", "P@5")),
        *(("ndcg@10", "nDCG@10"), ("Bpref(rel=2)", "bpref(rel=2)"), ("RBP(rel=2, p=0.95)", "RBP(p=0.95,rel=2)")),
    ],
)
def test_the_names_of_trec_eval_and_ir_measures_are_read(theirs: str, ours: str) -> None:
    assert str(parse_measure(theirs)) == ours


def test_near_names_are_offered_for_an_unknown_one() -> None:
    with pytest.raises(UnknownName, match=r"unknown measure 'nDCGG@10'; did you mean 'nDCG@10'"):
        parse_measure("nDCGG@10")
    with pytest.raises(UnknownName, match="unknown parameter of P 'real'; did you mean 'rel'"):
        parse_measure("P(real=2)@5")
    with pytest.raises(UnknownName, match="'exponential'"):
        parse_measure("nDCG(dcg=exponential)@5")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("P", "needs a cut-off, for instance P@10"),
        ("P@0", "a whole number from 1"),
        ("P@1.5", "a whole number from 1"),
        ("bpref@10", "bpref has no cut-off"),
        ("IPrec@2", "between 0 and 1"),
        ("IPrec", "for instance IPrec@0.1"),
        ("AP(rel=0)", "rel is a whole number from 1"),
        ("AP(rel)", "'rel' is no parameter"),
        ("RBP(p=1)", "p is between 0 and 1"),
        ("nDCG(dcg=exp,gain=expected)", "leave out one"),
        ("", "unknown measure ''"),
        ("P@5@5", "unknown measure"),
    ],
)
def test_what_cannot_be_meant_is_refused_with_the_way_out(text: str, said: str) -> None:
    with pytest.raises(InputError, match=said):
        parse_measure(text)


def test_lists_are_taken_apart_and_each_measure_is_kept_once() -> None:
    names = [str(measure) for measure in parse_measures(["P.5,10", "ndcg_cut_10", "nDCG@10", Measure("AP")])]
    assert names == ["P@5", "P@10", "nDCG@10", "AP"]
    with pytest.raises(InputError, match="no measure was named"):
        parse_measures([])


def test_every_measure_says_what_it_is() -> None:
    rows = catalogue()
    assert len(rows) == len(MEASURES)
    assert all(row["what"].startswith(str(row["measure"]).split("@")[0].rstrip("[")) for row in rows)
