"""show: prompts, scales, conversations, guidelines, what leaves this machine, and how the project stands."""

from __future__ import annotations

import typer

from qrelkit.cli.context import JSON, PROJECT, SET, open_project
from qrelkit.cli.outbound import outbound

app = typer.Typer(help="Show a prompt, a scale, a stored conversation, a query's guideline, what leaves, or how things stand.")
app.command("outbound")(outbound)


@app.command("prompt")
def prompt(name: str = typer.Argument("", help="pointwise, guide, describe, …, or a file; nothing lists them.")) -> None:
    """Print a prompt file."""
    from qrelkit.cli.output import put
    from qrelkit.text.prompt import BLOCKS, read_prompt, shipped_prompts

    if not name:
        put("\n".join(shipped_prompts()))
        return
    from qrelkit.core.errors import InputError

    for purpose in BLOCKS:
        try:
            put(read_prompt(name, purpose).source)
            return
        except InputError as error:
            if f"not for {purpose!r}" not in str(error):
                raise


@app.command("scale")
def scale(name: str = typer.Argument("", help="A scale's name; nothing lists them.")) -> None:
    """Print a grade scale."""
    from qrelkit.cli.output import put_table
    from qrelkit.core.guideline import SCALES, Scale

    if not name:
        put_table(("scale", "grades", "relevant from"), [(s.name, ", ".join(s.labels), s.relevant_from) for s in SCALES.values()])
        return
    put_table(("value", "label", "meaning"), [(g.value, g.label, g.meaning) for g in Scale.read(name).grades])


@app.command("measures")
def measures(as_json: bool = JSON) -> None:
    """Every measure, how it is written, and what it means."""
    from qrelkit.cli.output import put_json, put_table
    from qrelkit.measures.parse import catalogue

    rows = catalogue()
    if as_json:
        put_json(rows)
    else:
        put_table(tuple(rows[0]), [tuple(row.values()) for row in rows])


@app.command("reply")
def reply(digest: str, project: str = PROJECT, change: list[str] = SET, as_json: bool = JSON) -> None:
    """Print the exact conversation behind a request's digest (r1:…)."""
    import polars as pl

    from qrelkit.cli.conversation import answer_json, answer_lines, conversation_lines
    from qrelkit.cli.output import put, put_json
    from qrelkit.core.errors import InputError

    with open_project(project, change) as opened:
        found = opened.store.conversation(digest)
        failed = opened.store.attempts().filter(pl.col("digest") == digest).drop("digest").to_dicts()
    if found is None:
        raise InputError(f"the store has no reply to {digest!r}; `qrelkit show judgment QUERY DOCUMENT --json` says the digests")
    asked, answered = found[0], answer_json(found[1])
    if as_json:
        put_json({"asked": asked, "answered": answered, "failed_attempts": failed})
    else:
        put("\n".join([*conversation_lines(asked), *answer_lines(answered, failed)]))


@app.command("judgment")
def judgment(query_id: str, doc_id: str, project: str = PROJECT, change: list[str] = SET, as_json: bool = JSON) -> None:
    """Every judgment of a pair, by every assessor, with its reason."""
    import json

    import polars as pl

    from qrelkit.cli.output import put_json, put_table
    from qrelkit.steps.forgotten import forgotten

    with open_project(project, change) as opened:
        opened.collection.query(query_id)  # an id that nobody knows has no judgments
        if doc_id not in forgotten(opened.store):
            opened.collection.document(doc_id)
        rows = opened.store.judgments().filter((pl.col("query_id") == query_id) & (pl.col("doc_id") == doc_id))
    rows = rows.select("assessor", "grade", "outcome", "reason", "guideline", "request", "sample", "details")
    if as_json:
        put_json([row | {"details": json.loads(row["details"] or "null")} for row in rows.to_dicts()])
    else:
        put_table(rows.columns, rows.rows())


@app.command("guideline")
def guideline(query_id: str, project: str = PROJECT, change: list[str] = SET) -> None:
    """The newest guideline of a query, as YAML."""
    import yaml

    from qrelkit.cli.output import put
    from qrelkit.core.errors import UnknownName
    from qrelkit.steps.guide import newest

    with open_project(project, change) as opened:
        known = newest(opened.store, opened.at(opened.config.guidelines))
    if query_id not in known:
        raise UnknownName("query with a guideline", query_id, known)
    own = known[query_id]
    put(yaml.safe_dump({"query_id": query_id, **own.content(), "approved": own.approved}, allow_unicode=True, sort_keys=False))


@app.command("project")
def standing(project: str = PROJECT, change: list[str] = SET, as_json: bool = JSON) -> None:
    """How the project stands: what is there, what is judged by whom, what it cost."""
    from qrelkit.cli.output import put_json, put_table
    from qrelkit.project.standing import standing as stand

    with open_project(project, change) as opened:
        found = stand(opened)
    if as_json:
        put_json(found)
    else:
        lines = {k: ("\n" if k == "stages" else ", ").join(map(str, v)) if isinstance(v, list) else v for k, v in found.items()}
        put_table(("what", "value"), list(lines.items()))
