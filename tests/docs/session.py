"""Runs the blocks of a page one after the other in one folder, in this process where it is qrelkit that is called."""

from __future__ import annotations

import contextlib
import io
import os
import shlex
import sys
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

from docs.blocks import Block, commands, fits
from servers.batches import BatchServer, File, Running
from servers.chat import ChatServer
from servers.examined import Examined


def typed(words: list[str], folder: Path) -> str:
    """What else a reader may be asked to type, done here so that it works on every platform."""
    match words:
        case ["cat", name]:
            return (folder / name).read_text(encoding="utf-8-sig")
        case ["head", count, name]:
            return "".join((folder / name).read_text(encoding="utf-8-sig").splitlines(keepends=True)[: -int(count)])
        case ["ls", *names]:
            return "\n".join(sorted(p.name for p in folder.joinpath(*names).iterdir() if p.name[0] != "."))
        case ["mkdir", name]:
            (folder / name).mkdir()
            return ""
    raise AssertionError(f"not allowed in the documentation: {shlex.join(words)}")


class Terminal(io.StringIO):
    """Standard output as a person sees it: tables are aligned."""

    def isatty(self) -> bool:
        return True


class Session:
    """One reader at one page, who types everything in order."""

    def __init__(self, folder: Path, save: Callable[[str, Path], None] = lambda name, folder: None) -> None:
        self.folder, self.save = folder, save
        self.names: dict[str, Any] = {"__name__": "__page__"}
        self.printed = ""
        self.closing = contextlib.ExitStack()
        self.environment = {"COLUMNS": "80", "TERM": "dumb"}  # no colours, and as wide as a page

    def __enter__(self) -> Session:
        before = dict(os.environ)
        self.closing.callback(lambda: (os.environ.clear(), os.environ.update(before)))
        os.environ.update(self.environment)
        return self

    def __exit__(self, *error: object) -> None:
        self.closing.close()

    def run(self, block: Block) -> None:
        """Raises AssertionError, with page and line, where the page is not true."""
        if "not run" in block.said or "help" in block.said:
            return
        if block.language == "saved":
            self.save(block.text, self.folder)
        elif "file" in block.said:
            path = self.folder / block.said["file"]
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(block.text, encoding="utf-8", newline="\n")
        elif block.language == "console":
            self._console(block)
        elif block.language == "python":
            self._python(block)
        elif block.language == "text" and block.after == "python":
            assert fits(block.text.splitlines(), self.printed), f"{block.where}: it prints\n{self.printed}"
        elif block.language == "sh":
            raise AssertionError(f"{block.where}: write commands as console, with $ before them, so that they are run")

    def _console(self, block: Block) -> None:
        lines = list(commands(block))
        assert lines, f"{block.where}: no line begins with $"
        for number, (line, command, shown) in enumerate(lines, 1):
            where = f"{block.page.name}:{line}: $ {command}"
            code, real = self.command(command)
            expected = int(block.said.get("exit", 0)) if number == len(lines) else 0
            assert code == expected, f"{where}\nends with {code}, not {expected}:\n{real}"
            assert not shown or not any(map(str.strip, shown)) or fits(shown, real), f"{where}\nprints\n{real}"

    def command(self, command: str) -> tuple[int, str]:
        """Exit code and output of a command; `< FILE` and `> FILE` are understood."""
        words = shlex.split(command)
        if words[0] == "export":
            self._export(*words[1].split("=", 1))
            return 0, ""
        if words[0] != "qrelkit":
            return 0, typed(words, self.folder)
        files = {}
        for mark in "<>":
            if mark in words:
                at = words.index(mark)
                files[mark] = self.folder / words[at + 1]
                del words[at : at + 2]
        keyboard = io.TextIOWrapper(io.BytesIO(files["<"].read_bytes() if "<" in files else b""), encoding="utf-8")
        screen = Terminal()
        out = io.StringIO() if ">" in files else screen
        code = called(words[1:], self.folder, keyboard, out, Words(screen))
        if ">" in files:
            files[">"].write_text(out.getvalue(), encoding="utf-8", newline="\n")
        return code, screen.getvalue()

    def _export(self, name: str, value: str) -> None:
        """An environment variable; where it is the address of a server, one is started and its address taken."""
        if name == "OPENAI_BASE_URL":
            value = self.closing.enter_context(server_at(value)).url
        os.environ[name] = value

    def _python(self, block: Block) -> None:
        printed = io.StringIO()
        code = compile("\n" * block.line + block.text, str(block.page), "exec")
        with inside(self.folder), contextlib.redirect_stdout(printed):
            exec(code, self.names)
        self.printed = printed.getvalue()


def server_at(address: str) -> ChatServer:
    """Who answers at an address of the pages: one that can be examined, one that takes batches, or a plain one."""
    if ":11434" in address:
        return Examined(images=1)
    return Batches(looks=2) if ":8443" in address else ChatServer()


class Batches(BatchServer):
    """Ends a batch when it is looked at for the second time, whatever model the reader names."""

    def _validated(self, file: File, running: Running) -> list[dict[str, Any]]:
        return super()._validated(replace(file, data=file.data.replace(b'"model":"gpt-4o-mini"', b'"model":"tiny"')), running)


class Words(io.TextIOBase):
    """Standard error, onto the same screen and without bars."""

    def __init__(self, into: io.StringIO) -> None:
        self.into = into

    def write(self, text: str) -> int:
        return self.into.write(text)

    def isatty(self) -> bool:
        return False


@contextlib.contextmanager
def inside(folder: Path) -> Iterator[None]:
    before = Path.cwd()
    os.chdir(folder)
    try:
        yield
    finally:
        os.chdir(before)


def called(argv: list[str], folder: Path, stdin: Any, stdout: Any, stderr: Any) -> int:
    """The exit code of qrelkit, called in this process."""
    from qrelkit.cli.main import main

    kept = sys.stdin
    sys.stdin = stdin
    try:
        with inside(folder), contextlib.redirect_stdout(stdout), contextlib.redirect_stderr(stderr):
            main(argv)
    except SystemExit as end:
        return int(end.code or 0)
    finally:
        sys.stdin = kept
    return 0
