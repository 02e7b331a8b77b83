"""The options that commands of a project share: which project, and what to change of its configuration for this call."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

if TYPE_CHECKING:
    from qrelkit.project.project import Project

PROJECT = typer.Option("qrelkit.yaml", "--project", help="The project's qrelkit.yaml, or its folder.")
SET = typer.Option([], "--set", metavar="KEY=VALUE", help="Change a key of qrelkit.yaml for this call, e.g. judge.route=shown.")
JSON = typer.Option(False, "--json", help="Print JSON.")
COLLAPSE = typer.Option(False, "--collapse", help="Keep the best of a document that a run lists twice.")
PARENTS = typer.Option("", "--parents", metavar="FILE", help="Variants and their parents: collapse to the parent.")
COLUMNS = typer.Option("", "--columns", metavar="OURS=THEIRS,...", help="Columns of tables: query_id=qid,doc_id=sku,score=s.")
STOPPED = {
    "interrupted": "interrupted; nothing is lost, and the same command goes on where it stopped",
    "budget": "stopped: the next request might exceed the budget; with more, the same command goes on where it stopped",
}
DRY_RUN = typer.Option(False, "--dry-run", help="Say what would be asked and what it may cost; ask nothing.")


def open_project(path: str, changes: Sequence[str] = (), **options: Any) -> Project:
    """The project with changes applied; without a qrelkit.yaml, one made of the options alone, in this folder."""
    from qrelkit.core.errors import InputError
    from qrelkit.project.config import NAME, checked, read_config
    from qrelkit.project.project import Project

    file = Path(path)
    file = file / NAME if file.is_dir() else file
    missing_default = path == NAME and not file.exists()
    config: dict[str, Any] = {} if missing_default else read_config(file).model_dump(exclude_unset=True)
    for change in changes:
        key, equals, value = change.partition("=")
        if not equals:
            raise InputError(f"--set needs KEY=VALUE, found {change!r}")
        _put(config, key.split("."), _yaml(value))
    for key, value in options.items():
        if value is not None and value != []:
            _put(config, key.split("__"), value)
    if missing_default and not config:
        raise InputError(f"there is no {NAME} here; `qrelkit init` writes one, `qrelkit demo` shows what it does")
    return Project(checked(config, str(file)), file.parent)


def _yaml(value: str) -> Any:
    import yaml

    return yaml.safe_load(value)


def _put(config: dict[str, Any], keys: Sequence[str], value: Any) -> None:
    for key in keys[:-1]:
        inner = config.get(key)
        config[key] = dict(inner) if isinstance(inner, Mapping) else {}
        config = config[key]
    config[keys[-1]] = value


def refuse_without_files(**options: object) -> None:
    """Raises InputError for the first option that is about files, where none was named."""
    from qrelkit.core.errors import InputError

    for name, value in options.items():
        if value:
            keys = "collapse", "parents", "columns"
            way = f"; the project's own files have the key `{name}:` in qrelkit.yaml" if name in keys else ""
            raise InputError(f"--{name} is about files named on the command line, and there are none{way}")


def warn_of_images(project: Project) -> None:
    """Says which pictures the collection names and cannot show: their documents are judged without them."""
    from qrelkit.cli.output import warn
    from qrelkit.core.records import counted

    notes = project.collection.notes
    kinds = [kind for kind in ("missing", "unreadable", "outside", "remote") if notes.get(f"{kind}_images")]
    counts = {kind: counted(notes[f"{kind}_images"], f"{kind} image") for kind in kinds}
    warn([f"not shown: {count}, such as {notes[f'first_{kind}_images'][0]}" for kind, count in counts.items()])


def ending(stopped: str, ungraded: int = 0) -> int:
    """The exit code of a command that talked to models: 130 interrupted, 5 budget, 4 some pairs without a grade, 0.

    A stop is said too, with how to go on.
    """
    from qrelkit.cli.output import say

    if stopped:
        say(STOPPED[stopped])
    return {"interrupted": 130, "budget": 5}.get(stopped, 4 if ungraded else 0)
