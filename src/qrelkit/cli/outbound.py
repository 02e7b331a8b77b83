"""show outbound: what would leave this machine, to whom, and what has left it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import typer

from qrelkit.cli.context import JSON, PROJECT, SET, open_project

if TYPE_CHECKING:
    from qrelkit.project.outbound import Outbound

COUNTED = ("queries", "documents", "images")


def outbound(
    sample: int = typer.Option(0, "--sample", min=0, help="Show so many conversations of each stage, as they would be sent."),
    project: str = PROJECT,
    change: list[str] = SET,
    as_json: bool = JSON,
) -> None:
    """What would leave this machine, to whom, and what has left it; for a privacy office."""
    from qrelkit.cli.conversation import conversation_lines
    from qrelkit.cli.output import put, put_json
    from qrelkit.project.outbound import outbound as look
    from qrelkit.project.sample import as_asked, body_of, samples

    with open_project(project, change) as opened:
        found = look(opened)
        shown: list[dict[str, Any]] = [
            {"stage": stage, "asked": as_asked(request), "body": body_of(found.line.models[request.model], request)}
            for stage, request in (samples(found.line, sample) if sample else ())
        ]
    if as_json:
        put_json(_json(found) | {"samples": shown})
        return
    _tables(found)
    for one in shown:
        put("\n".join(["", f"═══ {one['stage']} ═══", *conversation_lines(one["asked"])]))


def _json(found: Outbound) -> dict[str, Any]:
    from dataclasses import asdict

    to_send, sent = [asdict(one) for one in found.leaving], [asdict(one) for one in found.left]
    said = {"retention": found.retention, "batches": found.batches}
    return {**found.rules, **said, "to_send": to_send, "sent": sent}


def _tables(found: Outbound) -> None:
    from qrelkit.cli.output import put, put_table

    rows = [(x.stage, x.model, x.host, *(getattr(x, n) for n in COUNTED), _range(*x.requests)) for x in found.leaving]
    put_table(("to send", "model", "host", *COUNTED, "requests"), rows)
    put_table(("fields of", "to", "what leaves"), [(x.stage, x.host, "; ".join(x.fields)) for x in found.leaving])
    before = [(x.stage, x.by, ", ".join(x.models), *(getattr(x, n) for n in COUNTED), x.requests) for x in found.left]
    put_table(("sent so far", "by", "model", *COUNTED, "requests"), before)
    put_table(("rule", "value"), [(k, "everything that is used" if v is None else v) for k, v in found.rules.items()])
    put("\n".join([f"retention: {found.retention}", *(f"with its provider now: {batch}" for batch in found.batches)]))


def _range(low: float, high: float) -> str:
    least, most = round(low), round(high)
    return f"{least:,}" if least == most else f"{least:,}–{most:,}"
