"""Calls the command line in this process and keeps what it said."""

from __future__ import annotations

import io
import json
import sys
from dataclasses import dataclass
from typing import Any

import pytest

from qrelkit.cli.main import main


@dataclass(frozen=True)
class Said:
    """How a command ended, its data and its words."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        return json.loads(self.out)

    @property
    def rows(self) -> list[list[str]]:
        """The lines of a TSV."""
        return [line.split("\t") for line in self.out.splitlines()]

    @property
    def error(self) -> str:
        """The one line of a refusal, which is all there is."""
        (line,) = self.err.splitlines()
        assert line.startswith("qrelkit: "), line
        assert self.out == ""
        return line.removeprefix("qrelkit: ")


def call(capsys: pytest.CaptureFixture[str], *argv: object) -> Said:
    """`qrelkit ARGV`: only SystemExit may come out of it."""
    capsys.readouterr()
    with pytest.raises(SystemExit) as end:
        main([str(a) for a in argv])
    said = capsys.readouterr()
    assert "Traceback" not in said.err
    return Said(int(end.value.code or 0), said.out, said.err)


def feed(monkeypatch: pytest.MonkeyPatch, data: bytes) -> None:
    """What the next command reads from standard input."""
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(data), encoding="utf-8"))
