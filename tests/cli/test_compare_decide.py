"""`compare --judge --human`: the form that scripts rely on (issue 4, point 9), the pairs to grade next, and what is refused."""

from __future__ import annotations

import csv
from pathlib import Path

import pytest

from cli.calling import Said, call
from qrelkit.formats.samples import probabilities_path, write_probabilities
from qrelkit.formats.trec import write_qrels, write_run
from steps.few_labels import Study, ladder

Capture = pytest.CaptureFixture[str]
PROMISED = {"a", "b", "judge_only", "human_only", "corrected", "verdict", "labels", "labels_more", "minutes_more"}
TWO = ("compare", "nDCG@5", "--runs", "good.trec", "poor.trec", "--judge", "J.qrels")
HUMAN = ("--human", "H.qrels")


@pytest.fixture
def study(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Study:
    """good.trec, fair.trec, poor.trec, J.qrels (every pair), H.qrels (60, drawn in four rounds) with H.prob.tsv, all.qrels
    (people's grades of every pair) and queries.csv, in the current folder."""
    monkeypatch.chdir(tmp_path)
    study = ladder(3)
    for run in study.runs:
        write_run(run, tmp_path / f"{run.tag}.trec")
    people = study.sampled((15,) * 4, "nDCG@5")
    write_qrels(study.judge, tmp_path / "J.qrels")
    write_qrels(study.people, tmp_path / "all.qrels")
    write_qrels(people, tmp_path / "H.qrels")
    write_probabilities(people.frame, probabilities_path(tmp_path / "H.qrels"))
    rows = [(f"q{i:02d}", f"text {i}", "de" if i < 5 else "en", 1 + i % 3) for i in range(12)]
    with open(tmp_path / "queries.csv", "w", encoding="utf-8", newline="") as file:
        csv.writer(file).writerows([("query_id", "text", "language", "weight"), *rows])
    return study


def compared(capsys: Capture, *more: object) -> Said:
    return call(capsys, *TWO, *HUMAN, *more)


# the promised form


@pytest.mark.parametrize("more", [(), ("--settle",), ("--plan",), ("--settle", "--plan")])
def test_json_has_what_scripts_rely_on(more: tuple[str, ...], study: Study, capsys: Capture) -> None:
    found = compared(capsys, *more, "--json")
    assert found.code == 0
    assert set(found.json) >= PROMISED
    assert (found.json["a"], found.json["b"]) == ("good", "poor")
    assert found.json["labels"] in ((15, 30, 45, 60) if "--settle" in more else (60,))
    assert found.json["verdict"] in ("good is better", "poor is better", "undecided")
    assert all(set(found.json[s]) == {"value", "low", "high", "n"} for s in ("judge_only", "human_only", "corrected"))
    assert ("plan" in found.json) is ("--plan" in more)


def test_a_complete_human_file_gives_trec_evals_difference_without_error(study: Study, capsys: Capture) -> None:
    """Against `compare --qrels`, whose values are trec_eval's (tests/oracle)."""
    found = call(capsys, *TWO, "--human", "all.qrels", "--settle", "--json").json
    plain = call(capsys, *TWO[:5], "--qrels", "all.qrels", "--json").json["pairs"][0]["diff"]
    assert found["corrected"]["value"] == pytest.approx(plain)
    assert found["corrected"]["high"] - found["corrected"]["low"] == pytest.approx(0, abs=1e-12)
    assert (found["design"], found["verdict"], found["labels_more"]) == ("census", "good is better", 0)


def test_before_anybody_graded_the_plan_says_what_it_takes(study: Study, capsys: Capture) -> None:
    found = call(capsys, *TWO, "--plan", "--seconds-per-label", 30, "--json").json
    assert (found["verdict"], found["labels"]) == ("undecided", 0)
    assert found["minutes_more"] == found["labels_more"] * 30 / 60
    assert found["human_only"]["value"] is None


def test_three_systems_are_compared_two_by_two(study: Study, capsys: Capture) -> None:
    found = call(capsys, *TWO[:3], "good.trec", "fair.trec", "poor.trec", *TWO[5:], *HUMAN, "--settle", "--plan", "--json").json
    assert [(c["a"], c["b"]) for c in found["comparisons"]] == [("good", "fair"), ("good", "poor"), ("fair", "poor")]


def test_what_is_not_worth_it_is_said(study: Study, capsys: Capture) -> None:
    found = call(capsys, *TWO[:3], "good.trec", "fair.trec", *TWO[5:], "--plan", "--most", 2, "--json").json
    assert (found["verdict"], found["labels_more"], found["minutes_more"]) == ("undecided", None, None)
    assert found["comparisons"][0]["reason"] == "not worth it"


def test_groups_and_weights_come_from_the_queries(study: Study, capsys: Capture) -> None:
    split = ("--queries", "queries.csv", "--by", "language", "--weight", "weight", "--json")
    found = call(capsys, *TWO, "--human", "all.qrels", *split).json
    weighed = call(capsys, *TWO[:5], "--qrels", "all.qrels", "--queries", "queries.csv", "--weight", "weight", "--json").json
    assert set(found["by"]) == {"de", "en"}
    assert found["corrected"]["value"] == pytest.approx(weighed["pairs"][0]["diff"])


@pytest.mark.parametrize("form", ["tsv", "csv", "latex", "text"])
def test_every_form_can_be_read(form: str, study: Study, capsys: Capture) -> None:
    out = compared(capsys, "--settle", "--format", form).out
    if form == "latex":
        assert out.startswith(r"\begin{table}")
        assert out.rstrip().endswith(r"\end{table}")
    elif form == "text":
        assert out.rstrip().splitlines()[-1].startswith("You may not conclude that it would be so on other queries")
    else:
        head, row = csv.reader(out.splitlines(), delimiter="\t" if form == "tsv" else ",")
        found = dict(zip(head, row, strict=True))
        assert (found["a"], found["b"]) == ("good", "poor")
        assert float(found["corrected_low"]) < float(found["corrected"]) < float(found["corrected_high"])


def test_the_estimand_is_named_in_every_table(study: Study, capsys: Capture) -> None:
    for name, words in (("these", "these queries"), ("like", "queries like these")):
        assert f"mean over {words} (12)" in compared(capsys, "--estimand", name, "--format", "text").out
        assert f"mean over {words} (12)" in compared(capsys, "--estimand", name, "--format", "latex").out
        assert compared(capsys, "--estimand", name, "--json").json["estimand"] == words


# the next pairs


def test_next_hands_out_pairs_that_nobody_graded_with_their_probabilities(study: Study, capsys: Capture) -> None:
    found = call(capsys, *TWO, "--settle", "--next", "ask.tsv", "-n", 12)
    asked, drawn = table("ask.tsv"), table("ask.prob.tsv")
    assert "12 pairs to grade next in ask.tsv" in found.err
    assert list(asked[0]) == ["query_id", "doc_id"]  # blind: nothing of systems, ranks or the judge
    assert [(r["query_id"], r["doc_id"]) for r in asked] == [(r["query_id"], r["doc_id"]) for r in drawn]
    assert all(0 < float(r["probability"]) <= 1 and r["round"] == "1" for r in drawn)


def test_round_after_round_the_verdict_comes(study: Study, capsys: Capture) -> None:
    """What a person does: grade the pairs, append grades and probabilities, look again."""
    truth = {(q, d): g for q, d, g in study.people.frame.select("query_id", "doc_id", "grade").iter_rows()}
    found = call(capsys, *TWO, "--settle", "--next", "ask0.tsv", "-n", 20, "--json").json
    for step in range(7):
        asked = table(f"ask{step}.tsv")
        with open("P.qrels", "a", encoding="utf-8") as file:
            file.writelines(f"{r['query_id']} 0 {r['doc_id']} {truth[r['query_id'], r['doc_id']]}\n" for r in asked)
        with open("P.prob.tsv", "a", encoding="utf-8") as file:
            file.write(Path(f"ask{step}.prob.tsv").read_text(encoding="utf-8"))
        more = ("--settle", "--next", f"ask{step + 1}.tsv", "-n", 20, "--json")
        found = call(capsys, *TWO, "--human", "P.qrels", *more).json
        if found["verdict"] != "undecided":
            break
    assert found["verdict"] == "good is better"
    assert found["labels"] == 20 * (step + 1)
    assert not Path(f"ask{step + 1}.tsv").exists()  # nothing is left to ask


def table(file: str) -> list[dict[str, str]]:
    return list(csv.DictReader(Path(file).read_text(encoding="utf-8").splitlines(), delimiter="\t"))


# what is refused


def test_a_file_that_is_there_is_not_written_over(study: Study, capsys: Capture) -> None:
    Path("ask.tsv").write_text("somebody's work", encoding="utf-8")
    found = call(capsys, *TWO, "--plan", "--next", "ask.tsv")
    assert found.code == 1
    assert "ask.tsv exists already, perhaps with grades in it; take another name" in found.err
    assert Path("ask.tsv").read_text(encoding="utf-8") == "somebody's work"


def test_the_probabilities_of_other_grades_are_not_written_over(study: Study, capsys: Capture) -> None:
    before = Path("H.prob.tsv").read_text(encoding="utf-8")
    found = call(capsys, *TWO, "--plan", "--next", "H.tsv")
    assert found.code == 1
    assert "H.prob.tsv exists already" in found.err
    assert Path("H.prob.tsv").read_text(encoding="utf-8") == before
    assert not Path("H.tsv").exists()


@pytest.mark.parametrize(
    ("argv", "said"),
    [
        ("nDCG@5 --runs good.trec poor.trec --judge J.qrels --human empty.qrels", "empty.qrels: holds no rows"),
        ("RR --runs good.trec poor.trec --judge J.qrels --human H.qrels", "RR cannot be estimated from sampled pairs"),
        ("nDCG@5 --runs good.trec poor.trec --judge J.qrels --human one.qrels", "people graded 1 query wholly"),
        ("nDCG@5 --runs good.trec poor.trec --judge J.qrels --settle --estimand like", "--settle is about these queries"),
        ("nDCG@5 --runs good.trec poor.trec --judge J.qrels --estimand all", "unknown estimand 'all'"),
        ("nDCG@5 --runs good.trec --judge J.qrels --settle", "settling needs at least two runs, not 1"),
        ("nDCG@5 --runs good.trec poor.trec --human H.qrels", "--judge (and --human, once people graded) go with"),
        ("nDCG@5 --runs good.trec poor.trec --judge J.qrels --qrels all.qrels", "without --qrels"),
        ("nDCG@5 --runs good.trec poor.trec --qrels all.qrels --settle", "--settle, --plan and --next need --judge"),
        ("nDCG@5 nobody --runs good.trec poor.trec --judge J.qrels", "'nobody' is no measure, and with --runs the systems"),
        (
            "nDCG@5 --runs good.trec poor.trec --judge J.qrels --human lost.qrels",
            "lost.prob.tsv: has no probability for 1",
        ),
        ("nDCG@5 --runs good.trec poor.trec --judge J.qrels --human wrong.qrels", "wrong.prob.tsv:2: the probability 2 is not"),
        ("nDCG@5 --runs good.trec poor.trec --judge J.qrels --human other.qrels", "share no query"),
    ],
)
def test_what_cannot_be_is_said_in_one_line(argv: str, said: str, study: Study, capsys: Capture) -> None:
    everything = Path("all.qrels").read_text(encoding="utf-8").splitlines(keepends=True)
    for name, grades, drawn in (
        ("empty", "", None),
        (
            "one",
            "".join(line for line in everything if line[:3] == "q00"),
            None,
        ),
        ("lost", "q00 0 d01 1\nq00 0 d02 1\n", "q00\td01\t0.5\n"),
        ("wrong", "q00 0 d01 1\n", "query_id\tdoc_id\tprobability\nq00\td01\t2\n"),
        ("other", "x1 0 d01 1\n", None),
    ):
        Path(f"{name}.qrels").write_text(grades, encoding="utf-8")
        if drawn is not None:
            Path(f"{name}.prob.tsv").write_text(drawn, encoding="utf-8")
    found = call(capsys, "compare", *argv.split())
    assert found.code == 1
    assert said in found.error
