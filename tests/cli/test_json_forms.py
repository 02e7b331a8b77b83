"""The JSON that scripts rely on: files in, JSON out, without a project (issue 2, point 12)."""

from __future__ import annotations

import math
from pathlib import Path

import pytest

from cli.calling import call, feed
from verbs.tiny import JUDGED, RUNS, TRUTH, write_run

Capture = pytest.CaptureFixture[str]
STATISTIC = {"value", "low", "high", "n"}


@pytest.fixture
def files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """people.qrels, model.qrels (every pair of the pool), words.trec, sight.trec, lazy.trec, in the current folder."""
    monkeypatch.chdir(tmp_path)
    write_qrels(tmp_path / "people.qrels", JUDGED)
    pairs = sorted({(q, d) for ranked in RUNS.values() for q, docs in ranked.items() for d in docs.split()})
    write_qrels(tmp_path / "model.qrels", [(q, d, TRUTH[q].get(d, 0)) for q, d in pairs])
    for tag, ranked in RUNS.items():
        write_run(tmp_path / f"{tag}.trec", tag, ranked)
    write_run(tmp_path / "lazy.trec", "lazy", {"q1": "p03"})
    return tmp_path


def write_qrels(path: Path, rows: object) -> None:
    path.write_text("".join(f"{q} 0 {d} {g}\n" for q, d, g in rows), encoding="utf-8")  # type: ignore[attr-defined]


# evaluate


def test_evaluate_gives_a_statistic_per_run_and_measure(files: Path, capsys: Capture) -> None:
    found = call(capsys, "evaluate", "nDCG@10", "P@2", "--qrels", "people.qrels", "--runs", "words.trec", "lazy.trec", "--json")
    scores = found.json["scores"]
    assert found.code == 0
    assert list(scores) == ["words", "lazy"]
    assert list(scores["words"]) == ["nDCG@10", "P@2"]
    assert all(set(s) == STATISTIC for measures in scores.values() for s in measures.values())
    # q1: (2 + 1/log2(4)) / (2 + 1/log2(3)); q2: 1/log2(3); q3: 1
    q1 = 2.5 / (2 + 1 / math.log2(3))
    assert scores["words"]["nDCG@10"]["value"] == pytest.approx((q1 + 1 / math.log2(3) + 1) / 3)
    assert scores["words"]["nDCG@10"]["n"] == 3
    # lazy has p03 (grade 1) for q1 and nothing else: 1 / ideal, and two zeros
    assert scores["lazy"]["nDCG@10"]["value"] == pytest.approx(1 / (2 + 1 / math.log2(3)) / 3)
    assert "q2, q3" in found.json["warnings"][0]


def test_evaluate_per_query_is_run_measure_query(files: Path, capsys: Capture) -> None:
    asked = ("evaluate", "P@2", "--qrels", "people.qrels", "--runs", "words.trec", "--per-query", "--json")
    assert call(capsys, *asked).json["per_query"] == {"words": {"P@2": {"q1": 0.5, "q2": 0.5, "q3": 0.5}}}


def test_a_mean_of_nothing_is_null_with_a_reason(files: Path, capsys: Capture) -> None:
    asked = ("evaluate", "P(rel=3)@2", "--qrels", "people.qrels", "--runs", "words.trec", "--leave-out-empty", "--json")
    statistic = call(capsys, *asked).json["scores"]["words"]["P(rel=3)@2"]
    assert statistic == {"value": None, "low": None, "high": None, "n": 0, "reason": "no query to average over"}


def test_one_query_has_a_value_and_no_interval(files: Path, capsys: Capture) -> None:
    write_qrels(files / "one.qrels", [("q1", "p01", 1)])
    found = call(capsys, "evaluate", "P@2", "--qrels", "one.qrels", "--runs", "words.trec", "--json")
    statistic = found.json["scores"]["words"]["P@2"]
    assert (statistic["value"], statistic["low"], statistic["n"]) == (0.5, None, 1)
    assert statistic["reason"]


