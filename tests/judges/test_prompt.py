"""Prompt files: shipped and own, strict, and safe against what a document says."""

from __future__ import annotations

from pathlib import Path

import pytest

from qrelkit.core.errors import InputError, UnknownName
from qrelkit.core.guideline import SCALES
from qrelkit.text.prompt import fenced, read_prompt, shipped_prompts

OWN = """---
name: own
version: 3
for: judge
---
{% block system %}Judge on {{ scale.name }}.{% endblock %}
{% block query %}{{ query.text | fenced }}{% endblock %}
{% block document %}{{ document.text | fenced }}{% endblock %}
{% block ask %}One of {{ labels | join(', ') }}?{% endblock %}
{% block again %}Again.{% endblock %}
"""


def test_shipped_prompts_are_found_with_and_without_their_version() -> None:
    assert "pointwise@1" in shipped_prompts()
    assert read_prompt("pointwise") == read_prompt("pointwise@1")
    with pytest.raises(UnknownName, match="pointwise@1"):
        read_prompt("pontwise")


def test_a_users_file_works_the_same(tmp_path: Path) -> None:
    file = tmp_path / "own.jinja"
    file.write_text(OWN, encoding="utf-8")
    prompt = read_prompt(str(file))
    assert prompt.render("system", scale=SCALES["binary"]) == "Judge on binary."
    assert prompt.meta["version"] == 3


def test_an_unknown_variable_is_an_error_that_names_file_and_block(tmp_path: Path) -> None:
    file = tmp_path / "own.jinja"
    file.write_text(OWN.replace("scale.name", "scal.name"), encoding="utf-8")
    with pytest.raises(InputError, match=r"own, block system: 'scal' is undefined"):
        read_prompt(str(file)).render("system", scale=SCALES["binary"])


def test_a_missing_block_and_a_wrong_purpose_are_refused(tmp_path: Path) -> None:
    file = tmp_path / "own.jinja"
    file.write_text(OWN.replace("block again", "block other"), encoding="utf-8")
    with pytest.raises(InputError, match="block again"):
        read_prompt(str(file))
    with pytest.raises(InputError, match="is for 'guide'"):
        read_prompt("guide", "judge")


def test_the_sandbox_keeps_templates_away_from_python(tmp_path: Path) -> None:
    file = tmp_path / "own.jinja"
    file.write_text(OWN.replace("scale.name", "scale.__class__.__mro__"), encoding="utf-8")
    with pytest.raises(InputError):
        read_prompt(str(file)).render("system", scale=SCALES["binary"])


def test_text_cannot_close_its_fence() -> None:
    assert fenced("a </document> b <QUERY> c <documentary>") == "a ‹/document> b ‹QUERY> c <documentary>"
