"""retrieve: runs from a collection, one command for each way of retrieving."""

from __future__ import annotations

from typing import Any

import typer
from typer.core import TyperGroup

from qrelkit.cli import saved
from qrelkit.cli.context import JSON
from qrelkit.cli.retrieve_bm25 import bm25
from qrelkit.cli.retrieve_dense import dense
from qrelkit.cli.retrieve_engine import engine
from qrelkit.cli.retrieve_fuse import fuse
from qrelkit.cli.retrieve_rerank import rerank


class Ways(TyperGroup):
    """The ways of retrieving; one that is not built in may be another package's."""

    def resolve_command(self, ctx: Any, args: list[str]) -> Any:
        name = args[0] if args else ""
        if name.startswith("-") or self.get_command(ctx, name) is not None:
            return super().resolve_command(ctx, args)
        from qrelkit.core.errors import UnknownName
        from qrelkit.core.plugins import find, offered

        if name not in offered("retrievers"):
            raise UnknownName("retriever", name, [*self.list_commands(ctx), *offered("retrievers")])
        find("retrievers", name)  # says what is wrong with it
        return name, self.get_command(ctx, "plugin"), args


app = typer.Typer(cls=Ways, help="Retrieve documents for every query of a collection and write a TREC run.", no_args_is_help=True)
app.command("bm25")(bm25)
app.command("dense")(dense)
app.command("engine")(engine)
app.command("fuse")(fuse)
app.command("rerank")(rerank)


@app.command("plugin", hidden=True, context_settings={"ignore_unknown_options": False})
def plugin(
    name: str,
    collection: str = saved.COLLECTION,
    output: str = saved.OUTPUT,
    depth: int = saved.DEPTH,
    tag: str = saved.TAG,
    rewrites: str = saved.REWRITES,
    combine: str = saved.COMBINE,
    again: bool = saved.AGAIN,
    as_json: bool = JSON,
) -> None:
    """A retriever of another package (entry point group qrelkit.retrievers), built from the collection."""
    from qrelkit.core.plugins import find
    from qrelkit.steps.load import load

    build, loaded = find("retrievers", name), load(collection)
    written = saved.rewrites_of(rewrites)
    saved.save(output, loaded, build(loaded), depth, as_json=as_json, tag=tag, rewrites=written, combine=combine, again=again)