@pytest.mark.parametrize(
    "argv",
    [
        "nDCG@10 P@2 --qrels people.qrels --runs words.trec sight.trec lazy.trec --json",
        "nDCG@10 P@2 --qrels people.qrels --runs words.trec --runs sight.trec --runs lazy.trec --json",
        "nDCG@10 P@2 --runs words.trec sight.trec lazy.trec --qrels people.qrels --json",
        "--qrels people.qrels --runs words.trec sight.trec lazy.trec nDCG@10 P@2 --json",
        "--json --runs words.trec sight.trec --qrels people.qrels --runs lazy.trec -- nDCG@10 P@2",
    ],
)
def test_runs_one_after_the_other_or_each_with_its_option(files: Path, capsys: Capture, argv: str) -> None:
    found = call(capsys, "evaluate", *argv.split()).json["scores"]
    assert {tag: list(measures) for tag, measures in found.items()} == {
        tag: ["nDCG@10", "P@2"] for tag in ("words", "sight", "lazy")
    }


def test_a_dash_is_standard_input(files: Path, capsys: Capture, monkeypatch: pytest.MonkeyPatch) -> None:
    named = ("evaluate", "nDCG@10", "--qrels", "people.qrels", "--json", "--runs")
    expected = call(capsys, *named, "words.trec").json
    feed(monkeypatch, (files / "words.trec").read_bytes())
    assert call(capsys, *named, "-").json == expected
    feed(monkeypatch, (files / "people.qrels").read_bytes())
    assert call(capsys, "evaluate", "nDCG@10", "--json", "--runs", "words.trec", "--qrels", "-").json == expected


def test_runs_of_one_tag_go_by_their_file_names(files: Path, capsys: Capture) -> None:
    for name in ("monday", "tuesday"):
        write_run(files / f"{name}.trec", "bm25", RUNS["words"])
    asked = ("evaluate", "P@2", "--qrels", "people.qrels", "--json", "--runs", "monday.trec", "tuesday.trec", "sight.trec")
    assert list(call(capsys, *asked).json["scores"]) == ["monday", "tuesday", "sight"]


def test_a_table_without_header_holds_many_runs(files: Path, capsys: Capture) -> None:
    rows = [(t, q, d, r, 9 - r) for t, qs in RUNS.items() for q, docs in qs.items() for r, d in enumerate(docs.split(), 1)]
    (files / "all.tsv").write_text("".join("\t".join(map(str, row)) + "\n" for row in rows), encoding="utf-8")
    asked = ("evaluate", "nDCG@10", "--qrels", "people.qrels", "--json", "--runs")
    assert call(capsys, *asked, "all.tsv").json == call(capsys, *asked, "words.trec", "sight.trec").json


def test_several_qrels_stand_side_by_side(files: Path, capsys: Capture) -> None:
    asked = ("evaluate", "P@2", "--runs", "words.trec", "--json", "--qrels", "people.qrels", "llm=model.qrels")
    found = call(capsys, *asked).json
    assert list(found["qrels"]) == ["people.qrels", "llm"]
    assert found["scores"] == found["qrels"]["people.qrels"]["scores"]
    # the model's grades of the first two: q1 2 2, q2 0 2, q3 2 2
    assert found["qrels"]["llm"]["scores"]["words"]["P@2"]["value"] == pytest.approx(5 / 6)


def test_a_table_is_split_by_a_column_and_weighted(files: Path, capsys: Capture) -> None:
    (files / "queries.csv").write_text("query_id,language,traffic\nq1,en,3\nq2,de,1\nq3,en,1\n", encoding="utf-8")
    asked = ("evaluate", "RR", "--qrels", "people.qrels", "--runs", "words.trec", "--json", "--queries", "queries.csv")
    by = call(capsys, *asked, "--by", "language").json["by"]
    assert by["column"] == "language"
    # the first relevant document stands first for q1 and q3, second for q2
    assert {name: block["words"]["RR"]["value"] for name, block in by["values"].items()} == {"de": 0.5, "en": 1.0}


@pytest.mark.parametrize("name", ["queries.csv", "queries.jsonl"])
def test_weights_are_numbers_whatever_the_table(files: Path, capsys: Capture, name: str) -> None:
    text = {
        "queries.csv": "query_id,traffic\nq1,3\nq2,1\nq3,1\n",
        "queries.jsonl": '{"id": "q1", "traffic": 3}\n{"id": "q2", "traffic": 1}\n{"id": "q3", "traffic": 1}\n',
    }
    (files / name).write_text(text[name], encoding="utf-8")
    asked = ("evaluate", "RR", "--qrels", "people.qrels", "--runs", "words.trec", "--json", "--queries", name)
    found = call(capsys, *asked, "--weight", "traffic").json
    assert found["scores"]["words"]["RR"]["value"] == pytest.approx((3 * 1 + 0.5 + 1) / 5)


# agree


