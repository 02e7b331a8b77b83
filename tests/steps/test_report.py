"""report: real parts of a small collection brought together, with counts worked out by hand."""

from __future__ import annotations

import base64
import io
import json
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from PIL import Image

from qrelkit.core.collection import Collection
from qrelkit.core.errors import InputError, UnknownName
from qrelkit.core.pool import Pool
from qrelkit.core.qrels import Qrels
from qrelkit.core.run import Run
from qrelkit.reports.html import html
from qrelkit.reports.text import text
from qrelkit.sources.folder import folder
from qrelkit.steps.agree import agree
from qrelkit.steps.compare import compare
from qrelkit.steps.decision import decide
from qrelkit.steps.evaluate import evaluate
from qrelkit.steps.expand import expand
from qrelkit.steps.report import Evidence, holes, report
from qrelkit.steps.tally import Tally

NOW = datetime(2026, 3, 14, 9, 26, 53, tzinfo=UTC)
HOSTILE = "<script>alert('x')</script>"


def run(tag: str, answers: dict[str, Sequence[str]]) -> Run:
    rows = [(q, d, rank) for q, docs in answers.items() for rank, d in enumerate(docs, 1)]
    return Run.of(pl.DataFrame(rows, schema=["query_id", "doc_id", "rank"], orient="row"), tag)


def qrels(name: str, grades: dict[str, dict[str, int | None]]) -> Qrels:
    rows = [(q, d, g, "graded" if g is not None else "refused") for q, docs in grades.items() for d, g in docs.items()]
    schema = {"query_id": pl.String, "doc_id": pl.String, "grade": pl.Int32, "outcome": pl.String}
    return Qrels.of(pl.DataFrame(rows, schema=schema, orient="row"), name)


GOOD = run("good", {"q1": ["d1", "d2", "d3"], "q2": ["d1", "d3"], "q3": ["d4"]})
POOR = run("poor", {"q1": ["d4", "d3", "d1"], "q2": ["d1", "d4"], "q3": ["d4"]})
HUMAN = qrels("human", {"q1": {"d1": 2, "d2": 1, "d4": 0}, "q2": {"d1": 1, "d4": 0}, "q3": {"d4": 1}})
MODEL = qrels("model", {"q1": {"d1": 2, "d2": 2, "d3": None, "d4": 0}, "q2": {"d1": 1, "d3": 0, "d4": 1}, "q3": {"d4": 1}})


