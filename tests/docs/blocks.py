"""Pages of the documentation as blocks that can be run.

    <!-- setup: NAME -->      the page begins in a copy of the folder that another page saved under this name
    <!-- file: PATH -->       the next block is the content of a file
    <!-- exit: 4 -->          the exit code of the last command of the next block; 0 unless said
    <!-- yaml: WHAT -->       what the next YAML block is, where it is no qrelkit.yaml: see `READERS` in test_docs.py
    <!-- help: judge -->      the next block is the help text of a command (refresh_help.py writes it)
    <!-- saved: NAME -->      the folder as it is here can be the setup of other pages; `NAME/` is a folder inside it
    <!-- not run: reason -->  for what installs things, and nothing else

A `text` block right after a `python` block is what that one prints. Where output is shown, `…` stands for anything.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").rglob("*.md"))]
COMMENT = re.compile(r"<!-- (setup|file|exit|yaml|help|saved|not run): (.+?) -->")


@dataclass(frozen=True)
class Block:
    """A fenced block: its language, the comments before it, its text, and the line that it begins at."""

    page: Path
    line: int
    language: str
    text: str
    said: dict[str, str] = field(default_factory=dict)
    after: str = ""  # the language of the block right before it, where there is no prose between

    @property
    def where(self) -> str:
        return f"{self.page.relative_to(ROOT)}:{self.line}"


def blocks(page: Path) -> Iterator[Block]:
    """The blocks of a page in order; a `saved` comment is a block of its own, with the language `saved`."""
    said: dict[str, str] = {}
    language, begin, inside, before = "", 0, [""], ""
    for number, line in enumerate(page.read_text(encoding="utf-8").splitlines(), 1):
        if language:
            if line == "```":
                yield Block(page, begin, language, "\n".join(inside) + "\n", said, before)
                said, before, language = {}, language, ""
            else:
                inside.append(line)
        elif line.startswith("```"):
            language, begin, inside = line[3:].strip() or "plain", number, []
        elif found := COMMENT.fullmatch(line.strip()):
            if found[1] == "saved":
                yield Block(page, number, "saved", found[2])
            elif found[1] != "setup":
                said = {**said, found[1]: found[2]}
        elif line.strip():
            said, before = {}, ""


def setup_of(page: Path) -> str:
    """The name of the folder that a page begins in; "" for an empty one."""
    found = re.search(r"<!-- setup: (.+?) -->", page.read_text(encoding="utf-8"))
    return found[1] if found else ""


def page_that_saves(name: str) -> Path:
    """The page whose reader has the folder `name` at some point."""
    return next(p for p in PAGES if re.search(rf"<!-- saved: {name}/? -->", p.read_text(encoding="utf-8")))


def commands(block: Block) -> Iterator[tuple[int, str, list[str]]]:
    """Line, command and shown output of each command; a line that ends in `\\` goes on in the next one."""
    command, at, shown = "", 0, [""]
    for number, line in enumerate(block.text.splitlines(), block.line + 1):
        if command.endswith("\\"):
            command = command[:-1] + line.strip()
        elif line.startswith("$ "):
            if command:
                yield at, command, shown
            command, at, shown = line[2:], number, []
        else:
            shown.append(line)
    if command:
        yield at, command, shown


def fits(shown: list[str], real: str) -> bool:
    """Whether the real output is what is shown. `…` is any text, alone in a line any lines; of blanks any number is one."""
    wanted = [" ".join(line.split()) for line in shown if line.strip()]
    given = [" ".join(line.split()) for line in real.splitlines() if line.strip() and not PROGRESS.match(line)]
    pattern = "".join(
        r"(?:.*\n)*?" if line.strip() == "…" else r".*?".join(map(re.escape, line.split("…"))) + r"\n" for line in wanted
    )
    return re.fullmatch(pattern, "".join(line + "\n" for line in given)) is not None


PROGRESS = re.compile(r"\w+: [\d,]+ of [\d,]+ · ")  # a bar on a terminal
