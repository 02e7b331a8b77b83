"""What the house asks for: floors, names, sizes, and files where one looks for them."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
SOURCE = ROOT / "src" / "qrelkit"
MODULES = sorted(SOURCE.rglob("*.py"))
DATA_VERBS = (
    *("load", "retrieve", "rewrite", "pool", "guide", "describe", "judge"),
    *("agree", "expand", "evaluate", "compare", "report", "run"),
)
FACE_VERBS = ("init", "show", "doctor", "demo", "review", "forget")


@pytest.mark.parametrize("verb", DATA_VERBS)
def test_a_verb_is_a_step_a_command_a_page_and_a_name_in_python(verb: str) -> None:
    import qrelkit

    assert (SOURCE / "steps" / f"{verb}.py").exists()
    assert (SOURCE / "cli" / f"{verb}.py").exists()
    assert (ROOT / "docs" / "verbs" / f"{verb}.md").exists()
    assert callable(getattr(qrelkit, verb))


@pytest.mark.parametrize("verb", FACE_VERBS)
def test_a_verb_of_the_faces_is_a_command_and_a_page(verb: str) -> None:
    assert (SOURCE / "cli" / f"{verb}.py").exists()
    assert (ROOT / "docs" / "verbs" / f"{verb}.md").exists()


def test_no_drawer() -> None:
    drawers = {"utils", "util", "common", "helpers", "helper", "base", "manager", "misc"}
    assert [m for m in MODULES if m.stem in drawers] == []


def test_every_module_says_what_it_is_and_none_is_past_400_lines() -> None:
    texts = {m: m.read_text(encoding="utf-8") for m in MODULES}
    assert [m for m, text in texts.items() if text.strip() and not ast.get_docstring(ast.parse(text))] == []
    assert {m.name: text.count("\n") for m, text in texts.items() if text.count("\n") > 400} == {}


def test_no_library_module_prints() -> None:
    printing = re.compile(r"^\s*print\(", re.MULTILINE)
    assert [m for m in MODULES if "cli" not in m.parts and printing.search(m.read_text(encoding="utf-8"))] == []


def test_public_names_are_sorted_and_all_can_be_had() -> None:
    import qrelkit

    assert sorted(qrelkit.__all__) == list(qrelkit.__all__)
    for name in qrelkit.__all__:
        assert getattr(qrelkit, name) is not None


def test_the_tree_in_the_readme_is_true() -> None:
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    named = set(re.findall(r"^\s+│?\s*[├└]── (\w+)/", text, re.MULTILINE))
    folders = {p.name for p in SOURCE.iterdir() if p.is_dir() and p.name != "__pycache__"}
    assert folders <= named


def test_help_imports_nothing_heavy() -> None:
    code = "import sys; from qrelkit.cli.main import build; build(); print([m for m in sys.modules if m in HEAVY])"
    slow = ("polars", "numpy", "scipy", "aiohttp", "sqlalchemy", "PIL", "jinja2", "pydantic", "yaml")
    heavy = (*slow, "torch", "transformers", "ray")
    out = subprocess.run(
        [sys.executable, "-c", code.replace("HEAVY", repr(heavy))], capture_output=True, text=True, check=True, encoding="utf-8"
    )
    assert out.stdout.strip() == "[]"


def test_no_module_needs_what_is_optional_to_be_imported() -> None:
    """Torch, transformers and Ray are imported by the functions that use them, whatever else is imported before."""
    names = sorted(".".join(m.relative_to(SOURCE.parent).with_suffix("").parts) for m in MODULES if m.stem != "__main__")
    code = f"import importlib, sys; [importlib.import_module(n) for n in {names}]; print([m for m in HEAVY if m in sys.modules])"
    heavy = ("torch", "transformers", "ray", "ir_datasets", "psycopg", "uvloop")
    out = subprocess.run(
        [sys.executable, "-c", code.replace("HEAVY", repr(heavy))], capture_output=True, text=True, check=True, encoding="utf-8"
    )
    assert out.stdout.strip() == "[]"


def test_changelog_knows_the_version() -> None:
    import qrelkit

    assert f"## {qrelkit.__version__}" in (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