@pytest.fixture
def collection(tmp_path: Path) -> Collection:
    """Four documents; d1 and d2 share a picture, d4 has one that will be gone."""
    home = tmp_path / "shop"
    home.mkdir()
    Image.new("RGB", (400, 300), (200, 30, 40)).save(home / "red.png")
    Image.new("RGB", (40, 30), (20, 30, 240)).save(home / "blue.png")
    documents: list[dict[str, Any]] = [
        {"id": "d1", "title": "Red shirt", "text": "word " * 100, "image": "red.png"},
        {"id": "d2", "title": HOSTILE, "text": "a & b", "image": "red.png"},
        {"id": "d3", "title": "", "text": "plain"},
        {"id": "d4", "title": "Blue", "text": "blue", "image": "blue.png"},
    ]
    queries = [{"id": f"q{i}", "text": f"query {i}", "language": "de" if i == 2 else "en"} for i in (1, 2, 3)]
    for name, rows in (("corpus", documents), ("queries", queries)):
        (home / f"{name}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return folder(home).collection()


@pytest.fixture
def evidence(collection: Collection) -> Evidence:
    runs = [GOOD, POOR]
    views = {"human": HUMAN, "model": MODEL}
    schema = ["query_id", "doc_id", "outcome", "reason"]
    rows = [("q1", "d1", "graded", "older"), ("q1", "d1", "graded", "it is red"), ("q1", "d3", "refused", "")]
    return Evidence(
        collection=collection,
        runs=runs,
        pool=Pool.of(runs, 3),
        scores=evaluate(["AP", "P@2"], runs, views, by=collection.queries.select("query_id", "language"), resamples=50),
        qrels=views,
        agreements=[agree(MODEL, [HUMAN], resamples=50)],
        comparisons=[compare("AP", runs, [HUMAN], resamples=50), compare("AP", runs, [HUMAN, MODEL], resamples=50)],
        expansion=expand(HUMAN, MODEL),
        judgments=pl.DataFrame(rows, schema=schema, orient="row"),
        tallies={"judge": Tally(asked=8, tokens_in=100, unpriced=8, seconds=2.0)},
    )


def test_the_whole_report_comes_together(evidence: Evidence) -> None:
    made = report(evidence, now=NOW, title="Which shop?", provenance={"command": "qrelkit report"})
    said = made.json()
    assert said["created"] == "2026-03-14T09:26:53+00:00"
    assert list(said["scores"]) == ["human", "model"]
    assert list(said["by"]["language"]) == ["de", "en"]
    assert said["collection"]["documents"] == 4
    assert said["runs"][0] == {"tag": "good", "queries": 3, "documents": 6}
    assert said["pool"] == {"pairs": 8, "queries": 3, "depth": 3, "runs": 2}  # q1: 4, q2: 3, q3: 1
    assert [p["measure"] for p in said["pairs"]] == ["AP"]
    assert said["correlation"]["qrels"] == ["human", "model"]
    assert said["agreement"][0]["assessor"] == "model"
    assert said["expansion"]["ungraded"] == 1
    assert said["headline"][0].startswith("good (")
    assert said["provenance"] == {"command": "qrelkit report"}
    for page in (html(made), text(made)):
        assert "Which shop?" in page
    assert "<script>" not in html(made)


def test_holes_are_counted_by_who_graded_first() -> None:
    # good: q1 d1 d2 by people, d3 refused; q2 d1 by people, d3 by the model; q3 d4 by people
    # other: d9 was never judged
    other = run("other", {"q1": ["d1", "d9"]})
    found = holes([GOOD, other], {"human": HUMAN, "model": MODEL}, 3)
    assert found["good"] == {"depth": 3, "retrieved": 6, "graded": {"human": 4, "model": 1}, "ungraded": 1, "holes": 0}
    assert found["other"] == {"depth": 3, "retrieved": 2, "graded": {"human": 1, "model": 0}, "ungraded": 0, "holes": 1}


def test_queries_where_systems_differ_come_with_what_each_put_first(evidence: Evidence) -> None:
    # AP by people. q1: good 1 and 2 relevant → 1; poor has only d1, at rank 3 → (1/3)/2. q2, q3: the same for both
    (query,) = report(evidence, now=NOW, documents=2).json()["differences"]
    assert query["query_id"] == "q1"
    assert query["query"] == "query 1"
    assert query["columns"] == {"language": "en"}
    assert query["scores"] == {"good": 1.0, "poor": pytest.approx(1 / 6)}
    assert list(query["documents"]) == ["good", "poor"]  # best first
    first, second = query["documents"]["good"]
    assert (first["doc_id"], first["rank"], first["title"], first["grades"]) == ("d1", 1, "Red shirt", {"human": 2, "model": 2})
    assert first["reason"] == "it is red"  # the newest row
    assert first["text"].endswith("word …")
    assert len(first["text"]) <= 302
    assert (second["title"], second["text"]) == (HOSTILE, "a & b")
    third = query["documents"]["poor"][1]
    assert (third["doc_id"], third["grades"], third["outcome"], third["image"]) == ("d3", {"model": None}, "refused", None)


def test_thumbnails_are_small_pictures_and_bounded(evidence: Evidence) -> None:
    def pictures(limit: int) -> list[str]:
        (query,) = report(evidence, now=NOW, thumbnails=limit).json()["differences"]
        return [card["image"] for cards in query["documents"].values() for card in cards if card["image"]]

    shown = pictures(100)
    assert len(shown) == 4  # good: d1, d2; poor: d4, d1
    with Image.open(io.BytesIO(base64.b64decode(shown[0].partition(",")[2]))) as small:
        assert (small.format, small.size) == ("JPEG", (160, 120))
    assert len(pictures(0)) == 0


def test_a_picture_that_is_gone_is_counted_and_not_fatal(evidence: Evidence, tmp_path: Path) -> None:
    (tmp_path / "shop" / "blue.png").unlink()
    said = report(evidence, now=NOW).json()
    assert said["differences"][0]["documents"]["poor"][0]["image"] is None
    assert "1 picture could not be shown, the first that of document d4" in said["warnings"]


def test_an_unknown_price_is_null(evidence: Evidence) -> None:
    (stage,) = report(evidence, now=NOW).json()["cost"]
    assert stage["cost_usd"] is None
    assert (stage["stage"], stage["unpriced"]) == ("judge", 8)


def test_another_measure_can_lead(evidence: Evidence) -> None:
    said = report(evidence, now=NOW, measure="P@2").json()
    assert said["measures"] == ["P@2", "AP"]
    assert "P@2" in said["headline"][0]
    with pytest.raises(UnknownName, match="did you mean 'P@2'"):
        report(evidence, now=NOW, measure="P@20")


def test_scores_may_come_as_one_table_per_view(evidence: Evidence) -> None:
    tables = {"people": evaluate(["AP"], [GOOD], HUMAN, resamples=0), "model": evaluate(["AP"], [GOOD], MODEL, resamples=0)}
    said = report(replace(evidence, scores=tables), now=NOW).json()
    assert list(said["scores"]) == ["people", "model"]


def test_files_alone_make_a_report_without_a_collection() -> None:
    runs = [GOOD, POOR]
    made = report(Evidence(runs=runs, scores=evaluate(["AP"], runs, HUMAN, resamples=10), qrels={"human": HUMAN}), now=NOW)
    card = made.json()["differences"][0]["documents"]["good"][0]
    assert (card["doc_id"], card["title"], card["grades"]) == ("d1", "", {"human": 2})
    assert "collection" not in made.json()
    assert "d1" in html(made)


def test_documents_that_the_collection_does_not_have_show_their_id(evidence: Evidence) -> None:
    strange = run("strange", {"q1": ["nowhere"], "q2": ["d1"], "q3": ["d4"]})
    runs = [GOOD, strange]
    scores = evaluate(["AP"], runs, HUMAN, resamples=0)
    (query,) = report(replace(evidence, runs=runs, scores=scores), now=NOW).json()["differences"]
    assert query["documents"]["strange"][0]["doc_id"] == "nowhere"


def test_of_many_systems_the_two_best_and_the_two_worst_are_shown() -> None:
    # five runs put the only relevant document of the query at rank 1 to 5: AP 1, 1/2, 1/3, 1/4, 1/5
    answers = [[*(f"x{n}" for n in range(i)), "d1"] for i in range(5)]
    runs = [run(f"s{i}", {"q1": docs}) for i, docs in enumerate(answers)]
    scores = evaluate(["AP"], runs, qrels("human", {"q1": {"d1": 1}}), resamples=0)
    (query,) = report(Evidence(runs=runs, scores=scores), now=NOW).json()["differences"]
    assert query["scores"] == pytest.approx({"s0": 1, "s1": 1 / 2, "s3": 1 / 4, "s4": 1 / 5})


def test_nothing_known_is_an_empty_report() -> None:
    assert list(report(Evidence(), now=NOW).json()) == ["title", "created", "version"]


def test_negative_numbers_are_refused() -> None:
    with pytest.raises(InputError, match="queries must not be negative, but is -1"):
        report(Evidence(), now=NOW, queries=-1)


def test_a_drive_that_ended_early_is_a_warning(evidence: Evidence) -> None:
    tallies = {"judge": Tally(stopped="budget", errors={"HTTP 500": 2})}
    warnings = report(replace(evidence, tallies=tallies), now=NOW).json()["warnings"]
    assert "judge stopped early (budget); what is missing is not counted as 0" in warnings
    assert "judge: 2 × HTTP 500" in warnings


def test_what_scores_and_comparisons_both_warn_of_is_said_once(evidence: Evidence) -> None:
    # no run answers q9, which people graded; they found nothing relevant for q3: three warnings, one per run and one of q3
    human = qrels("human", {"q1": {"d1": 2, "d2": 1, "d4": 0}, "q2": {"d1": 1}, "q3": {"d4": 0}, "q9": {"d1": 1}})
    runs, dials = [GOOD, POOR], {"resamples": 50}
    one = evaluate(["AP"], runs, human, **dials)
    several = evaluate(["AP"], runs, {"human": human, "model": MODEL}, **dials)
    alone, both = compare("AP", runs, [human], **dials), compare("AP", runs, [human, MODEL], **dials)  # type: ignore[arg-type]
    assert len(one.warnings) == 3
    assert set(one.warnings) <= set(alone.warnings)

    def told(scores: Any, *comparisons: Any) -> list[str]:
        warnings: list[str] = report(Evidence(runs=runs, scores=scores, comparisons=comparisons), now=NOW).json()["warnings"]
        return warnings

    assert told(one, alone) == told({"people": one}, alone) == list(one.warnings)
    named = [f"human: {warning}" for warning in one.warnings]
    for said in (told(several, alone, both), told(one, alone, both), told(one, both)):
        assert said[:3] == named
        assert said[3:] == [w for w in both.warnings if w not in named]  # that q9 is no query of both


def test_every_number_of_scores_groups_and_comparisons_has_its_interval(evidence: Evidence) -> None:
    said = report(evidence, now=NOW).json()
    stats = [s for view in said["scores"].values() for tag in view.values() for s in tag.values()]
    english = said["by"]["language"]["en"]
    stats += [s for tag in english.values() for s in tag.values()] + said["pairs"]
    assert len(stats) == 2 * 2 * 2 + 2 * 2 + 1
    assert all(s["low"] is not None and s["high"] is not None for s in stats)
    # one query has none, and says so
    assert {s["reason"] for tag in said["by"]["language"]["de"].values() for s in tag.values()} == {"one query has no interval"}


def test_conclusions_of_the_comparison_stand_in_the_report(evidence: Evidence) -> None:
    said = report(evidence, now=NOW).json()
    (pair,) = said["pairs"]
    assert pair["queries"] == 3  # p ≥ 2 / 2³
    assert said["conclusions"]["may"] == []
    assert said["conclusions"]["may_not"][0].startswith("which of good and poor is better, nor that they are equal (+")
    assert "3 queries are too few for the test to tell (p cannot fall below 0.250)" in said["headline"][1]


def test_a_decision_leads_the_report(evidence: Evidence) -> None:
    # d1 to d4 are relevant, of which the model misses one in three; people graded one pair in two, drawn evenly
    grades = {f"q{i}": {f"d{j}": int(j <= 4) for j in range(1, 9)} for i in range(12)}
    model = qrels(
        "model", {q: {d: g if (i + int(d[1])) % 3 else 0 for d, g in docs.items()} for i, (q, docs) in enumerate(grades.items())}
    )
    drawn = qrels("human", grades).frame.sample(48, seed=1).with_columns(probability=0.5, round=pl.lit(1, pl.Int32))
    runs = [
        run(tag, {q: [f"d{j}" for j in order] for q in grades}) for tag, order in (("up", range(1, 9)), ("down", range(8, 0, -1)))
    ]
    found = decide("P@4", runs, model, Qrels(drawn, "human"), sequential=True)
    views = {"model": model}
    scores = evaluate(["P@4"], runs, views, resamples=50)
    given = Evidence(runs=runs, scores=scores, qrels=views, comparisons=[compare("P@4", runs, [model])], decision=found)
    said = report(given, now=NOW).json()
    assert said["decision"]["heading"] == found.corrected.heading
    assert said["decision"]["labels"] == 48
    assert said["decision"]["conclusions"] == found.conclusions.json()
    assert set(said["decision"]["systems"]) == {"up", "down"}
    assert not {"a", "b", "corrected"} & set(said["decision"])  # of the first two systems, as in `comparisons`
    assert "ranks first in P@4, by model’s grades corrected with people’s of 48 of 96 pairs." in said["headline"][0]
    page = html(report(given, now=NOW))
    assert page.index('id="decision"') < page.index('id="scores"') < page.index('id="pairs"')
    assert report(replace(given, decision=None, uncorrected="why"), now=NOW).json()["decision"] == {"reason": "why"}
