"""What `collection:` names: a path of the project, or something that another fetches."""

from __future__ import annotations

from pathlib import Path

import pytest

from qrelkit.core.errors import InputError, UnknownName
from qrelkit.project.config import checked
from qrelkit.project.project import Project


def test_a_source_of_a_plugin_is_no_path(tmp_path: Path) -> None:
    with pytest.raises(UnknownName, match="source 'elsewhere'"):
        _ = Project(checked({"collection": "elsewhere:shop"}, "here"), tmp_path).collection


def test_a_folder_that_is_written_like_one_is_a_folder(tmp_path: Path) -> None:
    shop = tmp_path / "old:shop"
    try:
        shop.mkdir()
    except OSError:
        pytest.skip("this file system has no colons in names")
    (shop / "corpus.jsonl").write_text('{"id": "d", "text": "red"}\n', encoding="utf-8")
    assert len(Project(checked({"collection": "old:shop"}, "here"), tmp_path).collection) == 1


def test_nothing_is_fetched_where_nothing_may_leave(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="local_only"):
        _ = Project(checked({"collection": "irds:vaswani", "local_only": True}, "here"), tmp_path).collection
