"""triage on the command line: to people, to a dearer judge, a panel, in a project, and what is refused."""

from __future__ import annotations

from pathlib import Path

import pytest

from cli.calling import call
from verbs.tiny import PAIRS, RUNS, TRUTH, write_tiny

Capture = pytest.CaptureFixture[str]
FILES = "nDCG@4 --runs runs/words.trec runs/sight.trec"


@pytest.fixture(autouse=True)
def shop(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A project; truth.qrels grades all pairs, cheap.qrels calls everything 1 but what sight shows first, which is a 0."""
    monkeypatch.chdir(write_tiny(tmp_path))
    pairs = sorted({(q, d) for docs in RUNS.values() for q, listed in docs.items() for d in listed.split()})
    first = {(q, docs.split()[0]) for q, docs in RUNS["sight"].items()}
    truth = [f"{q} 0 {d} {TRUTH[q].get(d, 0)}\n" for q, d in pairs]
    (tmp_path / "truth.qrels").write_text("".join(truth), encoding="utf-8")
    cheap = [f"{q} 0 {d} {int((q, d) not in first)}\n" for q, d in pairs]
    (tmp_path / "cheap.qrels").write_text("".join(cheap), encoding="utf-8")
    (tmp_path / "twice.qrels").write_text("".join(truth + cheap), encoding="utf-8")
    return tmp_path


def test_to_people(capsys: Capture) -> None:
    asked = f"{FILES} --judge cheap.qrels --human truth.qrels --price 0.01 --seconds 36 --hourly 50 --shares 0,0.5"
    found = call(capsys, "triage", *asked.split(), "--json").json
    assert (found["kind"], found["pairs"], found["measure"]) == ("people", PAIRS, "nDCG@4")
    assert [row["share"] for row in found["rows"]] == [0, 0.5, 1]
    # 15 pairs at a cent, and 15 at 36 s · 50 $/h = 50 cents
    assert (found["rows"][-1]["usd"], found["rows"][-1]["hours"]) == pytest.approx((7.65, 0.15))
    assert call(capsys, "triage", *asked.split()).rows[0][:4] == ["name", "way", "share", "sent"]
    assert "tabular" in call(capsys, "triage", *asked.split(), "--format", "latex").out


def test_to_a_dearer_judge_priced_by_the_token(shop: Path, capsys: Capture) -> None:
    (shop / "prices.yaml").write_text("gpt-4o: {input: 2.5, output: 10}\n", encoding="utf-8")
    asked = f"{FILES} --judge cheap.qrels --dear truth.qrels --price 0 --dear-price gpt-4o:900+60 --prices prices.yaml"
    found = call(capsys, "triage", *asked.split(), "--corrected", "--shares", "0,0.5", "--json").json
    assert [row["way"] for row in found["rows"]] == ["replaced", "replaced", "corrected", "replaced", "corrected"]
    assert found["rows"][-1]["usd"] == pytest.approx(PAIRS * 0.00285)
    assert found["rows"][-1]["tau_dear"]["value"] == 1


def test_a_panel_and_votes(capsys: Capture) -> None:
    asked = f"{FILES} --panel cheap.qrels truth.qrels --votes mean --human truth.qrels --json"
    found = call(capsys, "triage", *asked.split()).json
    assert [row["name"] for row in found["rows"]] == ["cheap.qrels", "truth.qrels", "mean of 2"]
    assert found["rows"][2]["over_best"]["kappa"]["value"] < 0
    voted = f"{FILES} --judge twice.qrels --human truth.qrels --duplicates votes --rule uncertainty --shares 0 --json"
    assert call(capsys, "triage", *voted.split()).json["rows"][0]["sent"] == 0


def test_in_a_project(capsys: Capture) -> None:
    assert "nothing is judged yet" in call(capsys, "triage").error
    assert call(capsys, "judge").code == 0
    found = call(capsys, "triage", "--human", "truth.qrels", "--shares", "0", "--json").json
    assert (found["judge"], found["people"], found["pairs"]) == ("lexical", "truth.qrels", PAIRS)


@pytest.mark.parametrize(
    ("argv", "said"),
    [
        ("nDCG@4 --judge cheap.qrels --human truth.qrels", "needs a measure, --runs"),
        (f"{FILES} --human truth.qrels", "--judge FILE"),
        (f"{FILES} --judge cheap.qrels", "name another judge's labels"),
        (f"{FILES} --judge cheap.qrels --human truth.qrels --shares none", "found 'none'"),
        (f"{FILES} --judge cheap.qrels --human truth.qrels --rule desicion", "'decision'"),
        (f"{FILES} --judge cheap.qrels --human truth.qrels --price lots", "MODEL:TOKENS_IN"),
        (f"{FILES} --judge twice.qrels --human truth.qrels", "several different grades"),
        (f"{FILES} --panel cheap.qrels truth.qrels", "--human FILE"),
        (f"{FILES} --panel cheap.qrels truth.qrels --human truth.qrels --price 1", "each of the 2 members"),
        (f"{FILES} --panel cheap.qrels truth.qrels --human truth.qrels --votes most", "'majority'"),
    ],
)
def test_what_is_refused_says_the_way_out(capsys: Capture, argv: str, said: str) -> None:
    found = call(capsys, "triage", *argv.split())
    assert found.code == 1
    assert said in found.error
