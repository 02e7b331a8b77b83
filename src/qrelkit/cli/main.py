"""The command line: one thin file per verb. Data to stdout, words and progress to stderr.

Exit codes: 0 done · 1 the user can fix it · 2 wrong usage · 3 quality gate failed · 4 done, but some pairs are ungraded ·
5 budget reached, stopped cleanly · 130 interrupted, nothing lost.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Sequence
from importlib import import_module
from pathlib import Path

import typer

from qrelkit.core.errors import OutOfBudget, QrelkitError

VERBS = (
    "init", "load", "retrieve", "rewrite", "pool", "guide", "describe", "judge", "review", "agree", "expand", "evaluate",
    "compare", "bench", "probe", "triage", "report", "run", "show", "doctor", "forget", "demo",
)  # fmt: skip
MANY = {  # options that take several values at once: --runs a b c
    "retrieve": ("--runs",),
    "bench": ("--datasets",),
    "evaluate": ("--runs", "--qrels"),
    "compare": ("--runs", "--qrels"),
    "expand": ("--runs", "--measures", "--teams"),
    "triage": ("--runs", "--panel"),
    "probe": ("--runs",),
    "review": ("--between",),
}
FILES = ("--runs", "--qrels")
_MEASURE = re.compile(r"[A-Za-z]\w*(\([^)]*\))?(@[\d.]+)?")


def main(argv: Sequence[str] | None = None) -> None:
    """Entry point; turns our errors into a line on stderr and an exit code."""
    try:
        build()(args=spread(list(sys.argv[1:] if argv is None else argv)), prog_name="qrelkit")
    except QrelkitError as error:
        print("qrelkit:", *str(error).split(), file=sys.stderr)  # on one line, whatever a library put into it
        sys.exit(5 if isinstance(error, OutOfBudget) else 1)
    except OSError as error:  # a folder that is not there, a full disk, no permission
        where = f"{error.filename}: " if error.filename else ""
        print(f"qrelkit: {where}{error.strerror or error}", file=sys.stderr)
        sys.exit(1)


def build() -> typer.Typer:
    """The application; importing a verb's file is cheap, what it needs is imported when it runs."""
    app = typer.Typer(
        help="Which retrieval system is better, and how sure may we be, when the assessors are multimodal models?",
        rich_markup_mode=None,
        add_completion=False,
        no_args_is_help=True,
        pretty_exceptions_enable=False,
    )
    app.callback(invoke_without_command=True)(_top)
    for verb in VERBS:
        module = import_module(f"qrelkit.cli.{verb}")
        if hasattr(module, "app"):
            app.add_typer(module.app, name=verb)
        else:
            app.command(verb)(getattr(module, verb))
    return app


def _top(version: bool = typer.Option(False, "--version", help="Print the version.")) -> None:
    if version:
        from importlib.metadata import version as installed

        print(f"qrelkit {installed('qrelkit')}")
        raise typer.Exit


def spread(argv: list[str]) -> list[str]:
    """Repeats an option that was given several values: `--runs a b c` becomes `--runs a --runs b --runs c`.

    A value that is no file and is written like a measure (`nDCG@10`) after the first one stays an argument.
    """
    out: list[str] = []
    option, taken = "", 0
    many = MANY.get(argv[0], ()) if argv else ()
    for token in argv:
        if token.startswith("-") and token != "-":
            option, taken = (token if token in many else ""), 0
            out.append(token)
        elif option in FILES and taken and _MEASURE.fullmatch(token) and not Path(token).exists() and _is_measure(token):
            out.append(token)
        elif option:
            out += [token] if not taken else [option, token]
            taken += 1
        else:
            out.append(token)
    return out


def _is_measure(token: str) -> bool:
    """Whether a word names a measure. (Asked only where it could also be a file: this import takes time.)"""
    from qrelkit.measures.parse import parse_measure

    try:
        parse_measure(token)
    except QrelkitError:
        return False
    return True


if __name__ == "__main__":
    main()
