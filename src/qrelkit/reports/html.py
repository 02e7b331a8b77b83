"""The report as one self-contained HTML page: inline style, inline SVG, images as data, no script, nothing fetched.

Everything said in it is escaped; documents are hostile until shown otherwise. The page's own policy forbids scripts and
network, so that a mistake here could not be used.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from qrelkit.core.files import write_whole
from qrelkit.reports import words
from qrelkit.reports.plots import intervals
from qrelkit.reports.report import Report
from qrelkit.reports.sections import opening, outline
from qrelkit.reports.tables import BEST, Section

if TYPE_CHECKING:
    from jinja2 import Environment

OPEN_QUERIES = 3  # of the queries where systems differ, how many are unfolded


def html(report: Report) -> str:
    """The page as text."""
    said = report.sections
    return page(outline(report), title=said.get("title", "Report"), opening=opening(report), said=said)


def page(sections: Sequence[Section], *, title: str, opening: str = "", said: Mapping[str, Any] | None = None) -> str:
    """A page of any sections, in this style; `said` may have headline, warnings, provenance, created and version."""
    template = _environment().get_template("report.html.jinja")
    return template.render(said=said or {}, title=title, opening=opening, sections=sections, open_queries=OPEN_QUERIES)


def write_html(report: Report, path: str | os.PathLike[str]) -> None:
    """Writes the page, whole or not at all. Raises InputError where it cannot be written."""
    write_whole(html(report).encode("utf-8"), Path(path))


def _environment() -> Environment:
    from jinja2 import Environment, PackageLoader
    from markupsafe import Markup

    environment = Environment(
        loader=PackageLoader("qrelkit.reports", "templates"),
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {
        "intervals": lambda plot: Markup(intervals(plot)),  # escapes by itself
        "number": words.number,
        "named": words.named,
        "moment": words.moment,
        "outcome": lambda name: words.OUTCOMES.get(name, name),
        "thumbnail": thumbnail,
        "anchor": anchor,
        "figures": figures,
    }
    environment.tests |= {"nested": lambda value: isinstance(value, Mapping), "many": lambda value: isinstance(value, list)}
    environment.globals |= {"BEST": BEST}
    return environment


def figures(sentence: str) -> str:
    """A sentence with true minus signs, and intervals that no line break parts."""
    signed = re.sub(r"(?<=[ (\[])-(?=\d)", words.MINUS, sentence)
    return re.sub(r"(?<=\d), (?=[^ ]*\d\])", f",{words.SPACE}", signed)


def thumbnail(image: Any) -> str:
    """The data URI of an image; empty for anything that is none, such as an address."""
    return image if isinstance(image, str) and image.startswith(("data:image/jpeg;base64,", "data:image/png;base64,")) else ""


def anchor(name: str) -> str:
    """A name as an id of the page: letters, digits and hyphens."""
    return "".join(c if c.isascii() and c.isalnum() else "-" for c in name.lower())
