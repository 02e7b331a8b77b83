"""Every page is read once; the folders of its reader are kept for other pages and for the examples."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

from docs.blocks import ROOT, blocks, page_that_saves, setup_of
from docs.session import Session


class Library:
    """`reader(page)`: what went wrong on it, or None. `saved(name)`: a folder as it was at a `saved` comment."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.read: dict[Path, BaseException | None] = {}

    def saved(self, name: str) -> Path:
        self.reader(page_that_saves(name))
        return self.folder / "saved" / name

    def reader(self, page: Path) -> BaseException | None:
        if page not in self.read:
            here = self.folder / "pages" / "_".join(page.relative_to(ROOT).with_suffix("").parts)
            if setup := setup_of(page):
                shutil.copytree(self.saved(setup), here)
            else:
                here.mkdir(parents=True)
            self.read[page] = _end_of(page, here, self._save)
        return self.read[page]

    def _save(self, name: str, folder: Path) -> None:
        source = folder / name if name.endswith("/") else folder
        shutil.copytree(source, self.folder / "saved" / name.rstrip("/"))


def _end_of(page: Path, folder: Path, save: Callable[[str, Path], None]) -> BaseException | None:
    with Session(folder, save) as session:
        try:
            for block in blocks(page):
                session.run(block)
        except (Exception, SystemExit) as error:
            return error
    return None