def test_agree_has_every_key_that_scripts_read(files: Path, capsys: Capture) -> None:
    found = call(capsys, "agree", "model.qrels", "people.qrels", "--json").json
    kappas = ["kappa", "kappa_linear", "kappa_quadratic", "alpha_ordinal", "alpha_nominal"]
    statistics = ["exact", *kappas, "mae", "bias", "hard", "either", "majority"]
    assert {"n", "cuts", "confusion", *statistics} <= set(found)
    for name in statistics:
        assert set(found[name]) - {"reason"} == STATISTIC, name
    assert set(found["cuts"]) == {"1", "2"}
    assert all(set(s) - {"reason"} == STATISTIC for s in found["cuts"].values())
    # people: 2 1 0 | 2 0 | 2 0; the model: 2 1 0 | 2 0 | 2 1, so 6 of 7, off by one grade once
    assert found["n"] == 7
    assert found["exact"]["value"] == pytest.approx(6 / 7)
    assert found["mae"]["value"] == found["bias"]["value"] == pytest.approx(1 / 7)
    assert found["hard"]["value"] == 0
    assert found["confusion"] == {"labels": [0, 1, 2], "rows": "human", "counts": [[2, 1, 0], [0, 1, 0], [0, 0, 3]]}
    # chance: (3 · 2 + 1 · 2 + 3 · 3) / 49 = 17/49
    assert found["kappa"]["value"] == pytest.approx((6 / 7 - 17 / 49) / (1 - 17 / 49))


def test_agree_with_several_people(files: Path, capsys: Capture) -> None:
    write_qrels(files / "bob.qrels", [("q1", "p01", 2), ("q1", "p03", 2), ("q3", "p08", 1)])
    found = call(capsys, "agree", "model.qrels", "people.qrels", "bob.qrels", "--json").json
    assert found["either"]["value"] == 1  # where it differs from the one it agrees with the other
    assert found["n"] == 7


def test_agree_says_null_and_why(files: Path, capsys: Capture) -> None:
    for name in ("a.qrels", "b.qrels"):
        write_qrels(files / name, [("q1", "p01", 1), ("q1", "p02", 1), ("q2", "p04", 1)])
    kappa = call(capsys, "agree", "a.qrels", "b.qrels", "--json").json["kappa"]
    assert kappa["value"] is None
    assert kappa["reason"]


def test_agree_clips_when_asked_and_counts(files: Path, capsys: Capture) -> None:
    write_qrels(files / "wide.qrels", [("q1", "p01", 4), ("q1", "p03", 1), ("q2", "p06", -1)])
    refused = call(capsys, "agree", "wide.qrels", "people.qrels", "--json")
    assert refused.code == 1
    assert "--clip" in refused.error
    found = call(capsys, "agree", "wide.qrels", "people.qrels", "--clip", "--json").json
    assert found["clipped"] == 2
    assert found["exact"]["value"] == 1


# expand


def test_expand_counts_and_keeps_origins(files: Path, capsys: Capture) -> None:
    found = call(capsys, "expand", "people.qrels", "--with", "model.qrels", "-o", "out.qrels", "--json")
    assert found.code == 0
    assert {"judged", "relevant", "new", "new_relevant", "ungraded", "per_query"} <= set(found.json)
    # of 15 pairs people judged 7 (4 relevant); new and relevant: p02 for q1, p05 for q2, p09 for q3
    assert [found.json[k] for k in ("judged", "relevant", "new", "new_relevant", "ungraded")] == [7, 4, 8, 3, 0]
    assert {"judged": 2, "new": 3}.items() <= found.json["per_query"]["q2"].items()
    rows = [line.split() for line in (files / "out.qrels").read_text(encoding="utf-8").splitlines()]
    assert len(rows) == 15
    assert ["q3", "0", "p08", "0"] in rows  # people said 0, the model 1: people win
    origins = (files / "out.qrels.origins.tsv").read_text(encoding="utf-8").splitlines()
    assert "q3\tp08\t0\tpeople.qrels\tgraded" in origins
    assert "q3\tp09\t2\tmodel.qrels\tgraded" in origins


def test_expand_fills_only_what_the_runs_retrieved(files: Path, capsys: Capture) -> None:
    asked = ("expand", "people.qrels", "--with", "model.qrels", "--depth", 2, "-o", "out.qrels", "--json", "--runs")
    found = call(capsys, *asked, "words.trec", "sight.trec").json
    # the first two of each: q1 p01 p02 p09, q2 p06 p04 p05, q3 p07 p09 p08; new are p02, p05, p09
    assert found["new"] == 3


