"""Help for every verb, and for every name that is not known the near ones."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from cli.calling import call
from qrelkit.cli.main import MANY, VERBS, spread
from verbs.tiny import write_tiny

Capture = pytest.CaptureFixture[str]
HEAVY = (
    *("polars", "numpy", "scipy", "aiohttp", "PIL", "bm25s", "jinja2", "sqlalchemy", "rich", "pydantic", "yaml", "orjson"),
    *("torch", "transformers", "ray"),
)


@pytest.mark.parametrize("verb", VERBS)
def test_every_verb_has_help(capsys: Capture, verb: str) -> None:
    found = call(capsys, verb, "--help")
    assert found.code == 0
    assert found.out.startswith(f"Usage: qrelkit {verb} ")
    assert found.err == ""


def test_the_help_names_every_verb(capsys: Capture) -> None:
    found = call(capsys, "--help")
    listed = [line.split()[0] for line in found.out.partition("Commands:")[2].splitlines() if line[:3].strip()]
    assert sorted(listed) == sorted(VERBS)


def test_help_imports_nothing_heavy() -> None:
    script = f"""
import sys
from qrelkit.cli.main import main
try:
    main(["--help"])
except SystemExit as end:
    assert not end.code, end.code
print([name for name in {HEAVY!r} if name in sys.modules], file=sys.stderr)
"""
    ended = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=60, check=True)
    assert ended.stderr.strip() == "[]"


@pytest.mark.parametrize(
    ("argv", "near"),
    [
        ("evaluate nDGC@10 --qrels shop/qrels.txt --runs runs/words.trec", "nDCG"),
        ("evaluate P@2 --qrels shop/qrels.txt --runs runs/words.trec --duplicates lats", "'last'"),
        ("evaluate P@2 --qrels shop/qrels.txt --runs runs/words.trec --queries shop/queries.jsonl --by langauge", "'language'"),
        ("show scale product-4", "'product-3'"),
        ("show prompt pointwis", "'pointwise@1'"),
        ("retrieve bm52 shop -o out.trec", "'bm25'"),
        ("judge --model opennai:gpt", "'openai'"),
        ("judge --retry refusd", "'refused'"),
        ("judge --route shwon", "'shown'"),
        ("judge --set jugde.model=lexical", "'judge'"),
        ("judge --set judge.rout=text", "'judge.route'"),
        ("judge --set scale=binry", "'binary'"),
        ("judge --set judge.cuts=qrelz", "'qrels'"),
        ("describe --model lexical", "palette"),
        ("show guideline q9", "q9"),
        ("show reply r1:0", "r1:0"),
        ("show judgment q9 p01", "'q1'"),
    ],
)
def test_an_unknown_name_lists_the_near_ones(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Capture, argv: str, near: str
) -> None:
    monkeypatch.chdir(write_tiny(tmp_path))
    found = call(capsys, *argv.split())
    assert found.code == 1
    assert near in found.error


def test_an_unknown_verb_names_the_near_one(capsys: Capture) -> None:
    assert "'evaluate'" in call(capsys, "evalute").err


# --runs a b c


def test_several_values_are_several_options(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)

    def spelled_out(given: str) -> str:
        return " ".join(spread(given.split()))

    expected = "evaluate P@2 --runs a.trec --runs b.trec --qrels x=q --qrels y=r --json"
    assert spelled_out("evaluate P@2 --runs a.trec b.trec --qrels x=q y=r --json") == expected
    assert spelled_out("expand h --with a --runs - b.trec -o c") == "expand h --with a --runs - --runs b.trec -o c"


def test_a_file_that_is_called_like_a_measure_is_a_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "bm25").touch()
    assert spread(["evaluate", "--runs", "x", "bm25", "AP"]) == ["evaluate", "--runs", "x", "--runs", "bm25", "AP"]


def test_options_of_one_value_take_one(tmp_path: Path) -> None:
    argv = ["run", "--qrels", "q", "a.trec", "b.trec", "--collection", "shop"]
    assert "run" not in MANY
    assert spread(argv) == argv
