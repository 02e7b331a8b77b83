"""What the documentation says is true: its commands are typed, its code is run, its tables are compared with the program."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml

from docs.blocks import PAGES, ROOT, Block, blocks
from docs.library import Library
from docs.refresh_help import help_of

DOCS = ROOT / "docs"


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_everything_on_the_page_works_as_it_says(page: Path, library: Library) -> None:
    error = library.reader(page)
    if error is not None:
        raise error


def every_block() -> Iterator[Block]:
    for page in PAGES:
        yield from blocks(page)


def test_only_what_installs_things_is_not_run_and_that_is_little() -> None:
    skipped = [block for block in every_block() if "not run" in block.said]
    reasons = {b.said["not run"] for b in skipped}
    assert reasons <= {"installs the package", "writes into the checkout"}
    assert len(skipped) <= 6


# YAML and JSON


def _config(value: Any) -> None:
    from qrelkit.project.config import checked

    checked(value, "the page")


def _scale(value: Any) -> None:
    from qrelkit.core.guideline import Scale

    Scale.read(value.get("scale", value))


def _guideline(value: Any) -> None:
    from qrelkit.core.guideline import QueryGuideline

    QueryGuideline.read(value)


def _prices(value: Any) -> None:
    from qrelkit.models.prices import read_prices

    read_prices(value)


def _script(value: Any) -> None:
    assert all(set(rule) <= {"when", "say", "outcome"} for rule in value)


def _engine(value: Any) -> None:
    from qrelkit.retrievers.engines.config import engine_config
    from qrelkit.retrievers.engines.engine import Engine
    from qrelkit.retrievers.engines.grid import points

    config = engine_config(value, "the page")
    for tag, point in points(config):
        Engine(config, point, tag=tag)


def _analyzer(value: Any) -> None:
    from qrelkit.text.analyzers import analyzer_of

    assert analyzer_of(value) is not None


READERS: Mapping[str, Callable[[Any], None]] = {
    "config": _config, "scale": _scale, "guideline": _guideline, "prices": _prices, "script": _script, "engine": _engine,
    "analyzer": _analyzer,
}  # fmt: skip


@pytest.mark.parametrize("block", [b for b in every_block() if b.language == "yaml"], ids=lambda block: block.where)
def test_a_yaml_block_is_what_it_says_it_is(block: Block) -> None:
    READERS[block.said.get("yaml", "config")](yaml.safe_load(block.text))


# help texts


@pytest.mark.parametrize("block", [b for b in every_block() if "help" in b.said], ids=lambda block: block.where)
def test_the_help_on_the_page_is_the_real_one(block: Block) -> None:
    assert block.text == help_of(block.said["help"]), "run: python tests/docs/refresh_help.py"


def _commands() -> list[str]:
    """Every command and group, by the words that call it."""
    from typer.main import get_command

    from qrelkit.cli.main import build

    def below(command: Any, words: str) -> Iterator[str]:
        for name, one in getattr(command, "commands", {}).items():
            if not one.hidden:
                yield f"{words} {name}".strip()
                yield from below(one, f"{words} {name}".strip())

    return list(below(get_command(build()), ""))


@pytest.mark.parametrize("command", _commands())
def test_every_command_has_its_help_on_its_page(command: str) -> None:
    """A verb on the page of its name, a command of a group there or on one that begins so: bench-smmile-run.md."""
    first = command.split()[0]
    pages = [DOCS / "verbs" / f"{first}.md", *sorted((DOCS / "verbs").glob(f"{first}-*.md"))]
    assert command in [block.said.get("help") for page in pages for block in blocks(page)]


def test_every_page_is_linked_from_the_readme_or_the_index() -> None:
    linked = "".join((ROOT / name).read_text(encoding="utf-8") for name in ("README.md", "docs/README.md"))
    pages = [p for p in DOCS.rglob("*.md") if p.name != "README.md"]
    assert [p.name for p in pages if str(p.relative_to(DOCS).as_posix()) not in linked] == []


def test_no_link_is_broken() -> None:
    broken = []
    for page in [*PAGES, *(ROOT / "design").glob("*.md"), ROOT / "CHANGELOG.md"]:
        for target in re.findall(r"\]\(([^)#]+)(?:#[^)]*)?\)", page.read_text(encoding="utf-8")):
            if "://" not in target and not (page.parent / target).exists():
                broken.append(f"{page.relative_to(ROOT)}: {target}")
    assert broken == []


# reference pages against the program


def rows(page: str) -> list[list[str]]:
    """The cells of all tables of a page; headers and rules included."""
    text = (DOCS / "reference" / page).read_text(encoding="utf-8")
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in text.splitlines() if line.startswith("|")]


def keys_of(model: Any, before: str = "") -> Iterator[tuple[str, Any]]:
    """Every key of a pydantic model with its default; a stage that may be absent is gone into."""
    from pydantic import BaseModel
    from pydantic_core import PydanticUndefined

    for name, spec in model.model_fields.items():
        kinds = [spec.annotation, *getattr(spec.annotation, "__args__", ())]
        inner = [k for k in kinds if isinstance(k, type) and issubclass(k, BaseModel)]
        default = spec.get_default(call_default_factory=True)
        if inner and not isinstance(default, list):  # a list of stages has the keys of a stage
            place = f"{before}{name}.NAME" if name == "models" else f"{before}{name}"
            yield from keys_of(inner[0], f"{place}.")
        else:
            yield f"{before}{name}", "needed" if default is PydanticUndefined else default


def test_every_key_of_the_configuration_is_on_its_page_with_its_default() -> None:
    from qrelkit.project.config import Config

    told = {row[0].strip("`"): row[1].strip("`") for row in rows("configuration.md") if re.match("`[a-z]", row[0])}
    real = dict(keys_of(Config))
    assert set(told) == set(real)
    wrong = {key: (told[key], real[key]) for key in real if told[key] != "needed" and yaml.safe_load(told[key]) != real[key]}
    assert wrong == {}
    assert [key for key in real if (told[key] == "needed") != (real[key] == "needed")] == []


def test_every_measure_is_on_its_page_with_its_parameters() -> None:
    from qrelkit.measures.parse import ALIASES, catalogue

    table = {row[0].strip("`"): row[1] for row in rows("measures.md") if row[0].startswith("`")}
    real = {row["measure"]: row["parameters"] for row in catalogue()}
    assert {name: table.get(name, "").replace("`", "") for name in real} == real
    text = (DOCS / "reference" / "measures.md").read_text(encoding="utf-8")
    assert [alias for alias in ALIASES if f"`{alias}`" not in text] == []


def test_every_public_name_is_on_its_page_and_no_other() -> None:
    import qrelkit

    told = [row[0].strip("`") for row in rows("python.md") if row[0].startswith("`")]
    assert sorted(told) == sorted(qrelkit.__all__)


def test_every_exit_code_is_on_its_page() -> None:
    import qrelkit.cli.main as cli

    real = set(re.findall(r"(?:^|· |: )(\d+) [a-z]", cli.__doc__ or "", re.MULTILINE))
    for page in (DOCS / "reference" / "exit-codes.md", ROOT / "README.md"):
        told = set(re.findall(r"^\| (\d+) \|", page.read_text(encoding="utf-8"), re.MULTILINE))
        assert told == real


def test_no_page_names_a_path_of_somebodys_machine() -> None:
    texts = {p: p.read_text(encoding="utf-8") for p in [*PAGES, *(ROOT / "design").glob("*.md"), *(ROOT / "examples").glob("*")]}
    assert [str(p) for p, text in texts.items() if re.search(r"/(work|home|Users|tmp|root)/", text)] == []
