"""Writes the real help texts into the pages: python tests/docs/refresh_help.py"""

from __future__ import annotations

import contextlib
import io
import os
import re
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
BLOCK = re.compile(r"(<!-- help: (.+?) -->\n+```text\n)(.*?)(```\n)", re.DOTALL)


def help_of(command: str) -> str:
    """What `qrelkit COMMAND --help` prints on a terminal of 80 columns."""
    from qrelkit.cli.main import main

    before, out = os.environ.get("COLUMNS"), io.StringIO()
    os.environ["COLUMNS"] = "80"
    try:
        with contextlib.redirect_stdout(out), contextlib.suppress(SystemExit):
            main([*command.split(), "--help"])
    finally:
        os.environ.pop("COLUMNS")
        if before is not None:
            os.environ["COLUMNS"] = before
    return out.getvalue()


def refreshed(text: str) -> str:
    """A page with its help texts as they are now."""
    return BLOCK.sub(lambda found: found[1] + help_of(found[2]) + found[4], text)


def main() -> None:
    for page in sorted((ROOT / "docs").rglob("*.md")):
        text = page.read_text(encoding="utf-8")
        if (fresh := refreshed(text)) != text:
            page.write_text(fresh, encoding="utf-8", newline="\n")
            sys.stdout.write(f"{page.relative_to(ROOT)}\n")


if __name__ == "__main__":
    main()
