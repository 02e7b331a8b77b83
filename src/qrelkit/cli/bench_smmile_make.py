"""bench smmile make, bench smmile demo: benchmarks made from others, with a manifest, and one that is drawn here."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import typer

from qrelkit.cli.bench_smmile_run import HUB, REVISION, problems_of
from qrelkit.cli.context import JSON

if TYPE_CHECKING:
    from qrelkit.bench.smmile.problems import Problems

INTO = typer.Option(..., "-o", "--output", metavar="DIR", help="The new folder.")


def make(
    folder: str = typer.Option("", "--from", metavar="DIR", help="The folder benchmark to start from."),
    hub: str = HUB,
    revision: str = REVISION,
    plusplus: bool = typer.Option(False, "--plusplus", help="Permute the demonstrations, as SMMILE++."),
    noise: str = typer.Option("", "--noise", metavar="DRAW:N@WHERE", help="Foreign demonstrations: random:1@last, same:2@first."),
    order: str = typer.Option("", "--order", metavar="RULE", help="similar, match or mismatch, -first or -last: match-last."),
    by: str = typer.Option("text", "--by", help="What likeness is of: text or image."),
    tag: str = typer.Option("speciality", "--tag", help="What is the same for noise `same`."),
    seed: int = typer.Option(0, "--seed", help="Of permutations and noise."),
    output: str = INTO,
    as_json: bool = JSON,
) -> None:
    """Make a benchmark from another by one rule; its manifest says how."""
    from qrelkit.bench.smmile.noise import noise as with_noise
    from qrelkit.bench.smmile.ordering import order as reorder
    from qrelkit.bench.smmile.plusplus import plusplus as permute
    from qrelkit.core.errors import InputError
    from qrelkit.project.config import NAME, rules_of

    if (plusplus, bool(noise), bool(order)).count(True) != 1:
        raise InputError("say one rule: --plusplus, --noise random:1@last, or --order match-last")
    source = problems_of(folder, hub, revision, rules_of(NAME))
    if plusplus:
        made = permute(source, seed=seed)
    elif noise:
        made = with_noise(source, **_noise(noise), tag=tag, seed=seed)
    else:
        made = reorder(source, cast(Any, order), by=cast(Any, by))
    _written(made, output, as_json)


def demo(output: str = INTO, seed: int = typer.Option(7, "--seed", help="Of what is drawn."), as_json: bool = JSON) -> None:
    """Draw a benchmark of twelve problems about pictures of clothes, to try things with."""
    from qrelkit.bench.smmile.demo import drawn

    _written(drawn(seed), output, as_json)


def _noise(said: str) -> dict[str, Any]:
    """`random:1@last` in its parts."""
    import re

    from qrelkit.core.errors import InputError

    found = re.fullmatch(r"(random|same):(\d+)(?:@(first|last|random|\d+))?", said)
    if found is None:
        raise InputError(f"--noise {said!r}: write random or same, how many, where: random:1@last, same:2@first, random:1@0")
    draw, n, where = found.groups()
    return {"draw": draw, "n": int(n), "where": int(where) if where and where.isdecimal() else where or "last"}


def _written(problems: Problems, output: str, as_json: bool) -> None:
    from qrelkit.bench.smmile.folder import write_folder
    from qrelkit.bench.smmile.manifest import manifest_of
    from qrelkit.cli.output import put_json, say

    write_folder(problems, Path(output))
    say(f"{problems!r} in {output}")
    if as_json:
        put_json(manifest_of(problems))