# compare


def test_compare_two_qrels(files: Path, capsys: Capture) -> None:
    asked = ("compare", "nDCG@10", "--runs", "words.trec", "sight.trec", "lazy.trec", "--json")
    found = call(capsys, *asked, "--qrels", "people.qrels", "--qrels", "model.qrels").json
    assert set(found["tau"]) - {"reason"} == set(found["tau_ap"]) - {"reason"} == STATISTIC
    assert list(found["top"]) == ["10", "20"]
    # words > sight > lazy under both
    assert found["tau"]["value"] == found["tau_ap"]["value"] == 1
    assert found == call(capsys, *asked, "--qrels", "people.qrels", "model.qrels").json


def test_compare_under_one_qrels(files: Path, capsys: Capture) -> None:
    asked = ("compare", "P@2", "--runs", "words.trec", "sight.trec", "lazy.trec", "--qrels", "people.qrels", "--json")
    pairs = call(capsys, *asked).json["pairs"]
    assert [(p["a"], p["b"]) for p in pairs] == [("words", "sight"), ("words", "lazy"), ("sight", "lazy")]
    assert all(set(p) == {"a", "b", "diff", "low", "high", "p_t", "p_rand", "p_holm"} for p in pairs)
    # P@2 by query: words ½ ½ ½, sight ½ ½ ½, lazy ½ 0 0 (its one document of two)
    assert [p["diff"] for p in pairs] == pytest.approx([0, 1 / 3, 1 / 3])


def test_compare_of_one_query_says_null_and_why(files: Path, capsys: Capture) -> None:
    write_qrels(files / "one.qrels", [("q1", "p01", 1)])
    asked = ("compare", "P@2", "--runs", "words.trec", "sight.trec", "--qrels", "one.qrels", "--json")
    (pair,) = call(capsys, *asked).json["pairs"]
    assert pair["p_t"] is None
    assert pair["reason"]


# retrieve


@pytest.mark.parametrize("layout", ["simple", "beir"])
def test_retrieve_writes_a_run_of_a_folder(files: Path, capsys: Capture, layout: str) -> None:
    folder = files / layout
    folder.mkdir()
    name = {"simple": "id", "beir": "_id"}[layout]
    (folder / "corpus.jsonl").write_text(
        "".join(f'{{"{name}": "d{n}", "title": "", "text": "{text}"}}\n' for n, text in enumerate(("red dress", "red", "boots"))),
        encoding="utf-8",
    )
    if layout == "simple":
        (folder / "topics.tsv").write_text("1\tred dress\n2\tboots\n", encoding="utf-8")
    else:
        queries = '{"_id": "1", "text": "red dress"}\n{"_id": "2", "text": "boots"}\n'
        (folder / "queries.jsonl").write_text(queries, encoding="utf-8")
    found = call(capsys, "retrieve", "bm25", folder, "--depth", 2, "-o", "out.trec", "--json")
    said = {"tag": "bm25", "queries": 2, "documents": 3, "output": "out.trec", "known": False}
    assert {name: found.json[name] for name in said} == said
    assert found.json.keys() == {*said, "retriever", "digest"}
    ranked = [line.split() for line in (files / "out.trec").read_text(encoding="utf-8").splitlines()]
    assert [(row[0], row[2], row[3], row[5]) for row in ranked] == [
        ("1", "d0", "1", "bm25"), ("1", "d1", "2", "bm25"), ("2", "d2", "1", "bm25")
    ]  # fmt: skip


def test_retrieve_to_standard_output_pipes_into_evaluate(files: Path, capsys: Capture, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = files / "shop"
    folder.mkdir()
    (folder / "corpus.jsonl").write_text('{"id": "p01", "text": "red dress"}\n', encoding="utf-8")
    (folder / "topics.tsv").write_text("q1\tred dress\n", encoding="utf-8")
    found = call(capsys, "retrieve", "bm25", folder, "-o", "-")
    assert found.code == 0
    assert found.out.split()[:4] == ["q1", "Q0", "p01", "1"]
    feed(monkeypatch, found.out.encode())
    asked = ("evaluate", "RR", "--qrels", "people.qrels", "--runs", "-", "--json")
    assert call(capsys, *asked).json["scores"]["bm25"]["RR"]["value"] == pytest.approx(1 / 3)
