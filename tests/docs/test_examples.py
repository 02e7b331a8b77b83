"""Every script in examples/ runs as it says, in a folder of its own."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from docs.blocks import ROOT
from docs.library import Library
from servers.chat import ChatServer

EXAMPLES = ROOT / "examples"
TRUTH = "catalogue/qrels/constructed.tsv"


def called(script: str, *words: str, folder: Path, **environment: str) -> str:
    done = subprocess.run(
        [sys.executable, "-W", "error", str(EXAMPLES / script), *words],
        cwd=folder, env=os.environ | environment, capture_output=True, text=True, encoding="utf-8",
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.fixture
def demo(library: Library) -> Path:
    return library.saved("demo")


@pytest.fixture
def shop(library: Library, tmp_path: Path) -> Path:
    return Path(shutil.copytree(library.saved("runs"), tmp_path / "shop"))


def test_every_example_is_tested_and_in_the_list() -> None:
    told = (EXAMPLES / "README.md").read_text(encoding="utf-8")
    here = Path(__file__).read_text(encoding="utf-8")
    assert [p.name for p in EXAMPLES.glob("*.py") if f"`{p.name}`" not in told or f'called("{p.name}"' not in here] == []


def test_compare_two_runs(demo: Path) -> None:
    out = called("compare_two_runs.py", "runs/text.trec", "runs/picture.trec", TRUTH, folder=demo)
    assert "text − picture = -0.3064 [-0.36" in out
    assert out.rstrip().endswith("picture is better on queries like these.")


def test_agree_with_people(demo: Path) -> None:
    out = called("agree_with_people.py", "judge.qrels", TRUTH, "judge.qrels", folder=demo)
    assert "The model and constructed: quadratic kappa 0.6037 [0.521, 0.682] over 40 queries." in out
    assert "The yardstick, constructed and judge.qrels: 0.6037" in out


def test_expand_qrels(shop: Path) -> None:
    (shop / "model.qrels").write_text("q1 0 d02 2\nq2 0 d01 2\nq1 0 d01 0\n", encoding="utf-8")
    out = called("expand_qrels.py", "shop/qrels.txt", "model.qrels", "out.qrels", "runs/sight.trec", folder=shop)
    assert "8 judged, 2 new" in out  # d01 of q1 has a human grade, which wins
    assert "q1 0 d01 2\n" in (shop / "out.qrels").read_text(encoding="utf-8")


def test_own_prompt_and_scale(shop: Path) -> None:
    out = called("own_prompt_and_scale.py", "shop", "runs/sight.trec", folder=shop)
    assert "Judged(11 pairs, 0 known, 0 ungraded, by helper)" in out


def test_expand_imageclef(tmp_path: Path) -> None:
    out = called("expand_imageclef.py", "--pairs", "150", folder=tmp_path, QRELKIT_CACHE=str(tmp_path / "cache"))
    assert "kappa 1.0000" in out  # the stand-in's rule is the one by which the collection was made
    assert re.search(r"100 judged by people, \d+ relevant", out)
    assert re.search(r"150 new from model", out)
    assert (tmp_path / "expanded.qrels").read_text(encoding="utf-8").count("\n") == 250


def test_engines_postgres(data: Path, postgres: str, tmp_path: Path) -> None:
    folders = [str(data / name) for name in ("scifact", "liveqa_medquad")]
    out = called("engines_postgres.py", postgres, *folders, folder=tmp_path, QRELKIT_CACHE=str(tmp_path / "cache"))
    assert "scifact: Pool(300 queries, 3,000 pairs, depth 10, 2 runs)" in out
    assert "liveqa_medquad: Pool(104 queries, " in out
    assert re.search(r"^any-words +0\.60\d\d \[0\.", out, re.MULTILINE)  # SciFact's BM25 has .679
    assert len(re.findall(r"^all-words − any-words = -0\.\d+ \[-0\.\d+, -0\.", out, re.MULTILINE)) == 2


def text_of(body: dict[str, Any]) -> str:
    """All texts of a request's last message."""
    content = body["messages"][-1]["content"]
    return content if isinstance(content, str) else "\n".join(part.get("text", "") for part in content)


def test_judge_with_an_endpoint(shop: Path) -> None:
    with ChatServer() as server:
        where = {"OPENAI_BASE_URL": server.url, "QRELKIT_CACHE": str(shop / "cache")}
        words = ("shop", "tiny", "out.qrels", "runs/sight.trec")
        first = called("judge_with_an_endpoint.py", *words, folder=shop, **where)
        again = called("judge_with_an_endpoint.py", *words, folder=shop, **where)
    assert "11 requests" in first
    assert "0 requests" in again
    assert any(part["type"] == "image_url" for part in server.bodies[0]["messages"][-1]["content"])
    assert (shop / "out.qrels").read_text(encoding="utf-8").count("\n") == 11


def test_learn_from_examples(tmp_path: Path) -> None:
    from qrelkit.bench.smmile.demo import drawn
    from qrelkit.bench.smmile.folder import write_folder

    def answer(body: dict[str, Any]) -> str:
        """Repeats the last demonstrated answer, as small models do."""
        shown = [message["content"] for message in body["messages"] if message["role"] == "assistant"]
        return shown[-1] if shown else "a piece of clothing"

    write_folder(drawn(), tmp_path / "drawn")
    right = sum(problem.last_matches for problem in drawn().problems)
    with ChatServer(answer) as server:
        where = {"OPENAI_BASE_URL": server.url}
        out = called("learn_from_examples.py", "drawn", "tiny", folder=tmp_path, **where)
        again = called("learn_from_examples.py", "drawn", "tiny", folder=tmp_path, **where)
    assert f"without examples     0 of 12, 12 requests\nwith examples        {right} of 12, 12 requests" in out
    assert f"with them, blind     {right} of 12" in out
    assert again.count(" 0 requests") == 4


def test_examples_and_ablation(shop: Path) -> None:
    def answer(body: dict[str, Any]) -> str:
        """Without examples it likes everything; with them it knows dresses from the rest."""
        said = text_of(body)
        document = said.rpartition("<document>")[2].lower()
        wise = "People gave it" in said
        return '{"verdict": "irrelevant"}' if wise and "umbrella" in document else '{"verdict": "highly_relevant"}'

    with ChatServer(answer) as server:
        where = {"OPENAI_BASE_URL": server.url, "QRELKIT_CACHE": str(shop / "cache")}
        out = called("examples_and_ablation.py", "shop", "runs/words.trec", "shop/qrels.txt", "tiny", folder=shop, **where)
    assert "2 pairs were shown as examples and are left out" in out
    assert re.search(r"^exact +\+0\.\d+ \[", out, re.MULTILINE)
