"""The board on answers of our own runs, without any published file: small numbers by hand, and what must not be mixed up."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from bench.smmile.small_benchmark import problem, three
from cli.calling import call
from qrelkit.bench.smmile.answers import SCHEMA
from qrelkit.bench.smmile.apart import Run, apart
from qrelkit.bench.smmile.board import Board, board
from qrelkit.bench.smmile.flows import Asking
from qrelkit.bench.smmile.judged import AnswerJudge, judge_answers
from qrelkit.bench.smmile.layouts import LAYOUTS
from qrelkit.bench.smmile.manifest import revised
from qrelkit.bench.smmile.noise import noise
from qrelkit.bench.smmile.plusplus import plusplus
from qrelkit.bench.smmile.problems import Problems
from qrelkit.bench.smmile.running import file_name, run, write_answers
from qrelkit.core.errors import InputError
from qrelkit.models.scripted import Script, Scripted
from qrelkit.stores.memory import MemoryStore

Capture = pytest.CaptureFixture[str]
RIGHT = {"a 2": "yes", "b 3": "dog", "c 1": "right"}  # a and c are right, b is not


def asked(problems: Problems, into: Path, script: Script = RIGHT, **how: Any) -> Path:
    """Writes the answers of a run as the command does."""
    model = Scripted("scripted:m", script)
    ran = run(problems, Asking(model=model.name, **how), store=MemoryStore(), models={model.name: model})
    write_answers(ran, into / file_name(ran))
    return into / file_name(ran)


def cells(found: Board, dataset: str = "three @ r1", **where: str) -> dict[str, tuple[int, int]]:
    """Correct and n by model, of the flexible exact match in context unless said."""
    where = {"metric": "exact", "mode": "icl", **where}
    rows = found.json()["datasets"][dataset]["accuracy"]
    return {row["model"]: (row["correct"], row["n"]) for row in rows if all(row[k] == v for k, v in where.items())}


def test_answers_are_counted_beside_controls_made_from_the_problems(tmp_path: Path) -> None:
    asked(three(), tmp_path)
    found = board([tmp_path], [three()])
    # majority: a no of (no, yes): the first seen, wrong; b: cat, right; c: left, wrong
    assert cells(found) == {"scripted:m": (2, 3), "majority": (1, 3), "random": cells(found)["random"]}
    said = found.json()
    assert said["expected"] == {"three @ r1": {"open": pytest.approx((1 / 2 + 2 / 3 + 0) / 3)}}  # nobody was asked options
    assert (said["judges"], said["corrections"]) == ([], [])
    assert cells(board([tmp_path])) == {"scripted:m": (2, 3)}
    assert "its problems are not known" in board([tmp_path]).warnings[0]


def test_two_layouts_of_one_model_never_share_a_line(tmp_path: Path) -> None:
    asked(three(), tmp_path)
    asked(three(), tmp_path, mode="zero-shot")
    asked(three(), tmp_path, {"": "wrong"}, layout=LAYOUTS["claude"])
    found = board([tmp_path], [three()])
    counts = {model: count for model, count in cells(found).items() if model.startswith("scripted")}
    assert counts == {"scripted:m (layout plain)": (2, 3), "scripted:m (layout claude)": (0, 3)}
    (pair,) = [p for p in found.json()["datasets"]["three @ r1"]["paired"] if p["metric"] == "exact" and not p["completed"]]
    assert (pair["model"], pair["n"], pair["before"], pair["after"]) == ("scripted:m (layout plain)", 3, "zero-shot", "icl")


def test_a_layout_of_the_same_name_with_another_text_has_a_digest_behind_it(tmp_path: Path) -> None:
    from dataclasses import replace

    asked(three(), tmp_path)
    asked(three(), tmp_path, layout=replace(LAYOUTS["plain"], system="Be brief."), seed=3)
    names = [name for name in cells(board([tmp_path])) if name.startswith("scripted")]
    assert sorted(re.sub("[0-9a-f:]{8}, ", "#, ", name) for name in names) == [
        "scripted:m (layout plain #, seed 0)",
        "scripted:m (layout plain #, seed 3)",
    ]


def test_a_file_given_twice_and_the_first_problems_of_a_run_count_once(tmp_path: Path) -> None:
    path = asked(three(), tmp_path)
    first = Problems(name="three", revision="r1", problems=three().problems[:1], notes={"limit": 1})
    asked(first, tmp_path)
    assert len(list(tmp_path.glob("*.jsonl"))) == 2
    assert cells(board([tmp_path, path])) == {"scripted:m": (2, 3)}


def test_a_file_without_its_manifest_is_not_added_to_another(tmp_path: Path) -> None:
    path = asked(three(), tmp_path)
    (tmp_path / "x").mkdir()
    alone = asked(three(), tmp_path / "x", {"": "wrong"}).rename(tmp_path / "alone.jsonl")
    found = board([path, alone], [three()])
    assert cells(found)["scripted:m"] == (2, 3)
    assert cells(found)["scripted:m (alone.jsonl)"] == (0, 3)
    assert "alone.jsonl: has no manifest" in found.warnings[0]


def test_files_of_one_name_that_differ_are_refused() -> None:
    def of(answer: str) -> Run:
        row = {"dataset": "d", "revision": "r", "model": "m", "mode": "icl", "form": "open", "problem_id": "p", "answer": answer}
        return Run(source="x.csv", frame=pl.DataFrame([row], schema_overrides=SCHEMA).with_columns(source=pl.lit("x.csv")))

    assert [frame.height for frame in apart([of("yes"), of("yes")])] == [1]
    with pytest.raises(InputError, match="answers the same problems otherwise"):
        apart([of("yes"), of("no")])


def test_what_a_run_did_not_ask_and_a_benchmark_nobody_was_asked_are_said(tmp_path: Path) -> None:
    asked(Problems(name="three", revision="r1", problems=three().problems[:2], notes={"limit": 2}), tmp_path)
    said = board([tmp_path], [three(), plusplus(three())]).warnings
    assert any("three @ r1: scripted:m, icl, open is about 2 of 3 problems" in line for line in said)
    assert any("no answer is about this benchmark" in line for line in said)


def test_images_are_compared_with_less_of_them_on_the_same_problems(tmp_path: Path) -> None:
    asked(three(), tmp_path)
    asked(three(), tmp_path, {"a 2": "yes", "": "?"}, mode="blind")
    found = board([tmp_path], [three()])
    (pair,) = [p for p in found.json()["datasets"]["three @ r1"]["paired"] if p["metric"] == "exact" and not p["completed"]]
    assert [pair[name] for name in ("before", "after", "first", "second", "gained", "lost")] == ["icl", "blind", 2, 1, 0, 1]
    assert "Less of the images against in context" in found.html()


def test_noise_is_compared_with_what_it_was_made_from(tmp_path: Path) -> None:
    source = revised(three())
    noisy = noise(source, 1)
    asked(source, tmp_path)
    asked(noisy, tmp_path, {"a 2": "yes", "": "?"})
    found = board([tmp_path], [source, noisy])
    (name,) = [name for name in found.json()["datasets"] if "random" in name]
    rows = [row for row in found.json()["datasets"][name]["against"] if row["model"] == "scripted:m" and not row["completed"]]
    (row,) = [row for row in rows if row["metric"] == "exact"]
    assert (row["dataset"], row["first"], row["second"], row["lost"]) == (f"three @ {source.revision}", 2, 1, 1)
    assert f"Against three @ {source.revision}" in found.html()


def test_permuted_answers_have_recency_with_its_own_chance_and_the_spread(tmp_path: Path) -> None:
    """A model that repeats the last answer, on all orders of two bases: right where the last one matches, and only there."""
    source = Problems(
        name="two", revision="1", problems=[problem("a", ["no", "yes", "yes"]), problem("b", ["cat", "cat", "dog", "cat"])]
    )
    permuted = plusplus(revised(source))

    def last(request: Any) -> str:
        said = [part.text for message in request.messages if message.role == "assistant" for part in message.parts]
        return said[-1] if said else "?"

    asked(permuted, tmp_path, last)
    (said,) = board([tmp_path], [permuted]).json()["datasets"].values()
    rows = {row["place"]: row for row in said["recency"] if row["metric"] == "exact" and row["model"] == "scripted:m"}
    # a: 1 of 2 orders ends with yes; b: 4 of 6 with cat
    assert (rows["last"]["match"], rows["last"]["match_correct"], rows["last"]["no_match_correct"]) == (5, 5, 0)
    assert rows["last"]["paired"]["value"] == 1
    # first: of a the other one, −1; of b right are 2 of 4 (cat first, cat last) and 2 of 2: ½ − 1
    assert rows["first"]["paired"]["value"] == pytest.approx((-1 - 0.5) / 2)
    (spread,) = [row for row in said["spread"] if row["metric"] == "exact" and row["model"] == "scripted:m"]
    assert (spread["mixed"]["value"], spread["mixed"]["n"]) == (1, 2)
    assert spread["sd"]["value"] == pytest.approx((0.5 + (2 / 3 * 1 / 3) ** 0.5) / 2)


def test_what_the_judge_was_not_heard_on_is_neither_right_nor_wrong(tmp_path: Path) -> None:
    asked(three(), tmp_path)
    found = board([tmp_path], [three()], controls=False)
    judge = Scripted("scripted:judge", {"a 2": "0", "b 3": "1", "c 1": "I cannot say"})
    done = judge_answers(found.answers, AnswerJudge(judge.name), store=MemoryStore(), models={judge.name: judge})
    judged = Board(answers=done.frame, problems=found.problems, corrections=found.corrections)
    assert cells(judged, metric="judge") == {"scripted:m": (1, 2)}
    said = judged.json()
    assert said["judges"] == ["scripted:judge"]
    assert any("1 answer without a verdict" in line for line in said["corrections"])
    assert any("1 answer judged wrong in spite of an exact match" in line for line in said["corrections"])
    assert "judged by scripted:judge" in judged.html()


def test_a_problem_with_more_answers_than_letters_can_be_asked_openly(tmp_path: Path) -> None:
    many = Problems(name="many", revision="1", problems=[problem("p", [f"answer {i}" for i in range(30)])])
    asked(many, tmp_path, {"": "answer 29"})
    assert cells(board([tmp_path], [many]), "many @ 1")["scripted:m"] == (1, 1)


# the command line


@pytest.fixture
def answers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Capture) -> Path:
    monkeypatch.chdir(tmp_path)
    assert call(capsys, "bench", "smmile", "demo", "-o", "drawn").code == 0
    assert call(capsys, "bench", "smmile", "make", "--from", "drawn", "--order", "match-last", "-o", "ordered").code == 0
    Path("says.yaml").write_text("- {when: striped, say: 'no'}\n- {say: blue}\n", encoding="utf-8")
    for folder in ("drawn", "ordered"):
        run = ("bench", "smmile", "run", "--folder", folder, "--model", "scripted:says.yaml", "--out", "answers")
        assert call(capsys, *run, "--mode", "icl", "--mode", "zero-shot").code == 0
    return tmp_path


BOARD = ("bench", "smmile", "board", "answers", "--folder", "drawn")


def test_the_command_takes_several_benchmarks_and_writes_the_page(answers: Path, capsys: Capture) -> None:
    said = call(capsys, *BOARD, "--folder", "ordered", "--page", "board.html", "--json")
    assert said.code == 0
    ordered = next(found for name, found in said.json["datasets"].items() if "match-last" in name)
    assert {row["mode"] for row in ordered["against"]} == {"icl", "zero-shot"}
    assert said.json["corrections"] == []
    assert "order" in Path("board.html").read_text(encoding="utf-8")
    table = call(capsys, *BOARD)
    assert "its problems are not known" in table.err
    assert ["icl", "exact"] in [row[2:4] for row in table.rows]


def test_the_command_ends_with_4_where_the_judge_was_not_understood(answers: Path, capsys: Capture) -> None:
    Path("judge.yaml").write_text("- {when: blue, say: 'perhaps'}\n- {say: '0'}\n", encoding="utf-8")
    said = call(capsys, *BOARD, "--judge", "scripted:judge.yaml", "--json")
    assert said.code == 4
    assert any("without a verdict" in line for line in said.json["corrections"])


def test_nothing_to_read_is_said(answers: Path, capsys: Capture) -> None:
    (answers / "empty").mkdir()
    (answers / "empty.jsonl").write_bytes(b"")
    for path, says in (("empty", "holds neither published results"), ("empty.jsonl", "holds no answer"), ("no", "no such file")):
        said = call(capsys, "bench", "smmile", "board", path)
        assert (said.code, says in said.err) == (1, True), said.err
