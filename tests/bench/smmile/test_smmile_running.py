"""Runs by a scripted model: statuses, what is free the second time, what is asked again, files that are read back, the plan."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from bench.smmile.small_benchmark import problem, three
from cli.calling import call
from qrelkit.bench.smmile.flows import Asking
from qrelkit.bench.smmile.plusplus import plusplus
from qrelkit.bench.smmile.problems import Problems
from qrelkit.bench.smmile.running import Ran, file_name, plan, read_answers, run, write_answers
from qrelkit.core.errors import InputError, Rejected
from qrelkit.core.wire import Request
from qrelkit.models.scripted import Script, Scripted, last_user_text
from qrelkit.stores.memory import MemoryStore

Capture = pytest.CaptureFixture[str]
SAYS = {"a 2": "Yes.", "b 3": "dog", "c 1": "right"}  # flexible: a and c are right; strict: c


def done(script: Script, problems: Problems | None = None, store: MemoryStore | None = None, **how: Any) -> tuple[Ran, Scripted]:
    model = Scripted("scripted:one", script)
    ran = run(problems or three(), Asking(model=model.name, **how), store=store or MemoryStore(), models={model.name: model})
    return ran, model


def test_a_run_has_a_row_per_problem_with_revision_and_digest() -> None:
    ran, _ = done(SAYS)
    frame = ran.answers.frame
    assert frame["problem_id"].to_list() == ["a", "b", "c"]
    assert set(frame.select("dataset", "revision", "model", "mode", "form").unique().rows()) == {
        ("three", "r1", "scripted:one", "icl", "open")
    }
    assert frame["digest"].to_list() == [p.digest for p in three().problems]
    assert frame["source"].str.starts_with("r1:").all()
    assert ran.counts == {
        "n": 3, "exact_flexible": 2, "exact_strict": 1, "completed": {"n": 3, "exact_flexible": 2, "exact_strict": 1}
    }  # fmt: skip


def test_the_second_run_asks_nothing_and_answers_the_same() -> None:
    store = MemoryStore()
    first, _ = done(SAYS, store=store)
    second, model = done(SAYS, store=store)
    assert model.asked == []
    assert second.answers.frame.equals(first.answers.frame)
    assert second.tally.known == 3


def test_what_failed_is_asked_again_and_only_that() -> None:
    store = MemoryStore()

    def failing(request: Request) -> str | Exception:
        return Rejected("image exceeds 5 MB maximum") if "b 3" in last_user_text(request) else "yes"

    first, _ = done(failing, store=store)
    assert first.statuses == {"answered": 2, "oversize_image": 1}
    assert first.answers.frame["error"].to_list() == [None, "image exceeds 5 MB maximum", None]
    assert first.counts["completed"]["n"] == 2
    second, model = done("cat", store=store)
    assert len(model.asked) == 1
    assert second.statuses == {"answered": 3}


def test_variants_that_show_the_same_are_asked_once() -> None:
    """Without demonstrations the two orders of `a` and the six of `b` are one question each."""
    ran, model = done(SAYS, plusplus(three()), mode="zero-shot")
    assert (len(ran.answers.frame), len(model.asked)) == (2 + 6 + 1, 3)
    assert done(SAYS, plusplus(three()))[1].asked.__len__() == 9


def test_multiple_choice_counts_what_is_right_and_what_has_no_letter() -> None:
    ran, _ = done(lambda request: "<answer>A</answer>" if "c 1" in last_user_text(request) else "B", form="choice")
    assert ran.counts == {
        "n": 3,
        "correct": 0,
        "extraction_failed": 2,
        "completed": {"n": 3, "correct": 0, "extraction_failed": 2},
    }
    assert ran.answers.frame["gold_letter"].to_list() == ["B", "A", "B"]


@pytest.mark.parametrize("suffix", ["jsonl", "parquet"])
def test_answers_are_read_back_as_they_were(suffix: str, tmp_path: Path) -> None:
    ran, _ = done("<answer>B</answer>", form="choice")
    path = tmp_path / f"answers.{suffix}"
    write_answers(ran, path)
    again = read_answers(path)
    assert again.frame.equals(ran.answers.frame)
    assert again.corrections == ()
    assert again.frame.schema == ran.answers.frame.schema


def test_a_file_that_was_changed_says_so(tmp_path: Path) -> None:
    ran, _ = done(SAYS)
    path = tmp_path / "a.jsonl"
    write_answers(ran, path)
    path.write_text(path.read_text(encoding="utf-8").replace("dog", "cat"), encoding="utf-8", newline="\n")
    assert "was changed" in read_answers(path).corrections[0]
    path.write_text('{"a": 1}\n', encoding="utf-8")
    with pytest.raises(InputError, match="no answers as a run writes them"):
        read_answers(path)
    with pytest.raises(InputError, match=r"\.jsonl or \.parquet"):
        write_answers(ran, tmp_path / "a.csv")


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (lambda f: f.head(0), "holds no answer"),
        (lambda f: pl.concat([f, f.head(1)]), "problem 'a' is answered twice"),
        (lambda f: f.with_columns(mode=pl.lit("foo")), "mode 'foo'"),
        (lambda f: f.with_columns(status=pl.lit("fine")), "status 'fine'"),
    ],
)
def test_answers_that_no_run_writes_are_refused(
    change: Callable[[pl.DataFrame], pl.DataFrame], says: str, tmp_path: Path
) -> None:
    ran, _ = done(SAYS)
    path = tmp_path / "answers.parquet"
    change(ran.answers.frame).write_parquet(path)
    with pytest.raises(InputError, match=says):
        read_answers(path)


def test_names_of_files_differ_where_anything_else_does() -> None:
    names = [file_name(done(SAYS, **how)[0]) for how in ({}, {"mode": "zero-shot"}, {"seed": 1}, {"form": "choice"})]
    assert len(set(names)) == 4
    assert all(":" not in name and "/" not in name for name in names)


def test_the_plan_counts_what_is_known_and_asks_nothing() -> None:
    store, model = MemoryStore(), Scripted("scripted:one", SAYS)
    asking = Asking(model=model.name)
    before = plan(three(), asking, store=store, models={model.name: model})
    assert (before.items, before.known, before.todo, model.asked) == (3, 0, 3, [])
    assert before.parts[0].requests == (3.0, pytest.approx(3.0))
    run(three(), asking, store=store, models={model.name: model})
    after = plan(three(), asking, store=store, models={model.name: model})
    assert (after.known, after.todo, after.asks) == (3, 0, False)


def test_money_is_said_beforehand(tmp_path: Path) -> None:
    """Two problems of 2 messages: 4 + 4 tokens each and an image of 8 × 8 px (1 token) each, about; at $1,000,000 a million a
    token is a dollar."""
    from qrelkit.models.openai_compatible import OpenAICompatible
    from qrelkit.models.prices import read_prices

    prices = read_prices({"openai:x": {"input": 1_000_000, "output": 0}})
    model = OpenAICompatible("openai:x", base_url="http://127.0.0.1:9", api_key="none", prices=prices)
    two = Problems(name="two", revision="", problems=[problem("p", ["q"]), problem("r", ["s"], start=5)])
    stage = plan(two, Asking(model="openai:x", mode="zero-shot"), store=MemoryStore(), models={"openai:x": model})
    assert stage.usd is not None
    assert 10 < stage.usd[0] < stage.usd[1] < 200


# the command line


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Capture) -> Path:
    monkeypatch.chdir(tmp_path)
    assert call(capsys, "bench", "smmile", "demo", "-o", "drawn").code == 0
    Path("script.yaml").write_text("- {when: striped, say: 'no'}\n- {say: blue}\n", encoding="utf-8")
    return tmp_path


RUN = ("bench", "smmile", "run", "--folder", "drawn", "--model", "scripted:script.yaml")


def test_the_command_asks_writes_and_is_free_the_second_time(folder: Path, capsys: Capture) -> None:
    first = call(capsys, *RUN, "--mode", "icl", "--mode", "zero-shot", "--json")
    assert first.code == 0
    assert [(one["asking"]["mode"], one["counts"]["n"]) for one in first.json] == [("icl", 12), ("zero-shot", 12)]
    for one in first.json:
        assert read_answers(folder / "smmile" / one["file"]).frame.height == 12
    again = call(capsys, *RUN)
    assert again.code == 0
    assert " 0 requests" in again.err
    assert again.rows[1][:3] == ["icl", "open", "12"]


def test_a_dry_run_asks_nothing(folder: Path, capsys: Capture) -> None:
    said = call(capsys, *RUN, "--dry-run", "--json")
    assert (said.json[0]["todo"], said.json[0]["usd"]) == (12, None)
    assert not (folder / "smmile").exists()


def test_a_budget_without_prices_is_refused_and_limit_takes_the_first(folder: Path, capsys: Capture) -> None:
    assert "a budget needs prices" in call(capsys, *RUN, "--budget-usd", "1").err
    whole = call(capsys, *RUN, "--json").json[0]["file"]
    first = call(capsys, *RUN, "--limit", "2", "--json").json[0]
    assert first["problems"] == 2
    assert read_answers(folder / "smmile" / first["file"]).frame.height == 2
    assert read_answers(folder / "smmile" / whole).frame.height == 12, "the whole run is still there"


def test_failures_end_with_4(folder: Path, capsys: Capture) -> None:
    Path("script.yaml").write_text("- {when: striped, say: 'no'}\n", encoding="utf-8")
    said = call(capsys, *RUN, "--json")
    assert (said.code, said.json[0]["statuses"]["api_error"] > 0) == (4, True)


def test_images_that_may_not_leave_stop_the_command(folder: Path, capsys: Capture) -> None:
    assert "which may not leave" in call(capsys, *RUN, "--set", "may_leave=[text]").err


def test_the_hub_is_not_asked_where_nothing_may_leave(folder: Path, capsys: Capture) -> None:
    Path("qrelkit.yaml").write_text("local_only: true\n", encoding="utf-8")
    for words in (("make", "--plusplus", "-o", "x"), ("board", "smmile"), ("run", "--model", "scripted:script.yaml")):
        said = call(capsys, "bench", "smmile", *words, "--hub", "SMMILE")
        assert (said.code, "local_only is set" in said.err) == (1, True), said.err


def test_generators_write_folders_that_can_be_run(folder: Path, capsys: Capture) -> None:
    for rule in (("--plusplus",), ("--noise", "random:1@last"), ("--order", "match-last")):
        target = f"made{rule[0]}"
        assert call(capsys, "bench", "smmile", "make", "--from", "drawn", *rule, "-o", target, "--json").json["problems"] > 0
        assert call(capsys, *RUN[:4], target, *RUN[5:], "--limit", "1").code == 0


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (("--noise", "some"), "write random or same"),
        ((), "say one rule"),
        (("--plusplus", "--order", "match-last"), "say one rule"),
        (("--order", "match-lats"), "did you mean 'match-last'"),
    ],
)
def test_a_rule_that_is_none_is_refused(words: tuple[str, ...], says: str, folder: Path, capsys: Capture) -> None:
    assert says in call(capsys, "bench", "smmile", "make", "--from", "drawn", *words, "-o", "out").err
